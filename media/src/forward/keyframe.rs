//! Where a viewer may start, and how the streamer is asked for a keyframe.

use std::time::{Duration, Instant};

use crate::buffer::cache::Meta;
use crate::limit;

/// Lets a viewer's stream begin at a keyframe. Sound passes at once, since each of its packets is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    open: Option<Opened>,
}

#[derive(Clone, Copy, Debug)]
struct Opened {
    source: u32,
    index: u64,
    timestamp: u64,
}

impl Gate {
    pub fn admit(&mut self, packet: &Meta) -> bool {
        if let Some(open) = self.open
            && open.source == packet.source
        {
            // A packet of the first picture may arrive after a later one of it.
            return packet.index >= open.index || packet.timestamp == open.timestamp;
        }
        if packet.inspected.key {
            self.open_at(packet);
        }
        packet.inspected.key
    }

    /// The stream begins with this packet of a keyframe.
    pub fn open_at(&mut self, packet: &Meta) {
        self.open = Some(Opened { source: packet.source, index: packet.index, timestamp: packet.timestamp });
    }

    pub fn is_open(&self, source: u32) -> bool {
        self.open.is_some_and(|open| open.source == source)
    }

    /// The next packet must be a keyframe again.
    pub fn close(&mut self) {
        self.open = None;
    }
}

/// How to ask for a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Picture loss indication (RFC 4585 §6.3.1).
    Pli,
    /// Full intra request (RFC 5104 §4.3.1).
    Fir,
}

/// A streamer that ignored so many PLIs is asked by FIR; some obey only that.
const PLIS_BEFORE_FIR: u32 = 3;
/// libwebrtc ignores a request within 300 ms of the one before; a little more, for the jitter of the path.
const REQUEST_SPACING: Duration = Duration::from_millis(350);
/// A keyframe that comes later than this after a request would have come without it.
const OBEYED_WITHIN: Duration = Duration::from_millis(700);
/// So many more requests came to nothing than were obeyed: it is of no use to ask.
const IGNORED: u32 = 2;
/// A track without packets for this long is muted or gone: asking is of no use.
const SILENCE: Duration = Duration::from_secs(3);

/// Asks the streamer of one track: wishes of all viewers and taps are one request, repeated every
/// [`limit::KEYFRAME_REQUEST_INTERVAL`] until a keyframe came. Over time it is at most one per interval, but the second may follow the first as
/// soon as that one was answered: a viewer who joins just after a keyframe need not wait for the interval to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requester {
    wanted: bool,
    asked: Option<Instant>,
    asked_before: Option<Instant>,
    unanswered: u32,
    /// Requests that came to nothing, less those that were obeyed; see [`Requester::is_ignored`].
    ignored: u32,
    newest: Option<Instant>,
    heard: Option<Instant>,
    /// See [`Requester::learn`].
    late_elsewhere: bool,
}

impl Requester {
    /// Somebody cannot go on without a keyframe.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether somebody waits for a keyframe.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Others ask the streamer, and say this of [`Requester::is_ignored`] and [`Requester::is_late`].
    pub fn learn(&mut self, ignored: bool, late: bool) {
        self.ignored = if ignored { IGNORED } else { 0 };
        self.late_elsewhere = late;
    }

