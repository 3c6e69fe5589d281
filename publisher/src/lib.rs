//! The WHIP client behind `oxbow publish`: sends the test pattern to any WHIP server (RFC 9725) at its own pace, drops nothing, and
//! comes back when the server went away.
//!
//! An independent stack (the async `webrtc` crate) on purpose: what the server does with it, it does with strangers.
//!
//! Not here: how pictures and sound are made (`pipeline::source`), and what a server does with them.

mod connection;
mod keyframes;
mod live;
mod stream;
mod vp9;
mod whip;

use std::fmt;
use std::time::Duration;

use pipeline::source::{SourceError, TestPattern};
use tokio_util::sync::CancellationToken;
use url::Url;

/// The key that a streamer proves itself with. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey(String);

impl StreamKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Debug)]
pub struct PublisherConfig {
    /// Where offers are posted, `http://host:port/whip/channel`.
    pub whip_url: Url,
    pub key: StreamKey,
    /// Codec, size, rate and bitrate.
    pub pattern: TestPattern,
    /// Media to send before it stops by itself; `None`: until it is told to.
    pub duration: Option<Duration>,
    /// Timestamps, sequence numbers and picture ids begin so that they wrap in the middle of the live: the first about so long after the
    /// first packet, the others not long before. `None`: they begin anywhere.
    pub wrap_after: Option<Duration>,
    /// So often pictures change between their size and three quarters of it; `None`: never.
    pub resize_every: Option<Duration>,
}

impl PublisherConfig {
    /// Three quarters of the pattern's, even.
    fn smaller(&self) -> TestPattern {
        let quarters = |side: u16| (u32::from(side) * 3 / 4) as u16 & !1;
        let (width, height) = (quarters(self.pattern.width), quarters(self.pattern.height));
        TestPattern { width, height, ..self.pattern.clone() }
    }
}

/// What was sent, after an ordered end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Pictures, numbered 0 to `pictures - 1`.
    pub pictures: u64,
    /// Packets of sound.
    pub sounds: u64,
    /// Connections that were made; more than one: the server went away in between.
    pub connections: u32,
}

/// Why publishing ended before its time. What can pass by itself (network, 5xx) is retried and never ends up here.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Source(#[from] SourceError),
    /// 401 or 403.
    #[error("the server does not accept this stream key")]
    WrongKey,
    /// 409 on the first attempt.
    #[error("the channel is on air from another connection")]
    Busy,
    /// Any other refusal that trying again would not change.
    #[error("the server refused with status {status}: {detail}")]
    Refused { status: u16, detail: String },
    /// The library could not set up its side.
    #[error("WebRTC: {0}")]
    Peer(String),
}

/// Publishes until the duration is over, `stop` is cancelled or the server refuses.
///
/// # Errors
/// [`PublishError`].
pub async fn run(config: PublisherConfig, stop: CancellationToken) -> Result<Report, PublishError> {
    config.pattern.check()?;
    if config.resize_every.is_some() {
        config.smaller().check()?;
    }
    live::run(config, stop).await
}
