//! What the socket carries: the payload of every event, both ways, and the form of an ack.
//!
//! Unknown fields are ignored, a wrong type is refused with `invalid`. TypeScript is generated from here
//! (`typescript.rs`). What the events do is in `media.rs` and `room.rs`.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::error::Code;
use crate::turn::IceServer;
use crate::view::{AirState, Clip, Live};

/// What a client may send in the handshake, as `auth` or as query parameters.
#[derive(Clone, Default, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// The streamer's key. Without it, a viewer.
    #[ts(optional)]
    pub stream_key: Option<String>,
    /// `[a-z0-9-]{1,32}`, "main" when absent.
    #[ts(optional)]
    pub channel: Option<String>,
    /// "streamer" asks that the session cookie be taken as the key.
    #[ts(optional)]
    pub role: Option<String>,
}

/// `start-stream`: go live on the handshake's channel.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct StartStream {
    /// SDP.
    pub offer: String,
    /// Put first in the answer when the offer has it; the server's choice when absent.
    #[ts(optional)]
    pub codec: Option<VideoCodec>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    H264,
    Vp8,
    Vp9,
    Av1,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct StreamAnswered {
    /// SDP with complete candidates.
    pub answer: String,
    pub broadcast: String,
    /// True when a broadcast that was held for its streamer goes on.
    pub resumed: bool,
    /// Names this connection in `restart-ice`.
    pub session: String,
}

/// `watch`: follow a channel, and play it when an offer is given and it is on air. With the session of an earlier ack: go on with that one.
#[derive(Clone, Debug, Default, Deserialize, TS)]
pub struct Watch {
    /// The handshake's channel when absent.
    #[ts(optional)]
    pub channel: Option<String>,
    /// SDP. Not looked at when the session goes on.
    #[ts(optional)]
    pub offer: Option<String>,
    /// Of the ack that opened a connection by which this client watches or sends: it now belongs to this socket.
    #[ts(optional)]
    pub session: Option<String>,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct WatchAnswered {
    pub state: AirState,
    pub live: Option<Live>,
    /// SDP with complete candidates; null without an offer or a live, and for a session that goes on.
    pub answer: Option<String>,
    /// Names this connection in `restart-ice`, and in `watch` of a later socket; null when there is none. The one that was given: it goes on.
    pub session: Option<String>,
}

/// `restart-ice`: the network has changed; the connection goes on with new credentials on both sides (RFC 8445 §9).
#[derive(Clone, Debug, Deserialize, TS)]
pub struct RestartIce {
    /// Of the ack that opened the connection; any socket may name it.
    pub session: String,
    /// `a=ice-ufrag` and `a=ice-pwd` of the new offer, as RFC 8840 §9 writes them.
    pub fragment: String,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct IceRestarted {
    /// The server's new credentials, with complete candidates.
    pub fragment: String,
}

/// `quality`: which size of the picture to play. It holds for the session that `watch` opened last.
#[derive(Clone, Copy, Debug, Default, Deserialize, TS)]
pub struct QualityWanted {
    /// None higher than this, in pixels; the best that the network carries when null or absent.
    #[ts(optional = nullable)]
    pub height: Option<u16>,
}

/// `ice-candidate`. The server is a lite agent whose answers are complete: checked, then ignored.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct IceCandidate {
    #[ts(type = "RTCIceCandidateInit | string | null")]
    pub candidate: serde_json::Value,
}

/// `clip`: a clip of what the channel shows. With neither `last` nor `from` the running part is cut at the next keyframe.
#[derive(Clone, Debug, Default, Deserialize, TS, ToSchema)]
pub struct ClipWanted {
    #[ts(optional)]
    pub title: Option<String>,
    /// The last so many seconds, 5 to 180.
    #[ts(optional)]
    pub last: Option<u32>,
    /// Or a range, in milliseconds since the broadcast's media began; without its end, up to now.
    #[ts(optional)]
    pub from: Option<u64>,
    #[ts(optional)]
    pub to: Option<u64>,
    /// Of which broadcast; without it the one on air, or else the channel's last one.
    #[ts(optional)]
    pub broadcast: Option<String>,
}

/// `latency`: how far behind the streamer's camera this viewer's picture is.
#[derive(Clone, Copy, Debug, Default, Deserialize, TS)]
pub struct Latency {
    /// Milliseconds, at most 60,000; absent while it is not known, since the answer is needed to know it.
    #[ts(optional)]
    pub ms: Option<f64>,
}

/// The clock that our sender reports carry.
#[derive(Clone, Copy, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ServerClock {
    /// Milliseconds since 1970.
    pub utc_ms: f64,
}

