//! The socket's events, in one list. What each does is in `media.rs` and `room.rs`, what it carries in `event.rs`.
//!
//! This file also decides who gets in: the handshake's key, the channel's name, and how fast one socket may ask.

pub mod event;
mod handshake;
pub mod media;
mod room;

pub mod rooms {
    //! The names of rooms, for those who speak to them.
    pub use super::room::{STREAMERS, of_channel, of_clip, of_session, of_streamers};
}

use std::ops::AsyncFnOnce;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketioxide::extract::{AckSender, SocketRef, State, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::DisconnectReason;
use socketioxide::{ParserConfig, SocketIo};

use crate::app::App;
use crate::error::Error;
use crate::limits::{SOCKET_MESSAGE_BYTES, SOCKET_QUEUE, refused};
use crate::turn::Turn;
use crate::view::Requested;
use event::{
    Ack, ClipWanted, Done, Handshake, IceCandidate, IceRestarted, Latency, Nothing, QualityWanted, RestartIce,
    ServerClock, StartStream, StreamAnswered, Watch, WatchAnswered, Welcome,
};
pub use handshake::REFUSALS;
use handshake::{Guest, NotAdmitted};

macro_rules! requests {
    ($($event:literal => $handler:path : $payload:ident -> $answer:ident),* $(,)?) => {
        /// (event, payload, what the ack carries): client to server.
        pub const REQUESTS: &[(&str, &str, &str)] = &[$(($event, stringify!($payload), stringify!($answer))),*];

        fn listen(socket: &SocketRef) {
            $(socket.on($event, async |socket: SocketRef, State(app): State<App>, TryData(payload): TryData<One<$payload>>, ack: AckSender| {
                let payload = payload.map(|One(payload)| payload).map_err(|_| malformed($event));
                answer::<$payload, $answer>(app, socket, payload, ack, $handler).await;
            });)*
        }
    };
}

requests! {
    "start-stream" => media::start_stream: StartStream -> StreamAnswered,
    "stop-stream" => media::stop_stream: Nothing -> Done,
    "watch" => media::watch: Watch -> WatchAnswered,
    "quality" => media::quality: QualityWanted -> Done,
    "unwatch" => media::unwatch: Nothing -> Done,
    "restart-ice" => media::restart_ice: RestartIce -> IceRestarted,
    "ice-candidate" => media::ice_candidate: IceCandidate -> Done,
    "clip" => room::clip: ClipWanted -> Requested,
    "latency" => media::latency: Latency -> ServerClock,
}

/// (event, payload): server to client. `announce.rs` sends them.
pub const ANNOUNCEMENTS: &[(&str, &str)] = &[
    ("welcome", "Welcome"),
    ("stream-started", "StreamStarted"),
    ("stream-interrupted", "StreamInterrupted"),
    ("stream-ended", "StreamEnded"),
    ("viewers", "Viewers"),
    ("layers", "Layers"),
    ("pictures", "Pictures"),
    ("clip", "ClipAnnounced"),
    ("taken-over", "Notice"),
    ("server-stopping", "Notice"),
    ("alarm", "Alarm"),
];

/// The layer that answers `/socket.io/`, and the handle to speak to those who are connected.
pub fn layer(app: App) -> (SocketIoLayer, SocketIo) {
    let parser = ParserConfig::common().max_incoming_binaries(0).max_incoming_binary_buf_size(0);
    let (layer, io) = SocketIo::builder()
        .max_payload(SOCKET_MESSAGE_BYTES as u64)
        .ws_max_message_size(SOCKET_MESSAGE_BYTES)
        .ws_max_frame_size(SOCKET_MESSAGE_BYTES)
        .max_buffer_size(SOCKET_QUEUE)
        // A handshake that never says which namespace it wants.
        .connect_timeout(Duration::from_secs(10))
        .with_parser(parser)
        .with_state(app)
        .build_layer();
    io.ns("/", welcome.with(admit));
    (layer, io)
}

/// Says what a client needs before it makes its first offer. Everything else was set up when the guest was admitted: what a client sends at
/// once must find its handler.
async fn welcome(socket: SocketRef, State(app): State<App>) {
    let ice_servers = app.settings().turn.iter().map(Turn::server).collect();
    // A socket that is gone already needs none.
    let _ = socket.emit("welcome", &Welcome { ice_servers });
}

/// Whether the guest may come in; if so, it is heard from now on.
async fn admit(
    socket: SocketRef,
    State(app): State<App>,
    TryData(given): TryData<Option<Handshake>>,
) -> Result<(), NotAdmitted> {
    let guest = handshake::guest(&app, &socket, given.map_err(|_| ()))?;
    room::greet(&socket, &guest);
    socket.extensions.insert(guest);
    listen(&socket);
    socket.on_disconnect(async |socket: SocketRef, State(app): State<App>, reason: DisconnectReason| {
        let Some(guest) = socket.extensions.get::<Guest>() else { return };
        match reason {
            DisconnectReason::ClientNSDisconnect | DisconnectReason::ServerNSDisconnect => {
                media::leave(&app, &guest).await;
            }
            // Whatever lies between us may have failed, and the media goes on without it.
            _ => media::lost(&app, &guest).await,
        }
    });
    Ok(())
}

/// One event, from payload to ack.
async fn answer<T, R: Serialize>(
    app: App,
    socket: SocketRef,
    payload: Result<T, Error>,
    ack: AckSender,
    work: impl AsyncFnOnce(App, SocketRef, Guest, T) -> Result<R, Error>,
) {
    let done = async {
        let guest = socket.extensions.get::<Guest>().ok_or_else(|| Error::internal("no guest", "missing extension"))?;
        if guest.rate.check().is_err() {
            return Err(refused("messages", Duration::from_secs(1)));
        }
        work(app, socket.clone(), guest, payload?).await
    };
    let answer = match done.await {
        Ok(body) => Ack::Done(body),
        Err(error) => error.ack(),
    };
    // The client is gone; its disconnect cleans up.
    let _ = ack.send(&answer);
}

fn malformed(event: &str) -> Error {
    Error::invalid(format!("the payload of {event} is not as docs/protocol.md says"))
}

/// The one argument of an event; one that is missing or null counts as an empty object, further ones are ignored.
struct One<T>(T);

impl<'de, T: DeserializeOwned> serde::Deserialize<'de> for One<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asking for a tuple makes socketioxide hand over all arguments.
        deserializer.deserialize_tuple(1, Arguments(std::marker::PhantomData)).map(One)
    }
}

