//! One file per case.

pub mod fanout;
