//! RTP timestamps of all tracks on the broadcast's one timeline, in nanoseconds since media zero.
//!
//! Between units of one source the sender's spacing is kept exactly. Where a source begins on the timeline is taken from arrival times; once
//! all running tracks have sender reports or capture times, the tracks are laid against each other by those, at a keyframe and only forwards.
//! After that they are followed slowly, and only when they differ by more than rounding and jitter do. A sender that says nothing
//! is followed by arrival.

use crate::limit;
use crate::room::clock::{Anchor, SourceClock};

/// Differences up to this stay: the sender's spacing is worth more. A fifth of what people notice.
const DEAD_BAND_NS: i64 = 5_000_000;
/// A correction under way ends here.
const ALIGNED_NS: i64 = 500_000;
/// Corrections take at most one part of this: 1 ms per second.
const SLEW: i64 = 1000;
/// A source is laid by reports when it has run so long: by then there is more than one, or no more will come soon.
const REPORTS_SETTLE_NS: i64 = 3_000_000_000;
/// Reports that contradict arrival by more than this are not believed.
const ABSURD_NS: i64 = 1_000_000_000;
/// A timestamp that departs from arrival by more than this between two units was reset by the sender.
const RESET_NS: i64 = 5_000_000_000;

/// A unit's place on the sender's and on our clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub source: u32,
    /// Extended RTP timestamp.
    pub timestamp: u64,
    /// Our clock at its arrival, freed from delays of the network as far as they are known.
    pub arrival_utc_us: u64,
    /// Tracks may be laid against each other here: a keyframe, or sound in a broadcast without pictures.
    pub may_step: bool,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    source: u32,
    rate: u32,
    base_timestamp: u64,
    base_ns: i64,
    /// Where the source began.
    start_ns: i64,
    /// Laid by reports.
    locked: bool,
    slewing: bool,
    arrival_utc_us: u64,
}

impl Mapping {
    fn ns(&self, timestamp: u64) -> i64 {
        let ticks = timestamp.wrapping_sub(self.base_timestamp) as i64;
        self.base_ns + (i128::from(ticks) * 1_000_000_000 / i128::from(self.rate)) as i64
    }
}

/// See the head of this module.
#[derive(Debug)]
pub struct Timeline {
    zero_utc_us: u64,
    /// Laid on top of what reports say, so that no track had to step back.
    shift_ns: Option<i64>,
    mappings: [Option<Mapping>; limit::TRACKS],
    last: [Option<u64>; limit::TRACKS],
}

impl Timeline {
    /// Media zero is this wall clock.
    pub fn new(zero_utc_us: u64) -> Self {
        Self { zero_utc_us, shift_ns: None, mappings: [None; limit::TRACKS], last: [None; limit::TRACKS] }
    }

    /// Wall clock of a moment of the timeline.
    pub fn utc_us(&self, pts_ns: u64) -> u64 {
        self.zero_utc_us + pts_ns / 1000
    }

    /// Another sender connected: what its reports say has nothing to do with the old one's.
    pub fn begin_sender(&mut self) {
        self.shift_ns = None;
        self.mappings = [None; limit::TRACKS];
    }

    /// Where the next unit of a track lies; strictly after the one before. `None` before media zero. `clocks` are those of all tracks, `rate` is of this one in Hz.
    pub fn place(&mut self, track: usize, rate: u32, at: Moment, clocks: &[SourceClock]) -> Option<u64> {
        let continues = self.mappings[track].is_some_and(|mapping| mapping.source == at.source);
        if !continues || self.was_reset(track, at) {
            self.begin(track, rate, at);
        }
        if at.may_step {
            self.lay(clocks);
        }
        self.follow(track, at, &clocks[track]);
        let mapping = self.mappings[track].as_mut()?;
        mapping.arrival_utc_us = at.arrival_utc_us;
        let ns = mapping.ns(at.timestamp);
        let pts = match self.last[track] {
            Some(last) => u64::try_from(ns).unwrap_or(0).max(last + 1),
            None => u64::try_from(ns).ok()?,
        };
        self.last[track] = Some(pts);
        Some(pts)
    }

