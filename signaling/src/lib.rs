//! The wire to browsers: REST, WHIP and WHEP over axum, events over socket.io.
//!
//! docs/protocol.md is the contract. This crate decides who may ask (`auth.rs`) and how answers and refusals look
//! (`view.rs`, `error.rs`); media is handled by `shard`, clips by the recorder, which this crate does not know.

pub mod error;
pub mod socket;
pub mod typescript;
pub mod view;