/// `stop-stream` and `unwatch` take nothing; an empty object is welcome.
#[derive(Clone, Debug, Default, Deserialize, TS)]
pub struct Nothing {}

/// An ack that says no more than yes.
#[derive(Clone, Copy, Debug, Serialize, TS)]
pub struct Done {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct AckError {
    pub code: Code,
    /// For people.
    pub detail: String,
}

/// Every ack: `{ok: true, …}` or `{ok: false, error}`.
#[derive(Clone, Debug)]
pub enum Ack<T> {
    Done(T),
    Refused(AckError),
}

impl<T: Serialize> Serialize for Ack<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Yes<'a, T> {
            ok: bool,
            #[serde(flatten)]
            body: &'a T,
        }
        #[derive(Serialize)]
        struct No<'a> {
            ok: bool,
            error: &'a AckError,
        }
        match self {
            Ack::Done(body) => Yes { ok: true, body }.serialize(serializer),
            Ack::Refused(error) => No { ok: false, error }.serialize(serializer),
        }
    }
}

/// `welcome`, to a socket that was admitted, before anything else.
#[derive(Clone, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// For `RTCPeerConnection`: TURN servers with credentials that end by themselves. Empty where nobody runs one.
    pub ice_servers: Vec<IceServer>,
}

/// `stream-started`, to the channel's room.
#[derive(Clone, Debug, Serialize, TS)]
pub struct StreamStarted {
    pub live: Live,
    /// True when the streamer is back after a drop: the same broadcast goes on.
    pub resumed: bool,
}

/// `stream-interrupted`: the streamer dropped or fell silent, and is waited for.
#[derive(Clone, Debug, Serialize, TS)]
pub struct StreamInterrupted {
    pub channel: String,
    pub broadcast: String,
}

/// `stream-ended`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct StreamEnded {
    pub channel: String,
    pub broadcast: String,
    pub reason: EndReason,
    /// Address of the recording's page, null when the broadcast was not recorded.
    pub recording: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum EndReason {
    Stopped,
    Dropped,
    Shutdown,
}

/// `viewers`: connected viewers of a channel, after a change.
#[derive(Clone, Debug, Serialize, TS)]
pub struct Viewers {
    pub channel: String,
    pub count: u32,
}

/// `layers`: the heights that a viewer may choose from changed.
#[derive(Clone, Debug, Serialize, TS)]
pub struct Layers {
    pub channel: String,
    /// Pixels, the largest first; empty where there is no choice.
    pub heights: Vec<u16>,
}

/// `pictures`, to one viewer: its network carries only the sound, or the pictures are back.
#[derive(Clone, Copy, Debug, Serialize, TS)]
pub struct Pictures {
    pub paused: bool,
}

/// `clip`: a clip became playable, or its state changed.
#[derive(Clone, Debug, Serialize, TS)]
pub struct ClipAnnounced {
    pub clip: Clip,
}

/// `alarm`, to the channel's streamer: something about the recording needs a person.
#[derive(Clone, Debug, Serialize, TS)]
pub struct Alarm {
    pub text: String,
}

/// `taken-over` and `server-stopping` carry nothing but an empty object.
#[derive(Clone, Copy, Debug, Serialize, TS)]
pub struct Notice {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_flat_and_say_ok_first() {
        let yes = Ack::Done(StreamAnswered {
            answer: "v=0".into(),
            broadcast: "b".into(),
            resumed: false,
            session: "s".into(),
        });
        assert_eq!(
            serde_json::to_string(&yes).unwrap(),
            r#"{"ok":true,"answer":"v=0","broadcast":"b","resumed":false,"session":"s"}"#
        );
        assert_eq!(serde_json::to_string(&Ack::Done(Done {})).unwrap(), r#"{"ok":true}"#);
        let no: Ack<Done> = Ack::Refused(AckError { code: Code::ChannelBusy, detail: "on air".into() });
        assert_eq!(
            serde_json::to_string(&no).unwrap(),
            r#"{"ok":false,"error":{"code":"channel_busy","detail":"on air"}}"#
        );
    }

    #[test]
    fn unknown_fields_are_ignored_and_wrong_types_are_not() {
        let watch: Watch = serde_json::from_str(r#"{"channel":"main","volume":11}"#).unwrap();
        assert_eq!(watch.channel.as_deref(), Some("main"));
        assert!(serde_json::from_str::<StartStream>(r#"{"offer":7}"#).is_err());
        assert!(serde_json::from_str::<StartStream>(r#"{"offer":"v=0","codec":"theora"}"#).is_err());
    }
}