    /// A packet of the track came.
    pub fn on_packet(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// A keyframe began.
    pub fn on_keyframe(&mut self, now: Instant) {
        self.newest = Some(now);
        self.wanted = false;
        self.late_elsewhere = false;
        if let Some(asked) = self.asked
            && std::mem::take(&mut self.unanswered) > 0
        {
            self.judge(now <= asked + OBEYED_WITHIN);
        }
    }

    /// The streamer sends keyframes when it likes, not when it is asked; or it has not done what it was asked for, for longer than it may take.
    pub fn is_ignored(&self, now: Instant) -> bool {
        let waits = self.unanswered > 0 && self.asked.is_some_and(|asked| now > asked + OBEYED_WITHIN);
        waits || self.unanswered > 1 || self.ignored >= IGNORED
    }

    /// Nobody need wait for a keyframe any longer: the streamer was asked a while ago, or it is of no use to ask.
    pub fn is_late(&self, now: Instant) -> bool {
        let waits = self.unanswered > 0 && self.asked.is_some_and(|asked| now >= asked + limit::KEYFRAME_PATIENCE);
        waits || self.late_elsewhere || self.is_ignored(now)
    }

    fn judge(&mut self, obeyed: bool) {
        self.ignored = if obeyed { self.ignored.saturating_sub(1) } else { (self.ignored + 1).min(2 * IGNORED) };
    }

    /// A new source: what was asked of the old one counts no more.
    pub fn restart(&mut self) {
        *self = Self { wanted: true, ..Self::default() };
    }

    /// When [`Requester::poll`] has something to say. `recorded`: the track may not go without a keyframe for longer than
    /// [`limit::RECORDED_KEYFRAME_AGE`].
    pub fn deadline(&self, recorded: bool) -> Option<Instant> {
        let heard = self.heard?;
        let aged = self.newest.map_or(heard, |newest| newest + limit::RECORDED_KEYFRAME_AGE);
        let due = match (self.wanted, recorded) {
            (true, _) => heard,
            (false, true) => aged,
            (false, false) => return None,
        };
        let counts = if self.unanswered > 0 { self.asked } else { self.asked_before };
        let due = counts.map_or(due, |asked| due.max(asked + limit::KEYFRAME_REQUEST_INTERVAL));
        let due = self.asked.map_or(due, |asked| due.max(asked + REQUEST_SPACING));
        (due <= heard + SILENCE).then_some(due)
    }

    pub fn poll(&mut self, now: Instant, recorded: bool) -> Option<Ask> {
        if self.heard? + SILENCE < now {
            self.heard = None;
        }
        if self.deadline(recorded)? > now {
            return None;
        }
        if self.unanswered > 0 {
            self.judge(false);
        }
        self.asked_before = self.asked.replace(now);
        self.wanted = true;
        self.unanswered += 1;
        Some(if self.unanswered > PLIS_BEFORE_FIR { Ask::Fir } else { Ask::Pli })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::cache::tests::meta;
    use crate::rtp::codec::Inspected;

    fn key(index: u64) -> Meta {
        Meta { inspected: Inspected { key: true, start: true, ..Inspected::default() }, ..meta(index) }
    }

    #[test]
    fn the_gate_opens_at_a_keyframe() {
        let mut gate = Gate::default();
        assert!(!gate.admit(&meta(100)));
        assert!(gate.admit(&key(101)));
        assert!(gate.admit(&meta(102)));
        assert!(!gate.admit(&meta(99)), "older than the keyframe");
        let mut late_part = meta(100);
        late_part.timestamp = key(101).timestamp;
        assert!(gate.admit(&late_part), "of the same picture");
    }

    #[test]
    fn a_new_source_closes_the_gate() {
        let mut gate = Gate::default();
        assert!(gate.admit(&key(1)));
        assert!(!gate.admit(&Meta { source: 2, ..meta(5000) }));
        assert!(!gate.is_open(2));
        assert!(gate.admit(&Meta { source: 2, ..key(5001) }));
        gate.close();
        assert!(!gate.admit(&Meta { source: 2, ..meta(5002) }));
    }

    /// Times in milliseconds at which it asked, while packets flow and no keyframe comes.
    fn asked(requester: &mut Requester, recorded: bool, ms: std::ops::Range<u64>) -> Vec<(u64, Ask)> {
        let start = meta(0).arrival;
        ms.step_by(10)
            .filter_map(|ms| {
                let now = start + Duration::from_millis(ms);
                requester.on_packet(now);
                requester.poll(now, recorded).map(|ask| (ms, ask))
            })
            .collect()
    }

    #[test]
    fn wishes_are_one_request_a_second_until_a_keyframe_comes() {
        let mut requester = Requester::default();
        assert_eq!(asked(&mut requester, false, 0..1000), []);
        for _ in 0..100 {
            requester.want();
        }
        let expected = [(1000, Ask::Pli), (2000, Ask::Pli), (3000, Ask::Pli), (4000, Ask::Fir), (5000, Ask::Fir)];
        assert_eq!(asked(&mut requester, false, 1000..5500), expected);
        requester.on_keyframe(meta(0).arrival + Duration::from_millis(5500));
        assert_eq!(asked(&mut requester, false, 5500..9000), []);
        requester.want();
        assert_eq!(asked(&mut requester, false, 9000..9500), [(9000, Ask::Pli)]);
    }

    #[test]
    fn one_who_joins_just_after_a_keyframe_is_served_soon_but_not_a_third() {
        let mut requester = Requester::default();
        let start = meta(0).arrival;
        for (wish, ask) in [(0, 0), (100, 350), (400, 1000), (1100, 1350)] {
            requester.on_packet(start + Duration::from_millis(wish));
            requester.want();
            assert_eq!(asked(&mut requester, false, wish..wish + 900).first(), Some(&(ask, Ask::Pli)));
            requester.on_keyframe(start + Duration::from_millis(ask + 50));
        }
    }

    #[test]
    fn a_recorded_track_is_asked_when_its_keyframe_is_old() {
        let mut requester = Requester::default();
        assert_eq!(asked(&mut requester, true, 0..500), [(0, Ask::Pli)]);
        requester.on_keyframe(meta(0).arrival + Duration::from_millis(500));
        assert_eq!(asked(&mut requester, true, 500..3000), [(2500, Ask::Pli)]);
    }

    #[test]
    fn a_streamer_that_does_not_obey_is_known() {
        let mut requester = Requester::default();
        let start = meta(0).arrival;
        let at = |ms| start + Duration::from_millis(ms);
        requester.want();
        assert_eq!(asked(&mut requester, false, 0..1900).len(), 2);
        assert!(requester.is_ignored(at(1900)), "it is waited for");
        requester.on_keyframe(at(1900));
        assert!(requester.is_ignored(at(1900)), "it came of itself");
        for round in 2..4 {
            requester.want();
            assert_eq!(asked(&mut requester, false, round * 2000..round * 2000 + 100).len(), 1);
            requester.on_keyframe(at(round * 2000 + 100));
        }
        assert!(!requester.is_ignored(at(6200)), "it obeys after all");
        requester.want();
        assert_eq!(asked(&mut requester, false, 8000..8100).len(), 1);
        assert!(!requester.is_late(at(8100)) && requester.is_late(at(8110)));
        assert!(!requester.is_ignored(at(8600)));
        assert!(requester.is_ignored(at(8800)));
    }

    #[test]
    fn a_silent_track_is_not_asked() {
        let mut requester = Requester::default();
        let start = meta(0).arrival;
        requester.want();
        assert_eq!(requester.deadline(true), None, "never a packet");
        requester.on_packet(start);
        assert_eq!(requester.poll(start, true), Some(Ask::Pli));
        assert_eq!(requester.poll(start + Duration::from_secs(2), true), Some(Ask::Pli));
        assert_eq!(requester.poll(start + Duration::from_secs(4), true), None);
        requester.on_packet(start + Duration::from_secs(60));
        assert_eq!(requester.poll(start + Duration::from_secs(60), true), Some(Ask::Pli));
    }
}
