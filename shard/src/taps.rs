//! The one queue from the shards to the recorder: bounded, and never waited for by a shard.
//!
//! When it is full, the units of a track are dropped up to the next keyframe (sound: until the pictures are back, at
//! most [`SOUND_WAITS_NS`]); what was dropped is named by a [`TapFact::Gap`] with [`GapReason::Overrun`] before the track's next unit. Facts
//! that a recording cannot do without (opened, config, closed) are kept here until there is room: one of each per track.
//! What a recorder does with the items does not belong here.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

use media::id::{BroadcastId, TrackId};
use media::message::{AccessUnit, CodecConfig, EndReason, GapReason, TapFact, TapItem};

/// Sound after an overrun waits this long for a keyframe of the pictures, in nanoseconds of media time.
const SOUND_WAITS_NS: u64 = 5_000_000_000;

/// The recorder's end: all broadcasts, each in order.
#[derive(Debug)]
pub struct Taps {
    items: Receiver<TapItem>,
}

/// Why there is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapError {
    #[error("nothing within the time given")]
    Timeout,
    /// The media plane has stopped and everything was delivered.
    #[error("the media plane has stopped")]
    Closed,
}

impl Taps {
    /// Waits for the next item, at most `timeout`.
    ///
    /// # Errors
    /// [`TapError::Timeout`], or [`TapError::Closed`] after the last item.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<TapItem, TapError> {
        self.items.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => TapError::Timeout,
            RecvTimeoutError::Disconnected => TapError::Closed,
        })
    }

    /// The next item if one is there.
    ///
    /// # Errors
    /// [`TapError::Timeout`] when none is there, [`TapError::Closed`] after the last item.
    pub fn try_recv(&mut self) -> Result<TapItem, TapError> {
        self.items.try_recv().map_err(|error| match error {
            TryRecvError::Empty => TapError::Timeout,
            TryRecvError::Disconnected => TapError::Closed,
        })
    }
}

/// Counters since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapFigures {
    pub items: u64,
    /// Access units dropped because the queue was full.
    pub dropped_units: u64,
    /// Times that a track began to be dropped.
    pub overruns: u64,
}

/// The shard's end.
pub struct TapSender {
    items: SyncSender<TapItem>,
    streams: BTreeMap<BroadcastId, Stream>,
    figures: TapFigures,
}

/// A queue of at most `bound` items.
pub fn queue(bound: usize) -> (TapSender, Taps) {
    let (sender, receiver) = sync_channel(bound.max(1));
    (TapSender { items: sender, streams: BTreeMap::new(), figures: TapFigures::default() }, Taps { items: receiver })
}

/// What the queue still owes about one broadcast, beside the items that are in it.
#[derive(Default)]
struct Stream {
    opened: Option<TapFact>,
    tracks: BTreeMap<TrackId, Track>,
    closed: Option<TapFact>,
}

#[derive(Default)]
struct Track {
    pictures: bool,
    config: Option<CodecConfig>,
    orientation: Option<TapFact>,
    lost: Option<Lost>,
}

/// The time that was dropped, on the broadcast's timeline.
#[derive(Clone, Copy)]
struct Lost {
    from_ns: u64,
    to_ns: u64,
}

/// What an offered item led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    Fine,
    /// An overrun began: a keyframe of this broadcast is wanted soon.
    WantsKeyframe(BroadcastId),
}

impl TapSender {
    /// Another shard's end of the same queue.
    pub fn another(&self) -> TapSender {
        TapSender { items: self.items.clone(), streams: BTreeMap::new(), figures: TapFigures::default() }
    }

    pub fn figures(&self) -> TapFigures {
        self.figures
    }

    /// Broadcasts whose last fact has not been offered yet.
    pub fn open_broadcasts(&self) -> Vec<BroadcastId> {
        self.streams.iter().filter(|(_, stream)| stream.closed.is_none()).map(|(id, _)| *id).collect()
    }

    /// True while facts wait for room; [`TapSender::settle`] delivers them.
    pub fn owes(&self) -> bool {
        self.streams.values().any(|stream| stream.opened.is_some() || stream.closed.is_some())
    }

