//! The sans-IO media plane of one shard: no clock, no socket, no async, no lock.
//!
//! Feed [`message::Input`] with the time it happened at, drain [`message::Output`], send what lies
//! in the arena, and come back no later than the deadline it asked for. Nothing in this crate reads a clock, opens a socket
//! or spawns anything; `clippy.toml` beside it bans the calls.

pub mod across;
pub mod arena;
pub mod buffer;
mod demux;
pub mod diagnostics;
pub mod forward;
pub mod framing;
pub mod id;
pub mod limit;
pub mod message;
pub mod path;
pub mod room;
pub mod router;
pub mod rtp;
pub mod session;
pub mod slab;
pub mod stats;
pub mod tap;
mod timers;
pub mod token;

pub use demux::stun_user;
