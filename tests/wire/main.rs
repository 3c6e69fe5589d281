//! The wire, against the real program on free ports: REST, files, sessions, WHIP and WHEP, socket.io, start and stop.

mod harness;
#[path = "../../storage/tests/support/mod.rs"]
mod stores;

mod access;
mod away;
mod broadcasts;
mod bulk;
mod diagnostics;
mod files;
mod negotiate;
mod presign;
mod rest;
mod schema;
mod secrets;
mod sockets;
mod start;
mod webhooks;