    /// Takes one item of a broadcast, in order.
    pub fn offer(&mut self, item: TapItem) -> Offered {
        let TapItem { broadcast, fact } = item;
        let mut stream = self.streams.remove(&broadcast).unwrap_or_default();
        let before = self.figures.overruns;
        match fact {
            TapFact::Opened { .. } => {
                if self.put(broadcast, fact.clone()).is_err() {
                    stream.opened = Some(fact);
                }
            }
            TapFact::Config { track, config } => self.offer_config(broadcast, &mut stream, track, config),
            TapFact::Orientation { track, .. } => self.offer_orientation(broadcast, &mut stream, track, fact),
            TapFact::Unit(unit) => self.offer_unit(broadcast, &mut stream, unit),
            TapFact::Gap { track, from_ns, to_ns, .. } => {
                if stream.opened.is_some() || self.put(broadcast, fact).is_err() {
                    let figures = &mut self.figures;
                    for (id, at) in &mut stream.tracks {
                        if track.is_none_or(|only| only == *id) {
                            at.lose(from_ns, to_ns, figures);
                        }
                    }
                }
            }
            // Proof of synchronisation comes again every few seconds.
            TapFact::Clock { .. } => drop(self.put(broadcast, fact)),
            TapFact::Closed { .. } => stream.closed = Some(fact),
        }
        if stream.closed.is_none() || self.settle_stream(broadcast, &mut stream).is_err() {
            self.streams.insert(broadcast, stream);
        }
        if self.figures.overruns > before { Offered::WantsKeyframe(broadcast) } else { Offered::Fine }
    }

    /// Delivers what waited, as far as there is room.
    pub fn settle(&mut self) {
        for (broadcast, mut stream) in std::mem::take(&mut self.streams) {
            let settled = self.settle_stream(broadcast, &mut stream);
            if stream.closed.is_none() || settled.is_err() {
                self.streams.insert(broadcast, stream);
            }
        }
    }

    /// Ends a broadcast whose own end will never come, for example because its shard failed.
    pub fn close(&mut self, broadcast: BroadcastId, utc_us: u64, reason: EndReason) {
        self.offer(TapItem { broadcast, fact: TapFact::Closed { utc_us, reason } });
    }

    fn offer_config(&mut self, broadcast: BroadcastId, stream: &mut Stream, id: TrackId, config: CodecConfig) {
        let track = stream.tracks.entry(id).or_default();
        track.pictures = config.codec.is_video();
        let waits = stream.opened.is_some() || track.lost.is_some() || track.config.is_some();
        if waits || self.put(broadcast, TapFact::Config { track: id, config: config.clone() }).is_err() {
            track.config = Some(config);
        }
    }

    fn offer_orientation(&mut self, broadcast: BroadcastId, stream: &mut Stream, id: TrackId, fact: TapFact) {
        let track = stream.tracks.entry(id).or_default();
        let waits = stream.opened.is_some() || track.lost.is_some() || track.config.is_some();
        if waits || self.put(broadcast, fact.clone()).is_err() {
            track.orientation = Some(fact);
        }
    }

    fn offer_unit(&mut self, broadcast: BroadcastId, stream: &mut Stream, unit: AccessUnit) {
        let (id, key, pts_ns) = (unit.track, unit.key, unit.pts_ns);
        let pictures_lost = stream.tracks.values().any(|track| track.pictures && track.lost.is_some());
        let track = stream.tracks.entry(id).or_default();
        let may_resume = track.lost.is_none_or(|lost| {
            if track.pictures { key } else { !pictures_lost || pts_ns >= lost.from_ns.saturating_add(SOUND_WAITS_NS) }
        });
        let delivered = may_resume
            && self.settle_track(broadcast, &mut stream.opened, id, track, Some(pts_ns)).is_ok()
            && { self.put(broadcast, TapFact::Unit(unit)).is_ok() };
        if !delivered {
            self.figures.dropped_units += 1;
            track.lose(pts_ns, pts_ns, &mut self.figures);
        }
    }

    /// Everything that must stand before the next unit of a track. What was put is no longer owed.
    fn settle_track(
        &mut self,
        broadcast: BroadcastId,
        opened: &mut Option<TapFact>,
        id: TrackId,
        track: &mut Track,
        resumes_at_ns: Option<u64>,
    ) -> Result<(), Full> {
        if let Some(fact) = opened {
            self.put(broadcast, fact.clone())?;
            *opened = None;
        }
        if let Some(lost) = track.lost {
            let to_ns = resumes_at_ns.unwrap_or(lost.to_ns);
            let gap = TapFact::Gap { track: Some(id), from_ns: lost.from_ns, to_ns, reason: GapReason::Overrun };
            self.put(broadcast, gap)?;
            track.lost = None;
        }
        if let Some(config) = &track.config {
            self.put(broadcast, TapFact::Config { track: id, config: config.clone() })?;
            track.config = None;
        }
        if let Some(orientation) = &track.orientation {
            self.put(broadcast, orientation.clone())?;
            track.orientation = None;
        }
        Ok(())
    }

