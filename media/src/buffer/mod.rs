//! Packets kept for later: for retransmission to viewers, and in order for taps.

pub mod cache;
pub mod reorder;
