//! Rooms: who hears what. One per channel for everybody, one per channel for its streamers, one per streamer's session.

use ::media::id::{ChannelName, SessionId};
use socketioxide::extract::SocketRef;

use super::event::ClipWanted;
use super::handshake::Guest;
use crate::app::App;
use crate::auth::Actor;
use crate::error::Error;
use crate::orders;
use crate::view::Requested;

/// All who follow a channel.
pub fn of_channel(channel: impl std::fmt::Display) -> String {
    format!("channel:{channel}")
}

/// Those who opened a channel with the key.
pub fn of_streamers(channel: impl std::fmt::Display) -> String {
    format!("streamers:{channel}")
}

/// Everybody who holds the key.
pub const STREAMERS: &str = "streamers";

/// The socket by which a streamer's session was opened.
pub fn of_session(session: SessionId) -> String {
    format!("session:{session}")
}

/// Who asked for a clip that is not for all.
pub fn of_clip(clip: impl std::fmt::Display) -> String {
    format!("clip:{clip}")
}

/// A streamer hears its channel from the start; a viewer asks with `watch`.
pub fn greet(socket: &SocketRef, guest: &Guest) {
    if guest.actor == Actor::Streamer {
        socket.join([of_streamers(&guest.channel), of_channel(&guest.channel), STREAMERS.to_owned()]);
    }
}

/// Follows one channel, and no other any more.
pub fn follow(socket: &SocketRef, channel: &ChannelName) {
    unfollow(socket);
    socket.join(of_channel(channel));
}

pub fn unfollow(socket: &SocketRef) {
    let followed: Vec<_> = socket.rooms().into_iter().filter(|room| room.starts_with("channel:")).collect();
    socket.leave(followed);
}

/// Only the newest session of a socket is its own.
pub fn owns(socket: &SocketRef, session: SessionId) {
    let before: Vec<_> = socket.rooms().into_iter().filter(|room| room.starts_with("session:")).collect();
    socket.leave(before);
    socket.join(of_session(session));
}

pub async fn clip(app: App, socket: SocketRef, guest: Guest, wanted: ClipWanted) -> Result<Requested, Error> {
    let requested = orders::request(&app, &guest.channel, guest.actor, guest.caller, wanted).await?;
    socket.join(of_clip(&requested.requested));
    Ok(requested)
}