    /// The opening fact of a stream and, if it is closed, the rest of it.
    fn settle_stream(&mut self, broadcast: BroadcastId, stream: &mut Stream) -> Result<(), Full> {
        if let Some(fact) = &stream.opened {
            self.put(broadcast, fact.clone())?;
            stream.opened = None;
        }
        if let Some(closed) = &stream.closed {
            for (id, track) in &mut stream.tracks {
                self.settle_track(broadcast, &mut stream.opened, *id, track, None)?;
            }
            self.put(broadcast, closed.clone())?;
        }
        Ok(())
    }

    fn put(&mut self, broadcast: BroadcastId, fact: TapFact) -> Result<(), Full> {
        match self.items.try_send(TapItem { broadcast, fact }) {
            Ok(()) => {
                self.figures.items += 1;
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(Full),
            // Nobody records any more; the recorder's end is the process's business.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Full;

impl Track {
    fn lose(&mut self, from_ns: u64, to_ns: u64, figures: &mut TapFigures) {
        match &mut self.lost {
            Some(lost) => {
                lost.from_ns = lost.from_ns.min(from_ns);
                lost.to_ns = lost.to_ns.max(to_ns);
            }
            None => {
                self.lost = Some(Lost { from_ns, to_ns });
                figures.overruns += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::message::{Codec, Orientation};

    const B: BroadcastId = BroadcastId(7);
    const PICTURE: TrackId = TrackId(0);
    const SOUND: TrackId = TrackId(1);

    fn item(fact: TapFact) -> TapItem {
        TapItem { broadcast: B, fact }
    }

    fn opened() -> TapItem {
        item(TapFact::Opened { channel: "main".parse().unwrap(), media_zero_utc_us: 1 })
    }

    fn config(track: TrackId, codec: Codec) -> TapItem {
        let config = CodecConfig { codec, width: 0, height: 0, channels: 0, parameter_sets: Bytes::new() };
        item(TapFact::Config { track, config })
    }

    fn unit(track: TrackId, key: bool, pts_ns: u64) -> TapItem {
        item(TapFact::Unit(AccessUnit {
            track,
            key,
            pts_ns,
            dts_ns: pts_ns,
            utc_us: 0,
            first_seq: 0,
            last_seq: 0,
            data: Bytes::new(),
        }))
    }

    fn closed() -> TapItem {
        item(TapFact::Closed { utc_us: 9, reason: EndReason::Stopped })
    }

    /// Everything in the queue, one word each.
    fn drain(taps: &mut Taps) -> Vec<String> {
        let word = |fact: TapFact| match fact {
            TapFact::Opened { .. } => "opened".into(),
            TapFact::Config { track, .. } => format!("config{}", track.0),
            TapFact::Unit(unit) => format!("{}{}@{}", if unit.key { "K" } else { "u" }, unit.track.0, unit.pts_ns),
            TapFact::Gap { track, from_ns, to_ns, reason } => {
                format!("gap{:?}:{from_ns}-{to_ns}:{reason:?}", track.map(|t| t.0))
            }
            TapFact::Orientation { track, orientation, .. } => format!("turned{}:{}", track.0, orientation.quarters()),
            TapFact::Clock { .. } => "clock".into(),
            TapFact::Closed { .. } => "closed".into(),
        };
        std::iter::from_fn(|| taps.try_recv().ok()).map(|item| word(item.fact)).collect()
    }

    #[test]
    fn with_room_everything_passes_in_order() {
        let (mut sender, mut taps) = queue(16);
        for item in [opened(), config(PICTURE, Codec::Vp8), unit(PICTURE, true, 0), unit(PICTURE, false, 1), closed()] {
            assert_eq!(sender.offer(item), Offered::Fine);
        }
        assert_eq!(drain(&mut taps), ["opened", "config0", "K0@0", "u0@1", "closed"]);
        assert!(!sender.owes() && sender.open_broadcasts().is_empty());
    }

    #[test]
    fn an_overrun_drops_to_the_next_keyframe_and_names_the_gap() {
        let (mut sender, mut taps) = queue(4);
        for item in [opened(), config(PICTURE, Codec::Vp8), config(SOUND, Codec::Opus), unit(PICTURE, true, 10)] {
            sender.offer(item);
        }
        assert_eq!(sender.offer(unit(SOUND, true, 15)), Offered::WantsKeyframe(B));
        assert_eq!(sender.offer(unit(PICTURE, false, 20)), Offered::WantsKeyframe(B));
        assert_eq!(drain(&mut taps), ["opened", "config0", "config1", "K0@10"]);
        // Room again, but neither a delta picture nor sound without its picture goes on.
        assert_eq!(sender.offer(unit(PICTURE, false, 30)), Offered::Fine);
        assert_eq!(sender.offer(unit(SOUND, true, 35)), Offered::Fine);
        assert_eq!(sender.offer(unit(PICTURE, true, 40)), Offered::Fine);
        assert_eq!(sender.offer(unit(SOUND, true, 45)), Offered::Fine);
        assert_eq!(
            drain(&mut taps),
            ["gapSome(0):20-40:Overrun", "K0@40", "gapSome(1):15-45:Overrun", "u1@45".replace('u', "K").as_str()]
        );
        assert_eq!(sender.figures().dropped_units, 4);
        assert_eq!(sender.figures().overruns, 2);
    }

    #[test]
    fn sound_does_not_wait_for_pictures_for_ever() {
        let (mut sender, mut taps) = queue(3);
        for item in [config(PICTURE, Codec::Vp8), config(SOUND, Codec::Opus), unit(PICTURE, true, 0)] {
            sender.offer(item);
        }
        sender.offer(unit(PICTURE, false, 1));
        sender.offer(unit(SOUND, true, 1));
        drain(&mut taps);
        sender.offer(unit(SOUND, true, SOUND_WAITS_NS));
        assert!(drain(&mut taps).is_empty());
        sender.offer(unit(SOUND, true, SOUND_WAITS_NS + 1));
        assert_eq!(drain(&mut taps), ["gapSome(1):1-5000000001:Overrun", "K1@5000000001"]);
    }

    #[test]
    fn a_change_of_format_during_an_overrun_is_not_lost() {
        let (mut sender, mut taps) = queue(2);
        sender.offer(config(PICTURE, Codec::H264));
        sender.offer(unit(PICTURE, true, 0));
        sender.offer(unit(PICTURE, false, 1));
        sender.offer(config(PICTURE, Codec::H264));
        sender.offer(config(PICTURE, Codec::H264));
        drain(&mut taps);
        // Two places: gap and config fit, the unit does not, so that the track loses again.
        sender.offer(unit(PICTURE, true, 2));
        assert_eq!(drain(&mut taps), ["gapSome(0):1-2:Overrun", "config0"]);
        sender.offer(unit(PICTURE, true, 3));
        assert_eq!(drain(&mut taps), ["gapSome(0):2-3:Overrun", "K0@3"]);
    }

    #[test]
    fn a_turn_during_an_overrun_is_not_lost() {
        let turned = |quarters| {
            let orientation = Orientation::from_byte(quarters);
            item(TapFact::Orientation { track: PICTURE, from_ns: 0, orientation })
        };
        let (mut sender, mut taps) = queue(3);
        for item in [config(PICTURE, Codec::H264), turned(1), unit(PICTURE, true, 0), unit(PICTURE, false, 1)] {
            sender.offer(item);
        }
        for item in [turned(2), turned(3), unit(PICTURE, false, 2)] {
            sender.offer(item);
        }
        assert_eq!(drain(&mut taps), ["config0", "turned0:1", "K0@0"]);
        sender.offer(unit(PICTURE, true, 3));
        assert_eq!(drain(&mut taps), ["gapSome(0):1-3:Overrun", "turned0:3", "K0@3"]);
    }

    #[test]
    fn opening_and_end_wait_for_room() {
        let (mut sender, mut taps) = queue(1);
        sender.offer(TapItem { broadcast: BroadcastId(1), fact: closed().fact });
        sender.offer(opened());
        sender.offer(config(PICTURE, Codec::Vp8));
        sender.offer(unit(PICTURE, true, 5));
        sender.offer(closed());
        assert!(sender.owes());
        let mut words = drain(&mut taps);
        while sender.owes() {
            sender.settle();
            words.extend(drain(&mut taps));
        }
        assert_eq!(words, ["closed", "opened", "gapSome(0):5-5:Overrun", "config0", "closed"]);
    }

    #[test]
    fn without_a_recorder_nothing_is_owed() {
        let (mut sender, taps) = queue(1);
        drop(taps);
        for item in [opened(), config(PICTURE, Codec::Vp8), unit(PICTURE, true, 5), closed()] {
            assert_eq!(sender.offer(item), Offered::Fine);
        }
        assert!(!sender.owes());
    }

    #[test]
    fn the_end_of_the_shard_closes_the_queue() {
        let (sender, mut taps) = queue(1);
        assert_eq!(taps.try_recv().err(), Some(TapError::Timeout));
        drop(sender);
        assert_eq!(taps.recv_timeout(Duration::from_secs(1)).err(), Some(TapError::Closed));
    }
}
