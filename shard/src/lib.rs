//! The media plane as the rest of the server sees it: threads with one UDP socket each, driven by [`media`]'s routers.
//!
//! [`MediaPlane`] is a cheap handle: it sends commands over a bounded channel, wakes the thread, and awaits the reply. Facts come
//! back as [`media::message::Event`]s on a bounded broadcast channel, recordings over [`Taps`]. This crate owns the clock, the
//! sockets and the threads of the media plane; what a datagram means is `media`'s business, who may publish is the caller's.

mod inbox;
mod ledger;
mod mesh;
mod place;
mod plane;
mod sdp;
mod shard;
pub mod socket;
mod sources;
mod supervise;
mod taps;
mod tcp;

#[cfg(test)]
mod failures;
#[cfg(test)]
#[allow(dead_code, reason = "shared with the live stories")]
#[path = "../tests/live/stage.rs"]
mod stage;

pub use plane::{
    MediaConfig, MediaPlane, PlaneState, PublishRequest, Published, SHARDS, StartError, WatchRequest, Watching,
};
pub use sdp::Sdp;
pub use taps::{TapError, Taps};