    fn begin(&mut self, track: usize, rate: u32, at: Moment) {
        let base_ns = self.since_zero(at.arrival_utc_us).max(self.last[track].map_or(i64::MIN, |last| last as i64 + 1));
        self.mappings[track] = Some(Mapping {
            source: at.source,
            rate,
            base_timestamp: at.timestamp,
            base_ns,
            start_ns: base_ns,
            locked: false,
            slewing: false,
            arrival_utc_us: at.arrival_utc_us,
        });
    }

    fn was_reset(&self, track: usize, at: Moment) -> bool {
        let (Some(mapping), Some(last)) = (self.mappings[track], self.last[track]) else { return false };
        let by_sender = mapping.ns(at.timestamp) - last as i64;
        let by_arrival = (at.arrival_utc_us.wrapping_sub(mapping.arrival_utc_us) as i64).saturating_mul(1000);
        by_sender.saturating_sub(by_arrival).abs() > RESET_NS
    }

    /// Lays the running tracks against each other by their reports, once for each that is new among them.
    fn lay(&mut self, clocks: &[SourceClock]) {
        let running: Vec<usize> = (0..clocks.len()).filter(|track| self.mappings[*track].is_some()).collect();
        if running.iter().all(|track| self.mappings[*track].is_some_and(|mapping| mapping.locked)) {
            return;
        }
        // How far each track is behind its reports.
        let mut errors = Vec::with_capacity(running.len());
        for track in &running {
            let (Some(mapping), Some(report)) = (self.mappings[*track], clocks[*track].told()) else { return };
            if self.last[*track].is_none_or(|last| (last as i64) < mapping.start_ns + REPORTS_SETTLE_NS) {
                return;
            }
            errors.push(self.error(mapping, report));
        }
        if errors.iter().any(|error| error.abs() > ABSURD_NS) {
            return;
        }
        // The track that is ahead of the others stays, the others step forward.
        let shift = -errors.iter().copied().min().unwrap_or(0);
        self.shift_ns = Some(self.shift_ns.unwrap_or(0) + shift);
        for (track, error) in running.into_iter().zip(errors) {
            let Some(mapping) = &mut self.mappings[track] else { continue };
            mapping.locked = true;
            let step = error + shift;
            if step > DEAD_BAND_NS {
                mapping.base_ns += step;
            }
        }
    }

    /// Follows what the sender says of a track that was laid by it, or arrival when it says nothing.
    fn follow(&mut self, track: usize, at: Moment, clock: &SourceClock) {
        let (Some(mapping), Some(last)) = (self.mappings[track], self.last[track]) else { return };
        let error = if mapping.locked {
            let Some(told) = clock.told() else { return };
            self.error(mapping, told)
        } else {
            let Some(arrival) = clock.by_arrival().filter(|_| clock.is_silent(at.arrival_utc_us)) else { return };
            self.since_zero(arrival.utc_us) - mapping.ns(arrival.timestamp)
        };
        let ns = mapping.ns(at.timestamp);
        let enough = if mapping.slewing { ALIGNED_NS } else { DEAD_BAND_NS };
        let slewing = error.abs() > enough && error.abs() <= ABSURD_NS;
        let most = (ns - last as i64).max(0) / SLEW;
        let Some(mapping) = &mut self.mappings[track] else { return };
        mapping.slewing = slewing;
        if slewing {
            mapping.base_ns += error.clamp(-most, most);
        }
    }

    /// How far a mapping is behind a report. It is the same at any moment, since both run at the nominal rate.
    fn error(&self, mapping: Mapping, report: Anchor) -> i64 {
        self.since_zero(report.utc_us) + self.shift_ns.unwrap_or(0) - mapping.ns(report.timestamp)
    }

