//! Clips of a server that records: how long somebody waits for a replay, and how long a part is on this disk alone.
//!
//! The streams are the test pattern as a streamer's encoder makes it, with sound: every file is decoded at both ends before it is called ready.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use media::message::Codec;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::Options;
use super::files::{encode, pattern};
use crate::peer::{Identity, Offered};
use crate::show::{Show, Streamers};
use crate::target::Target;

/// Of a replay.
const LAST_S: u64 = 30;
/// Before the first request, besides the length of a replay.
const WARM_UP_S: u64 = 5;
/// What every stream sends over and over.
const SHOW_S: u64 = 20;
/// Between two looks whether it is there.
const LOOK: Duration = Duration::from_millis(20);
/// The longest wait for one.
const PATIENCE: Duration = Duration::from_secs(60);
/// A player's first request.
const FIRST_BYTES: &str = "bytes=0-65535";

pub(super) struct Waits {
    /// From a request to the first bytes of its file.
    pub playable_ms: Vec<f64>,
    /// From the cut of a part to its row in the index.
    pub stored_ms: Vec<f64>,
}

pub(super) async fn measure(options: &Options) -> Result<Waits> {
    // No part ends by itself meanwhile.
    let target =
        Target::open_with(&[("RECORD_STREAMS", "true"), ("CLIP_LENGTH", "3600"), ("CLIP_SIZE", "10000")]).await?;
    let identity = Identity::generate(Offered::LikeChromium);
    let channels: Vec<String> = (0..options.streams).map(|number| format!("bench-{number}")).collect();
    let pattern = pattern(codec(options), options.bitrate);
    let show = Show::new(&pattern, &encode(&pattern, SHOW_S)?, Duration::from_secs(SHOW_S))?;
    let streamers = Streamers::start(&target, &identity, &channels, show).await?;
    tokio::time::sleep(Duration::from_secs(LAST_S + WARM_UP_S)).await;
    let mut waits = Waits { playable_ms: Vec::new(), stored_ms: Vec::new() };
    for channel in channels.iter().cycle().take(options.requests) {
        waits.playable_ms.push(playable(&target, channel).await?);
    }
    for channel in channels.iter().take(options.requests) {
        waits.stored_ms.push(stored(&target, channel).await?);
    }
    streamers.end()?;
    Ok(waits)
}

/// Of the pictures: what [`Show`] can send.
pub(super) fn codec(options: &Options) -> Codec {
    if options.codec == Codec::Vp8 { Codec::Vp8 } else { Codec::H264 }
}

/// Asks for a replay and waits until a player has its beginning; milliseconds.
async fn playable(target: &Target, channel: &str) -> Result<f64> {
    let began = Instant::now();
    let asked = ask(target, channel, json!({ "last": LAST_S })).await?;
    let id = asked["clip"]["id"].as_str().context("no clip in the answer")?.to_owned();
    while began.elapsed() < PATIENCE {
        let path = format!("api/clips/{id}/media");
        let answer = target.request(Method::GET, &path)?.header(header::RANGE, FIRST_BYTES).send().await?;
        if answer.status() == StatusCode::PARTIAL_CONTENT {
            let bytes = answer.bytes().await?;
            let took = began.elapsed().as_secs_f64() * 1000.0;
            ensure!(is_begin_of_file(&bytes), "{channel}: what is played is no file");
            return Ok(took);
        }
        let clip = get(target, &format!("api/clips/{id}")).await?;
        ensure!(clip["state"] != "failed", "{channel}: no replay: {}", clip["error"]);
        tokio::time::sleep(LOOK).await;
    }
    bail!("{channel}: no replay within {PATIENCE:?}")
}

/// `ftyp` of MP4, or the magic number of EBML.
fn is_begin_of_file(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp") || bytes.starts_with(&[0x1a, 0x45, 0xdf, 0xa3])
}

/// Cuts the running part and waits until it is stored, verified and indexed; milliseconds since the cut, from when on it is listed.
async fn stored(target: &Target, channel: &str) -> Result<f64> {
    let began = Instant::now();
    ask(target, channel, json!({})).await?;
    let mut cut: Option<Instant> = None;
    while began.elapsed() < PATIENCE {
        let listed = get(target, &format!("api/clips?channel={channel}&kind=part&limit=5")).await?;
        let clips = listed["items"].as_array().context("no list of clips")?;
        if let Some(part) = clips.iter().find(|clip| clip["cause"] == "request") {
            let cut = *cut.get_or_insert_with(Instant::now);
            match part["state"].as_str() {
                Some("stored") => return Ok(cut.elapsed().as_secs_f64() * 1000.0),
                Some("failed") => bail!("{channel}: no clip of the part: {}", part["error"]),
                _ => {}
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("{channel}: the part is not stored within {PATIENCE:?}")
}

async fn ask(target: &Target, channel: &str, wanted: Value) -> Result<Value> {
    let path = format!("api/channels/{channel}/clip");
    let request = target.request(Method::POST, &path)?.header(header::CONTENT_TYPE, "application/json");
    let answer = request.body(wanted.to_string()).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == StatusCode::ACCEPTED, "{channel}: {status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

async fn get(target: &Target, path: &str) -> Result<Value> {
    let answer = target.request(Method::GET, path)?.send().await?.error_for_status()?;
    Ok(serde_json::from_str(&answer.text().await?)?)
}