struct Arguments<T>(std::marker::PhantomData<T>);

impl<'de, T: DeserializeOwned> serde::de::Visitor<'de> for Arguments<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the arguments of an event")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut arguments: A) -> Result<T, A::Error> {
        let value = match arguments.next_element::<serde_json::Value>()? {
            None | Some(serde_json::Value::Null) => serde_json::Value::Object(serde_json::Map::new()),
            Some(value) => value,
        };
        while arguments.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        T::deserialize(value).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_protocol_names_everything() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
        let page = std::fs::read_to_string(path).expect("docs/protocol.md");
        let events = REQUESTS.iter().map(|(event, ..)| *event).chain(ANNOUNCEMENTS.iter().map(|(event, _)| *event));
        let codes = crate::error::Code::ALL.iter().map(|code| code.name());
        for name in events.chain(codes) {
            assert!(page.contains(&format!("| `{name}` |")), "docs/protocol.md does not name {name}");
        }
        for (message, code) in REFUSALS.iter().filter(|(_, code)| *code != crate::error::Code::Internal) {
            assert!(
                page.contains(&format!("| {message} | `{}` |", code.name())),
                "docs/protocol.md does not say '{message}'"
            );
        }
    }

    #[test]
    fn a_missing_argument_is_an_empty_object() {
        for (arguments, offer) in
            [("[]", None), ("[null]", None), ("[{}]", None), ("[{\"offer\":\"v=0\"}, 7]", Some("v=0".to_owned()))]
        {
            let One(watch) = serde_json::from_str::<One<Watch>>(arguments).unwrap();
            assert_eq!(watch.offer, offer, "{arguments}");
        }
        for arguments in ["[7]", "[\"main\"]", "[[1]]", "[{\"offer\":7}]"] {
            assert!(serde_json::from_str::<One<Watch>>(arguments).is_err(), "{arguments}");
        }
        assert!(serde_json::from_str::<One<StartStream>>("[]").is_err());
    }
}