    fn since_zero(&self, utc_us: u64) -> i64 {
        (utc_us.wrapping_sub(self.zero_utc_us) as i64).saturating_mul(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: u64 = 1_700_000_000_000_000;
    const VIDEO: usize = 0;
    const AUDIO: usize = 1;

    /// Sends pictures at 30 a second and sound at 50 a second; sound's clock runs `ppm` fast.
    struct Sender {
        timeline: Timeline,
        clocks: [SourceClock; 2],
        source: u32,
        /// When the sender's reports begin, in ms; what arrival adds to pictures, in ms.
        reports_from_ms: u64,
        picture_delay_ms: u64,
        ppm: i64,
    }

    impl Sender {
        fn new() -> Self {
            let clocks = [SourceClock::default(); 2];
            Self { timeline: Timeline::new(ZERO), clocks, source: 1, reports_from_ms: 500, picture_delay_ms: 0, ppm: 0 }
        }

        /// Units of both tracks: capture time in microseconds and place on the timeline.
        fn run(&mut self, ms: std::ops::Range<u64>) -> [Vec<(u64, u64)>; 2] {
            let mut placed = [vec![], vec![]];
            for ms in ms {
                let us = ms * 1000;
                if ms % 1000 == 0 && ms >= self.reports_from_ms {
                    self.clocks[VIDEO]
                        .on_report(Anchor { timestamp: (1 << 32) + us * 90 / 1000, utc_us: ZERO + us }, 90_000);
                    let sound = (us as i64 + us as i64 * self.ppm / 1_000_000) as u64;
                    self.clocks[AUDIO]
                        .on_report(Anchor { timestamp: (1 << 32) + sound * 48 / 1000, utc_us: ZERO + us }, 48_000);
                }
                if ms % 100 == 0 {
                    for frame in 0..3 {
                        let ticks = (ms / 100 * 3 + frame) * 3000;
                        let us = ticks * 1000 / 90;
                        let at = self.unit(ticks, us + self.picture_delay_ms * 1000, ms % 1000 == 0 && frame == 0);
                        self.clocks[VIDEO].on_packet(at.timestamp, at.arrival_utc_us, 90_000);
                        placed[VIDEO].extend(self.timeline.place(VIDEO, 90_000, at, &self.clocks).map(|pts| (us, pts)));
                    }
                }
                if ms % 20 == 0 {
                    // The moment at which a clock that runs fast has counted so many samples.
                    let us = (us as i64 - us as i64 * self.ppm / 1_000_000) as u64;
                    let at = self.unit(ms * 48, us, false);
                    self.clocks[AUDIO].on_packet(at.timestamp, at.arrival_utc_us, 48_000);
                    placed[AUDIO].extend(self.timeline.place(AUDIO, 48_000, at, &self.clocks).map(|pts| (us, pts)));
                }
            }
            placed
        }

        fn unit(&self, ticks: u64, us: u64, may_step: bool) -> Moment {
            Moment { source: self.source, timestamp: (1 << 32) + ticks, arrival_utc_us: ZERO + us, may_step }
        }
    }

    /// Largest difference in µs between capture time and place, after `from_us`.
    fn worst(placed: &[(u64, u64)], from_us: u64) -> i64 {
        let late = placed.iter().filter(|(us, _)| *us >= from_us);
        late.map(|(us, pts)| (*pts as i64 / 1000 - *us as i64).abs()).max().unwrap()
    }

    #[test]
    fn a_steady_sender_keeps_its_spacing_to_the_nanosecond() {
        let [video, audio] = Sender::new().run(0..60_000);
        for (at, (_, pts)) in video.iter().enumerate() {
            assert_eq!(*pts, at as u64 * 1_000_000_000 / 30);
        }
        for (at, (_, pts)) in audio.iter().enumerate() {
            assert_eq!(*pts, at as u64 * 20_000_000);
        }
    }

    #[test]
    fn reports_align_what_arrival_did_not() {
        let mut sender = Sender { picture_delay_ms: 80, reports_from_ms: 2500, ..Sender::new() };
        let [video, audio] = sender.run(0..10_000);
        let offset = |us: u64| {
            let pts = |placed: &[(u64, u64)]| {
                placed.iter().find(|(at, _)| *at >= us).map(|(at, pts)| *pts as i64 / 1000 - *at as i64).unwrap()
            };
            pts(&video) - pts(&audio)
        };
        assert!((79_000..=81_000).contains(&offset(1_000_000)), "by arrival: {}", offset(1_000_000));
        assert!(offset(5_000_000).abs() <= 1000, "by reports: {}", offset(5_000_000));
        for track in [&video, &audio] {
            assert!(track.windows(2).all(|pair| pair[0].1 < pair[1].1), "forwards only");
        }
        let steps = video.windows(2).filter(|pair| pair[1].1 - pair[0].1 > 33_400_000).count();
        assert_eq!(steps, 0, "the track that was late stays, sound steps forward");
    }

    #[test]
    fn a_sound_card_that_runs_fast_is_followed_slowly() {
        let mut sender = Sender { ppm: 200, ..Sender::new() };
        let [video, audio] = sender.run(0..600_000);
        assert!(worst(&video, 0) <= 1);
        assert!(worst(&audio, 1_000_000) <= 6_500, "120 ms of drift in ten minutes, {} µs left", worst(&audio, 0));
        for pair in audio.windows(2) {
            let spacing = pair[1].1 as i64 - pair[0].1 as i64;
            assert!((spacing - 20_000_000).abs() <= 20_001, "at most 1 ms per second: {spacing}");
        }
    }

    #[test]
    fn absurd_reports_are_not_believed() {
        let mut sender = Sender { reports_from_ms: u64::MAX, ..Sender::new() };
        sender.run(0..1000);
        sender.clocks[VIDEO].on_report(Anchor { timestamp: 1 << 32, utc_us: ZERO + 90_000_000 }, 90_000);
        sender.clocks[AUDIO].on_report(Anchor { timestamp: 1 << 32, utc_us: ZERO }, 48_000);
        let [video, audio] = sender.run(1000..5000);
        assert!(worst(&video, 0) <= 1 && worst(&audio, 0) <= 1);
    }

    #[test]
    fn another_sender_continues_by_the_wall_clock() {
        let mut sender = Sender::new();
        sender.run(0..5000);
        sender.timeline.begin_sender();
        sender.source = 2;
        sender.clocks = [SourceClock::default(); 2];
        let at = Moment { source: 2, timestamp: 7_000_000_000, arrival_utc_us: ZERO + 12_000_000, may_step: true };
        sender.clocks[VIDEO].on_packet(at.timestamp, at.arrival_utc_us, 90_000);
        assert_eq!(sender.timeline.place(VIDEO, 90_000, at, &sender.clocks), Some(12_000_000_000));
    }

    #[test]
    fn a_sender_that_resets_its_timestamps_continues_by_the_wall_clock() {
        let mut sender = Sender { reports_from_ms: u64::MAX, ..Sender::new() };
        sender.run(0..5000);
        let at = Moment { source: 1, timestamp: 9_999_999_999, arrival_utc_us: ZERO + 5_000_000, may_step: false };
        sender.clocks[VIDEO] = SourceClock::default();
        sender.clocks[VIDEO].on_packet(at.timestamp, at.arrival_utc_us, 90_000);
        assert_eq!(sender.timeline.place(VIDEO, 90_000, at, &sender.clocks), Some(5_000_000_000));
    }

    #[test]
    fn before_zero_is_nowhere_and_time_never_stands() {
        let mut timeline = Timeline::new(ZERO);
        let clocks = [SourceClock::default(); 2];
        let at = |ticks: u64, us: i64| Moment {
            source: 1,
            timestamp: ticks,
            arrival_utc_us: ZERO.wrapping_add_signed(us),
            may_step: false,
        };
        assert_eq!(timeline.place(AUDIO, 48_000, at(1 << 32, -15_000), &clocks), None);
        assert_eq!(timeline.place(AUDIO, 48_000, at((1 << 32) + 960, 5000), &clocks), Some(5_000_000));
        assert_eq!(timeline.place(AUDIO, 48_000, at((1 << 32) + 960, 5000), &clocks), Some(5_000_001));
        assert_eq!(timeline.place(AUDIO, 48_000, at(1 << 32, 5000), &clocks), Some(5_000_002));
    }
}
