//! The web app's types, written from the Rust ones: `cargo run -p signaling --example types` writes the file, a test compares.

use std::fmt::Write as _;

use ts_rs::{Config, TS};

use crate::covers::Moment;
use crate::error::Code;
use crate::http::bulk::{BulkChange, BulkDone};
use crate::http::connection::{Connection, Report, Source};
use crate::orders::{NewClip, NewPiece};
use crate::report::*;
use crate::socket::event::*;
use crate::timeline::ClipTimeline;
use crate::turn::IceServer;
use crate::view::*;
use crate::webhooks::*;

/// Where the file lies, from the root of the repository.
pub const PATH: &str = "web/src/api/generated/protocol.ts";

/// The whole file.
pub fn text() -> String {
    let config = Config::new().with_large_int("number");
    let mut out = String::from(
        "// Generated from signaling/src/view.rs, signaling/src/view/ and signaling/src/socket/event.rs.\n\
         // Do not edit: run `cargo run -p signaling --example types`.\n",
    );
    macro_rules! types {
        ($($kind:ty),* $(,)?) => { $(declare::<$kind>(&mut out, &config);)* };
    }
    // What the REST answers carry.
    types![
        Page<AnyItem>,
        List<AnyItem>,
        Code,
        Problem,
        Live,
        LiveState,
        AirState,
        ChannelState,
        Broadcast,
        Clip,
        Continuity,
        ClipBefore,
        TrackContinuity,
        ClipState,
        ClipKind,
        ClipEdit,
        ClipAddress,
        Visibility,
        WebLink,
        Recipe,
        Piece,
        Health,
        Finding,
        FindingKind,
        PosterChoice,
        ServerInfo,
        StorageKind,
        DatabaseKind,
        Session,
        ChannelStats,
        TrackFigures,
        TrackKind,
        Readiness,
        AwayPart,
        Requested,
        NewClip,
        Moment,
        NewPiece,
        ClipTimeline,
        StorageReport,
        DiskReport,
        DiskState,
        ChannelStorage,
        OutboxReport,
        OutboxState,
        AlarmReport,
        RetentionReport,
        KeepReport,
        ChannelKeep,
        Doomed,
        Why,
        Connection,
        Source,
        Report,
        BulkChange,
        BulkDone,
        Webhook,
        WebhookState,
        NewWebhook,
        WebhookEdit,
        WebhookSecret,
        NewSecret,
        Delivery,
        DeliveryState,
        ReplayWanted,
        Replayed,
        Pinged,
    ];
    // What the socket carries.
    types![
        Handshake,
        StartStream,
        VideoCodec,
        StreamAnswered,
        Watch,
        WatchAnswered,
        RestartIce,
        IceRestarted,
        QualityWanted,
        IceCandidate,
        ClipWanted,
        Latency,
        ServerClock,
        Nothing,
        Done,
        AckError,
        Welcome,
        IceServer,
        StreamStarted,
        StreamInterrupted,
        StreamEnded,
        EndReason,
        Viewers,
        Layers,
        Pictures,
        ClipAnnounced,
        Alarm,
        Notice,
    ];
    out.push_str("\nexport type Ack<T> = ({ ok: true } & T) | { ok: false, error: AckError };\n");
    out.push_str("\n/** Client to server; each is answered by an ack. */\nexport interface ClientToServerEvents {\n");
    for (event, payload, answer) in crate::socket::REQUESTS {
        let _ = writeln!(out, "  \"{event}\": (payload: {payload}, ack: (answer: Ack<{answer}>) => void) => void;");
    }
    out.push_str("}\n\n/** Server to client. */\nexport interface ServerToClientEvents {\n");
    for (event, payload) in crate::socket::ANNOUNCEMENTS {
        let _ = writeln!(out, "  \"{event}\": (payload: {payload}) => void;");
    }
    out.push_str("}\n\n/** The messages of `connect_error`: socket.io carries no code with a refusal. */\n");
    out.push_str("export const REFUSALS: { readonly [message: string]: Code } = {\n");
    for (message, code) in crate::socket::REFUSALS {
        let _ = writeln!(out, "  \"{message}\": \"{}\",", code.name());
    }
    out.push_str("};\n\n/** What a webhook may be told of. */\nexport const EVENT_TYPES = [\n");
    for kind in storage::EventType::ALL.iter().filter(|kind| **kind != storage::EventType::WebhookPing) {
        let _ = writeln!(out, "  \"{kind}\",");
    }
    out.push_str("] as const;\n");
    out
}

fn declare<T: TS>(out: &mut String, config: &Config) {
    out.push('\n');
    if let Some(docs) = T::docs() {
        out.push_str(&docs);
    }
    let _ = writeln!(out, "export {}", T::decl(config));
}

/// Stands for the `T` of a generic type while its declaration is written.
#[derive(TS)]
struct AnyItem;

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_file_is_what_the_types_say() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(super::PATH);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == super::text(), "{} is stale: run `cargo run -p signaling --example types`", super::PATH);
    }
}
