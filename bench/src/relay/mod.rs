//! A bad network between browsers and the server: a UDP relay whose port is announced instead of the server's.
//!
//! Every random decision comes from the seed, the number of the flow and its direction, so that the n-th datagram of a flow meets the same
//! fate in every run. What is in a datagram is not looked at.

pub mod link;
pub mod run;
