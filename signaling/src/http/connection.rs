//! Diagnostics: which media sessions there are, and all that is known of one. For operators; what the numbers mean is in docs/protocol.md.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use media::diagnostics::{Diagnosis, Note, SourceDiagnosis, What};
use media::id::SessionId;
use media::message::{CloseReason, Quality, Role, SrtpProfile};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Streamer;
use crate::error::Error;
use crate::openapi::Problems;
use crate::view::List;

/// A media session. What ends in `Ms` counts from `openedAt`, and is null while it has not come.
#[derive(Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    session: String,
    channel: String,
    #[ts(type = "\"publisher\" | \"viewer\"")]
    role: &'static str,
    #[ts(type = "\"new\" | \"connected\" | \"closed\"")]
    state: &'static str,
    opened_at: u64,
    path_ms: Option<f64>,
    connected_ms: Option<f64>,
    first_packet_ms: Option<f64>,
    first_keyframe_ms: Option<f64>,
    closed_ms: Option<f64>,
    close_reason: Option<&'static str>,
    srtp_profile: Option<&'static str>,
    address: Option<String>,
    addresses: Vec<String>,
    estimate: Option<u64>,
    sources: Vec<Source>,
    packets_in: u64,
    packets_out: u64,
    drops: BTreeMap<String, u64>,
}

/// One source of a streamer.
#[derive(Serialize, TS, ToSchema)]
#[ts(rename = "ConnectionSource")]
#[serde(rename_all = "camelCase")]
pub struct Source {
    mid: String,
    rid: Option<String>,
    ssrc: Option<u32>,
    height: u16,
    packets: u64,
    bitrate: u64,
    lost: u64,
    recovered: u64,
}

/// All that is known of one.
#[derive(Serialize, TS, ToSchema)]
#[ts(rename = "ConnectionReport")]
#[serde(rename_all = "camelCase")]
pub struct Report {
    version: String,
    #[serde(flatten)]
    connection: Connection,
    offer: Option<String>,
    answer: Option<String>,
    #[ts(
        type = "{ atMs: number, work: number, what: string, count?: number, reason?: string, dropped?: string | null }[]"
    )]
    flight: Vec<Value>,
    notes_lost: u64,
}

