//! The live from its first picture to its last, across connections: takes units from the source, waits until each is due, sends it.

use std::time::{Duration, SystemTime};

use pipeline::source::{Encoded, KeyframeHandle, Kind, SourceError, TestPattern};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::whip::{OfferError, Whip};
use crate::{PublishError, PublisherConfig, Report};

/// Units made ahead. Few, so that a keyframe comes soon after it was asked for.
const AHEAD: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After the last unit the connection stands so long, so that lost packets can still be sent again.
const LINGER: Duration = Duration::from_millis(600);

/// Why a connection was left.
enum Left {
    /// Everything was sent, or a stop was asked for.
    Done,
    Lost(String),
}

pub(crate) async fn run(config: PublisherConfig, stop: CancellationToken) -> Result<Report, PublishError> {
    let whip = Whip::new(config.whip_url.clone(), config.key.clone())?;
    let (keyframes, units) = start_source(&config).await?;
    let mut live =
        Live { units, waiting: None, end_ns: config.duration.map(|d| d.as_nanos() as u64), report: Report::default() };
    let mut pause = FIRST_PAUSE;
    loop {
        let opened = tokio::select! {
            opened = Connection::open(&whip, &config, keyframes.clone()) => opened,
            () = stop.cancelled() => return Ok(live.report),
        };
        let reason = match opened {
            Ok(mut connection) => {
                live.report.connections += 1;
                let since = Instant::now();
                tracing::info!(url = %config.whip_url, pictures = live.report.pictures, "on air");
                if live.report.connections > 1 {
                    keyframes.request(); // the very first picture is one anyway
                }
                match live.send(&mut connection, &stop).await? {
                    Left::Done => {
                        connection.end(&whip).await;
                        return Ok(live.report);
                    }
                    Left::Lost(reason) => {
                        connection.drop_it().await;
                        if since.elapsed() > LONGEST_PAUSE {
                            pause = FIRST_PAUSE; // it worked for a while: this is a new trouble
                        }
                        reason
                    }
                }
            }
            Err(OfferError::Never(error)) => return Err(error),
            Err(OfferError::Busy) if live.report.connections == 0 => return Err(PublishError::Busy),
            Err(OfferError::Busy) => "the server still holds the last connection".into(),
            Err(OfferError::Later(reason)) => reason,
        };
        tracing::warn!(reason, pause_ms = pause.as_millis() as u64, "off air; trying again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(live.report),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Live {
    units: mpsc::Receiver<Result<Encoded, SourceError>>,
    /// Taken from the source, but not sent when the last connection was lost.
    waiting: Option<Encoded>,
    end_ns: Option<u64>,
    report: Report,
}

impl Live {
    async fn send(&mut self, connection: &mut Connection, stop: &CancellationToken) -> Result<Left, PublishError> {
        // Moment and wall clock of the first unit of this connection; all others follow from their pts.
        let mut start: Option<(u64, Instant, SystemTime)> = None;
        loop {
            let unit = match self.waiting.take() {
                Some(unit) => unit,
                None => match self.units.recv().await {
                    Some(unit) => unit?,
                    None => return Err(SourceError::Encoder("the source ended".into()).into()),
                },
            };
            if self.end_ns.is_some_and(|end| unit.pts_ns >= end) {
                // Sound and picture come in order of time, so everything before the end was sent.
                tokio::select! {
                    () = tokio::time::sleep(LINGER) => {}
                    () = stop.cancelled() => {}
                }
                return Ok(Left::Done);
            }
            let (first_ns, instant, wall) = *start.get_or_insert((unit.pts_ns, Instant::now(), SystemTime::now()));
            let since = Duration::from_nanos(unit.pts_ns - first_ns);
            let wait = async {
                tokio::select! {
                    () = tokio::time::sleep_until(instant + since) => None,
                    reason = connection.lost() => Some(Left::Lost(reason)),
                    () = stop.cancelled() => Some(Left::Done),
                }
            };
            if let Some(left) = wait.await {
                self.waiting = Some(unit);
                return Ok(left);
            }
            if let Err(error) = connection.send(&unit, wall + since).await {
                self.waiting = Some(unit);
                return Ok(Left::Lost(error));
            }
            match unit.kind {
                Kind::Picture => self.report.pictures += 1,
                Kind::Sound => self.report.sounds += 1,
            }
        }
    }
}

/// Runs the encoders on a thread of their own, a little ahead of what is sent. It ends with the receiver.
async fn start_source(
    config: &PublisherConfig,
) -> Result<(KeyframeHandle, mpsc::Receiver<Result<Encoded, SourceError>>), PublishError> {
    let (units, receiver) = mpsc::channel(AHEAD);
    let (started, ready) = tokio::sync::oneshot::channel();
    let (pattern, smaller) = (config.pattern.clone(), config.smaller());
    let resize_every_ns = config.resize_every.map(|every| every.as_nanos().max(1) as u64);
    let work = move || {
        let mut source = match pattern.start() {
            Ok(source) => source,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let _ = started.send(Ok(source.keyframes()));
        let mut resized = 0;
        loop {
            let resizes = resize_every_ns.map_or(0, |every| source.next_picture_ns() / every);
            let resize = (resizes != resized).then_some(if resizes % 2 == 1 { &smaller } else { &pattern });
            resized = resizes;
            let turned = resize.map_or(Ok(()), |TestPattern { width, height, .. }| source.resize(*width, *height));
            let unit = turned.and_then(|()| source.next_unit());
            let failed = unit.is_err();
            if units.blocking_send(unit).is_err() || failed {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("test pattern".into())
        .spawn(work)
        .map_err(|error| PublishError::Peer(format!("no thread: {error}")))?;
    match ready.await {
        Ok(keyframes) => Ok((keyframes?, receiver)),
        Err(_) => Err(SourceError::Encoder("the source did not start".into()).into()),
    }
}
