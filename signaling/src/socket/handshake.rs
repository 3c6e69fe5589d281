//! Who gets in, and what is kept of a socket while it is connected.
//!
//! The key comes as `auth.streamKey`, or as the query parameter `streamKey` (older clients), or as the session cookie when
//! `auth.role` is "streamer". No key: a viewer. socket.io carries only a text with a refusal, so the texts are fixed:
//! docs/protocol.md lists them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ::media::id::{ChannelName, SessionId};
use governor::DefaultDirectRateLimiter;
use http::Method;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;

use super::event::Handshake;
use crate::app::App;
use crate::auth::{self, Actor, Caller};
use crate::error::{Code, Error};
use crate::limits::per_socket;

/// A connected socket: who it is, and what it has going on.
#[derive(Clone)]
pub struct Guest {
    pub actor: Actor,
    pub channel: ChannelName,
    pub caller: IpAddr,
    pub rate: Arc<DefaultDirectRateLimiter>,
    pub socket: Sid,
    /// The session by which this socket watches, replaced by the next.
    pub watching: Arc<Mutex<Option<SessionId>>>,
}

/// The message of `connect_error`, and the code that it stands for.
pub const REFUSALS: &[(&str, Code)] = &[
    ("wrong stream key", Code::BadKey),
    ("too many wrong stream keys, try again in a minute", Code::RateLimited),
    ("another site cannot use this session", Code::Forbidden),
    ("malformed handshake, or a channel name that is not 1 to 32 characters of a-z, 0-9 and '-'", Code::Invalid),
    ("the server is shutting down", Code::ShuttingDown),
    ("the server failed", Code::Internal),
];

/// Why somebody does not get in.
pub struct NotAdmitted(Code);

impl std::fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let refusal = REFUSALS.iter().find(|(_, code)| *code == self.0);
        f.write_str(refusal.map_or("the server failed", |(message, _)| message))
    }
}

impl From<Error> for NotAdmitted {
    fn from(error: Error) -> Self {
        Self(error.code)
    }
}

/// # Errors
/// One of [`REFUSALS`].
pub fn guest(app: &App, socket: &SocketRef, given: Result<Option<Handshake>, ()>) -> Result<Guest, NotAdmitted> {
    Ok(read(app, socket, given)?)
}

fn read(app: &App, socket: &SocketRef, given: Result<Option<Handshake>, ()>) -> Result<Guest, Error> {
    if app.is_stopping() {
        return Err(Error::new(Code::ShuttingDown, "the server is shutting down"));
    }
    let request = socket.req_parts();
    let given = given.map_err(|()| Error::invalid("malformed handshake"))?.unwrap_or_default();
    let query = |name: &str| {
        let pairs = url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes());
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let Some(&Caller(caller)) = request.extensions.get::<Caller>() else {
        return Err(Error::internal("no client address", "missing layer"));
    };
    let channel = given.channel.or_else(|| query("channel")).unwrap_or_else(|| "main".to_owned());
    let channel = channel.parse().map_err(|error: ::media::id::IdError| Error::invalid(error.to_string()))?;
    let actor = match given.stream_key.or_else(|| query("streamKey")) {
        Some(key) => auth::with_key(app, &key, caller).map(|()| Actor::Streamer)?,
        // A socket can write, so a cookie counts as it does on a write.
        None if given.role.as_deref() == Some("streamer") => auth::actor(app, &Method::POST, &request.headers, caller)?,
        None => Actor::Stranger,
    };
    Ok(Guest { actor, channel, caller, rate: Arc::new(per_socket()), socket: socket.id, watching: Arc::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_message() {
        for (message, code) in REFUSALS {
            assert_eq!(NotAdmitted(*code).to_string(), *message);
        }
    }
}