#[derive(Default, Deserialize)]
pub struct Wanted {
    download: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/connections",
    summary = "Media sessions",
    responses((status = 200, description = "Media sessions, open ones first", body = List<Connection>), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn list(State(app): State<App>, _: Streamer) -> Answer<List<Connection>> {
    Answer(List { items: app.plane().diagnose_all().await.iter().map(connection).collect() })
}

#[utoipa::path(
    get,
    path = "/api/connections/{session}",
    summary = "One media session",
    params(("session" = String, Path), ("download" = Option<String>, Query)),
    responses((status = 200, description = "All that is known of it", body = Report), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn read(
    State(app): State<App>,
    _: Streamer,
    Path(session): Path<String>,
    Query(Wanted { download }): Query<Wanted>,
) -> Result<Response, Error> {
    let session: SessionId = session.parse().map_err(|_| Error::not_found())?;
    let diagnosis = app.plane().diagnose(session).await?;
    let (offer, answer) = app.plane().sdp(session).map(|sdp| (sdp.offer, sdp.answer)).unzip();
    let report = Report {
        version: app.settings().version.to_owned(),
        connection: connection(&diagnosis),
        offer,
        answer,
        flight: diagnosis.flight.iter().map(note).collect(),
        notes_lost: diagnosis.notes_lost,
    };
    let mut response = ([(header::CACHE_CONTROL, "no-store")], Answer(report)).into_response();
    if download.is_some_and(|wanted| wanted == "1") {
        let name = format!("attachment; filename=\"oxbow-connection-{session}.json\"");
        let value = name.parse().map_err(|_| Error::not_found())?;
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// Keeps more of a viewer from now on; of a streamer: of the viewers who join from now on.
#[utoipa::path(
    post,
    path = "/api/connections/{session}/trace",
    summary = "Trace a viewer, or the viewers of a streamer",
    params(("session" = String, Path)),
    responses((status = 204, description = "Traced from now on"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn trace(State(app): State<App>, _: Streamer, Path(session): Path<String>) -> Result<StatusCode, Error> {
    set_trace(&app, &session, true).await
}

#[utoipa::path(
    delete,
    path = "/api/connections/{session}/trace",
    summary = "End a trace",
    params(("session" = String, Path)),
    responses((status = 204, description = "Traced no longer"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn untrace(State(app): State<App>, _: Streamer, Path(session): Path<String>) -> Result<StatusCode, Error> {
    set_trace(&app, &session, false).await
}

async fn set_trace(app: &App, session: &str, on: bool) -> Result<StatusCode, Error> {
    let session: SessionId = session.parse().map_err(|_| Error::not_found())?;
    app.plane().trace(session, on).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn connection(of: &Diagnosis) -> Connection {
    let milestones = of.milestones;
    Connection {
        session: of.session.to_string(),
        channel: of.channel.to_string(),
        role: match of.role {
            Role::Publisher => "publisher",
            Role::Viewer => "viewer",
        },
        state: match (of.closed, milestones.connected) {
            (Some(_), _) => "closed",
            (None, Some(_)) => "connected",
            (None, None) => "new",
        },
        opened_at: of.opened_utc_us / 1000,
        path_ms: milestones.path.map(ms),
        connected_ms: milestones.connected.map(ms),
        first_packet_ms: milestones.first_packet.map(ms),
        first_keyframe_ms: milestones.first_keyframe.map(ms),
        closed_ms: of.closed.map(|(at, _)| ms(at)),
        close_reason: of.closed.map(|(_, reason)| reason_name(reason)),
        srtp_profile: of.srtp_profile.map(|profile| match profile {
            SrtpProfile::AeadAes128Gcm => "AEAD_AES_128_GCM",
            SrtpProfile::Aes128CmSha1_80 => "AES128_CM_HMAC_SHA1_80",
        }),
        address: of.address.map(|address| address.to_string()),
        addresses: of.addresses.iter().map(ToString::to_string).collect(),
        estimate: of.estimate,
        sources: of.sources.iter().map(source).collect(),
        packets_in: of.packets_in,
        packets_out: of.packets_out,
        drops: of.drops.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
    }
}

fn source(of: &SourceDiagnosis) -> Source {
    Source {
        mid: of.mid.to_string(),
        rid: of.rid.as_deref().map(str::to_owned),
        ssrc: of.ssrc,
        height: of.height,
        packets: of.packets,
        bitrate: of.bitrate,
        lost: of.lost,
        recovered: of.recovered,
    }
}

fn note(note: &Note) -> Value {
    let mut told = what(&note.what);
    told["atMs"] = ms(note.at).into();
    told["work"] = note.work.into();
    told
}

fn what(what: &What) -> Value {
    let counted = |name, count: u32| json!({"what": name, "count": count});
    match what {
        What::Connected => json!({"what": "connected"}),
        What::Packet { head, dropped } => {
            let begin = &head.begin[..usize::from(head.payload).min(head.begin.len())];
            json!({
                "what": "packet",
                "ssrc": head.ssrc,
                "sequence": head.sequence,
                "timestamp": head.timestamp,
                "payloadType": head.payload_type,
                "marker": head.marker,
                "rid": head.name.map(|name| String::from_utf8_lossy(name.text()).into_owned()),
                "repair": head.name.is_some_and(|name| name.repair),
                "payload": head.payload,
                "begin": hex(begin),
                "dropped": dropped.map(|reason| reason.name()),
            })
        }
        What::AskedForPackets(count) => counted("asked-for-packets", *count),
        What::AskedForKeyframes(count) => counted("asked-for-keyframes", *count),
        What::WantedPackets(count) => counted("wanted-packets", *count),
        What::Repaired(count) => counted("repaired", *count),
        What::WantedKeyframes(count) => counted("wanted-keyframes", *count),
        What::Stream(stream) => json!({
            "what": "stream",
            "section": stream.section,
            "ssrc": stream.ssrc,
            "first": stream.first,
        }),
        What::Feedback(compound) => json!({"what": "feedback", "rtcp": hex(compound)}),
        What::Moved(to) => json!({"what": "moved", "address": to.to_string()}),
        What::Preferred(quality) => {
            let height = match quality {
                Quality::Auto => None,
                Quality::AtMost(height) => Some(height),
            };
            json!({"what": "preferred", "height": height})
        }
        What::Stands(standing) => json!({
            "what": "stands",
            "section": standing.section,
            "layer": standing.layer,
            "target": standing.target,
            "spatial": bounded(standing.top.spatial),
            "temporal": bounded(standing.top.temporal),
            "awaitsKeyframe": standing.awaits_keyframe,
            "behind": standing.behind,
            "paused": standing.paused,
        }),
        What::Carries(carries) => {
            json!({"what": "carries", "bitrate": carries.bitrate, "congested": carries.congested})
        }
        What::Closed(reason) => json!({"what": "closed", "reason": reason_name(*reason)}),
    }
}

/// The place of a scalable stream's layer; null where none is left out.
fn bounded(layer: u8) -> Option<u8> {
    (layer < u8::MAX).then_some(layer)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reason_name(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Requested => "requested",
        CloseReason::PeerClosed => "peer-closed",
        CloseReason::HandshakeTimeout => "handshake-timeout",
        CloseReason::HandshakeFailed => "handshake-failed",
        CloseReason::FingerprintMismatch => "fingerprint-mismatch",
        CloseReason::ConsentLost => "consent-lost",
        CloseReason::TakenOver => "taken-over",
        CloseReason::Fault => "fault",
        CloseReason::Shutdown => "shutdown",
    }
}

/// Milliseconds with microseconds behind the point.
fn ms(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}
