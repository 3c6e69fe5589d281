//! Files and those who wait for them: made of a long recording by the worker's code ([`files`]), and of a server that records many streams
//! ([`live`]).

mod files;
mod live;

use anyhow::Result;
use clap::builder::RangedU64ValueParser;
use media::message::Codec;
use serde::Serialize;

use self::files::Files;
pub(super) use self::files::write_journal;
use super::Line;
use crate::figures::{percentile, round};
use crate::process::load;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// vp8, vp9, h264 or av1. The live is sent in VP8 or H.264: in H.264 for the others too.
    #[arg(long, default_value = "h264", value_parser = codec)]
    codec: Codec,
    /// Length of the recording in minutes.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
    /// Of the picture, bits per second.
    #[arg(long, default_value_t = 2_500_000)]
    bitrate: u32,
    /// Broadcasts that the server records while replays are asked for.
    #[arg(long, default_value_t = 50, value_parser = RangedU64ValueParser::<usize>::new().range(1..=200))]
    streams: usize,
    /// Replays that are asked for, one after the other, and then parts that are cut, at most one of each stream.
    #[arg(long, default_value_t = 40, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    requests: usize,
}

pub(super) fn codec(name: &str) -> Result<Codec, String> {
    match name {
        "vp8" => Ok(Codec::Vp8),
        "vp9" => Ok(Codec::Vp9),
        "h264" => Ok(Codec::H264),
        "av1" => Ok(Codec::Av1),
        other => Err(format!("no codec of pictures: {other}")),
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    case: &'static str,
    export_x_realtime: f64,
    /// From the request of a clip of the last 30 s to the first bytes of its file.
    request_to_playable_ms_p50: f64,
    request_to_playable_ms_p95: f64,
    /// From the cut of a part to where it is stored, verified and indexed.
    cut_to_stored_ms_p95: f64,
    #[serde(flatten)]
    files: Files,
    live_codec: &'static str,
    streams: usize,
    requests: usize,
    machine_load: f64,
}

/// # Errors
/// When there is no room, no encoder, a file cannot be made, or the server does not start or record.
pub async fn run(options: Options) -> Result<Line> {
    let files = files::measure(&options).await?;
    let mut waits = live::measure(&options).await?;
    let ms = |values: &mut Vec<f64>, share| round(percentile(values, share), 0);
    Ok(serde_json::to_value(Figures {
        case: "clip",
        export_x_realtime: files.x_realtime(),
        request_to_playable_ms_p50: ms(&mut waits.playable_ms, 0.5),
        request_to_playable_ms_p95: ms(&mut waits.playable_ms, 0.95),
        cut_to_stored_ms_p95: ms(&mut waits.stored_ms, 0.95),
        files,
        live_codec: if live::codec(&options) == Codec::Vp8 { "vp8" } else { "h264" },
        streams: options.streams,
        requests: options.requests,
        machine_load: load()?,
    })?)
}
