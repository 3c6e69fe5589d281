//! RTP as bytes: header, numbers and payload formats. No streams, no clocks, no sessions.

pub mod codec;
pub mod dependency;
pub mod extension;
pub mod layer;
pub mod packet;
pub mod seq;
