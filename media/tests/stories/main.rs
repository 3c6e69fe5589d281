//! Stories of the router in virtual time: an emulated network with seeded loss and jitter, peers that share no code with the
//! server's transport, and a check over all stories that no (SSRC, rollover, sequence number) is sealed twice.

#[path = "../support/peer.rs"]
#[allow(dead_code, reason = "shared with other test targets")]
mod peer;
mod publisher;
mod rungs;
mod scalable;
mod viewer;
mod world;

mod chaos;
mod codecs;
mod downlink;
mod drift;
mod flight;
mod floods;
mod hostile;
mod keyframes;
mod layers;
mod lives;
mod loss;
mod mirrors;
mod orientation;
mod pace;
mod recording;
mod red;
mod simulcast;
mod start;
mod switches;
mod time;
mod traces;
