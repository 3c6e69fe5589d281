//! RTCP as plain state machines that a track or a viewer calls: what was lost, when it arrived, what to report.
//!
//! `parse` reads an inbound compound packet, `compound` writes an outbound one; `nack`, `twcc` and `report` decide what a receiver says. Encryption
//! does not belong here, nor the question which track a packet is about.

mod arrivals;
mod compound;
mod extended;
mod nack;
mod parse;
mod report;
mod twcc;

pub use arrivals::{Arrival, Arrivals};
pub use compound::{Compound, SenderInfo};
pub use extended::ReferenceDelays;
pub use nack::NackGenerator;
pub use parse::{Feedback, FirEntries, Lost, Packets, ReportBlock, ReportBlocks, SenderReport, parse};
pub use report::{ReceiveStats, ntp_of_utc, round_trip, utc_of_ntp};
pub use twcc::TwccRecorder;
