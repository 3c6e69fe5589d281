//! RTCP as plain state machines that a track or a viewer calls: what was lost, when it arrived, what to report.
//!
//! `parse` reads an inbound compound packet, `compound` writes an outbound one, the others decide. Encryption does not belong here, nor the question
//! which track a packet is about.

pub mod parse;
