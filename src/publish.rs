//! `oxbow publish`: a test pattern through the real WHIP path, for demonstrations and tests.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use media::message::Codec;
use pipeline::source::TestPattern;
use publisher::{PublisherConfig, StreamKey};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::Config;
use crate::key;
use crate::shutdown::Signals;

/// What to publish, and where.
#[derive(Args)]
pub struct Publish {
    /// Address of the WHIP endpoint.
    #[arg(long, required_unless_present = "demo", value_name = "http://HOST:PORT/whip/CHANNEL")]
    url: Option<Url>,
    /// The stream key. A process list shows arguments: prefer --key-file where others share the machine.
    #[arg(long, required_unless_present_any = ["demo", "key_file"])]
    key: Option<String>,
    /// File that holds the stream key.
    #[arg(long, conflicts_with = "key")]
    key_file: Option<std::path::PathBuf>,
    /// To the server of these settings on this machine, with its key; waits for it to start.
    #[arg(long, conflicts_with_all = ["url", "key", "key_file"])]
    demo: bool,
    /// VP8 unless said otherwise; with --demo one that can be rewound, H.264 where there is an encoder for it.
    #[arg(long, value_enum)]
    codec: Option<VideoCodec>,
    /// Stop after so many seconds of media.
    #[arg(long)]
    seconds: Option<u64>,
    /// Pictures per second.
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// Pixels, WIDTHxHEIGHT.
    #[arg(long, default_value = "640x360", value_parser = size)]
    size: (u16, u16),
    /// Kilobits per second of the pictures.
    #[arg(long, default_value_t = 800)]
    bitrate: u32,
    /// Pictures only.
    #[arg(long)]
    silent: bool,
    /// Timestamps and sequence numbers wrap after about so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    wrap_after: Option<u64>,
    /// Change between the size and three quarters of it so often.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    resize_every: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum VideoCodec {
    Vp8,
    Vp9,
    H264,
    Av1,
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let read = || {
        let (width, height) = text.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    };
    read().ok_or_else(|| "is WIDTHxHEIGHT, such as 640x360".to_owned())
}

pub async fn publish(asked: Publish) -> ExitCode {
    match run(asked).await {
        Ok(report) => {
            eprintln!(
                "sent {} pictures and {} packets of sound over {} connections",
                report.pictures, report.sounds, report.connections
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("oxbow publish: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(asked: Publish) -> Result<publisher::Report, Box<dyn std::error::Error>> {
    let stop = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let told = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        told.cancel();
    });
    let (whip_url, key) = match (&asked.url, &asked.key, &asked.key_file) {
        (Some(url), Some(key), _) => (url.clone(), key.clone()),
        (Some(url), None, Some(file)) => (url.clone(), std::fs::read_to_string(file)?.trim().to_owned()),
        _ => demo(&stop).await?,
    };
    let (width, height) = asked.size;
    let codec = match asked.codec {
        None if asked.demo => pipeline::source::rewindable(),
        None | Some(VideoCodec::Vp8) => Codec::Vp8,
        Some(VideoCodec::Vp9) => Codec::Vp9,
        Some(VideoCodec::H264) => Codec::H264,
        Some(VideoCodec::Av1) => Codec::Av1,
    };
    let pattern =
        TestPattern { codec, width, height, fps: asked.fps, bitrate: asked.bitrate * 1000, sound: !asked.silent };
    let duration = asked.seconds.map(Duration::from_secs);
    let (wrap_after, resize_every) =
        (asked.wrap_after.map(Duration::from_secs), asked.resize_every.map(Duration::from_secs));
    let key = StreamKey::new(key);
    let config = PublisherConfig { whip_url, key, pattern, duration, wrap_after, resize_every };
    Ok(publisher::run(config, stop).await?)
}

/// The server of these settings, once it has its key.
async fn demo(stop: &CancellationToken) -> Result<(Url, String), Box<dyn std::error::Error>> {
    let config = Config::load()?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://localhost:{}/whip/main", config.port))?;
    if let Some(key) = &config.stream_key {
        return Ok((url, key.expose().to_owned()));
    }
    let file = key::file(Path::new(&config.data_dir));
    loop {
        match std::fs::read_to_string(&file) {
            Ok(text) => return Ok((url, text.trim().to_owned())),
            // The server writes it when it starts; whoever waits may give up.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(200))).await.is_none() {
                    return Err("stopped before the server had started".into());
                }
            }
            Err(error) => return Err(format!("{}: {error}", file.display()).into()),
        }
    }
}
