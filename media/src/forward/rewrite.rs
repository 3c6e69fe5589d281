//! A viewer's own numbers: continuous sequence numbers and timestamps, whatever happens at the source.
//!
//! Here, and in [`Repairs`] for the repair stream, is the only place that issues [`RtpToken`]s: each (SSRC, ROC, SEQ) once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use crate::buffer::cache::Meta;
use crate::rtp::codec::vp8_numbers::Shift;
use crate::stats::DropReason;
use crate::token::RtpToken;

use super::holes::{Before, Holes};

/// Changes of the mapping remembered to answer NACKs. More: the oldest is forgotten.
const SEGMENTS: usize = 8;
/// Stretches of which it is remembered what was left out. More: the stretches before are forgotten.
const WITH_HOLES: usize = 2;
/// How far behind the newest a packet may be sent for the first time, in packets.
const WINDOW: u64 = 1024;
/// Packets that [`Rewriter::latest`] tells of.
const LATEST: u64 = 8;
const WORDS: usize = (WINDOW / 64) as usize;

/// A packet's place in the viewer's stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapped {
    pub token: RtpToken,
    pub timestamp: u32,
    /// To be applied to a VP8 payload.
    pub shift: Shift,
}

/// Where a packet of the viewer's stream came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub source: u32,
    pub layer: u8,
    /// The source's index.
    pub index: u64,
    pub stamps: Stamps,
    pub shift: Shift,
}

/// How another source is joined on to what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seam {
    /// The viewer's timestamp for the first packet, where the clocks of both sources are known against each other.
    pub timestamp: Option<u32>,
    pub shift: Shift,
}

/// One stretch of the stream in which numbers differ from the source's by constants and by what was left out.
#[derive(Debug)]
struct Segment {
    source: u32,
    layer: u8,
    /// First number of the viewer's stream, and the source's index that it stands for.
    out_start: u64,
    in_start: u64,
    stamps: Stamps,
    shift: Shift,
    /// `None`: everything was sent.
    holes: Option<Box<Holes>>,
}

impl Segment {
    /// The number of an index from the start on, and what was left out before. `None`: too far back.
    fn number(&self, index: u64) -> Option<(u64, Before)> {
        let before = self.holes.as_ref().map_or(Some(Before::default()), |holes| holes.before(index))?;
        Some((self.out_start + (index - self.in_start).checked_sub(before.packets)?, before))
    }

    /// The index of a number from the start on. `None`: too far back.
    fn index(&self, out: u64) -> Option<u64> {
        let kept = out.checked_sub(self.out_start)?;
        self.holes.as_ref().map_or(Some(self.in_start + kept), |holes| holes.index_of(self.in_start, kept))
    }

    fn shift(&self, before: Before) -> Shift {
        self.shift.without(before.pictures)
    }
}

/// What a replayed stretch is divided by: 32 ms of pictures become one.
const REPLAY_SHIFT: u32 = 5;

/// From the source's timestamps to the viewer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// Added to the source's timestamp, modulo 2^32: the live mapping.
    offset: u32,
    /// Pictures before this one were replayed: they lie close together and end where the live mapping begins.
    replayed_before: u64,
}

impl Stamps {
    /// The viewer's timestamp for a source's.
    pub fn map(&self, timestamp: u64) -> u32 {
        match self.replayed_before.checked_sub(timestamp) {
            Some(before @ 1..) => self.live(self.replayed_before).wrapping_sub((before >> REPLAY_SHIFT).max(1) as u32),
            _ => self.live(timestamp),
        }
    }

    /// The same on the live mapping.
    pub fn live(&self, timestamp: u64) -> u32 {
        (timestamp as u32).wrapping_add(self.offset)
    }
}

/// See the head of this module.
#[derive(Debug)]
pub struct Rewriter {
    ssrc: u32,
    first: u64,
    first_timestamp: u32,
    segments: VecDeque<Segment>,
    issued: Issued,
    /// See [`Rewriter::cut`].
    cut: bool,
    /// When the newest packet was mapped, and its timestamp.
    newest: Option<(Instant, u32)>,
}

impl Rewriter {
    /// The first sequence number is drawn below 2^15, so that a receiver guesses the rollover counter right
    /// (RFC 3711 §3.3.1), and above 2^10, so that packets reordered around the start have a number.
    pub fn new(ssrc: u32, rng: &mut impl Rng) -> Self {
        Self {
            ssrc,
            first: rng.random_range(WINDOW..1 << 15),
            first_timestamp: rng.random(),
            segments: VecDeque::new(),
            issued: Issued::default(),
            cut: false,
            newest: None,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The first sequence number.
    pub fn first(&self) -> u16 {
        self.first as u16
    }

    /// The viewer's numbers for one packet. A new source continues the sequence without a hole, and the timestamp as the seam says, or else by the
    /// time that passed meanwhile; `clock_rate` in Hz.
    ///
    /// # Errors
    /// [`DropReason::Duplicate`] if it was sent before, [`DropReason::TooOld`] if it lies before the mapping in force, [`DropReason::Layer`] if it
    /// was left out.
    pub fn map(
        &mut self,
        now: Instant,
        packet: &Meta,
        clock_rate: u32,
        seam: impl FnOnce(&Self) -> Seam,
    ) -> Result<Mapped, DropReason> {
        if self.cut || self.segments.back().is_none_or(|segment| segment.source != packet.source) {
            let seam = if self.segments.is_empty() { Seam::default() } else { seam(self) };
            self.begin(now, packet, clock_rate, None, seam);
        }
        let (out, before) = self.place(packet)?;
        let newest = self.issued.highest.is_none_or(|highest| out > highest);
        self.issued.issue(out)?;
        let segment = self.segments.back_mut().ok_or(DropReason::TooOld)?;
        if let Some(holes) = &mut segment.holes {
            holes.keep(packet.index);
        }
        let (timestamp, shift) = (segment.stamps.map(packet.timestamp), segment.shift(before));
        if newest {
            self.newest = Some((now, timestamp));
        }
        Ok(Mapped { token: RtpToken::new(self.ssrc, out), timestamp, shift })
    }

    /// A packet that the viewer shall not be given. What comes behind closes up to what was sent before it. If something behind it was sent already, it has a
    /// number, under which an empty packet has to go: the answer.
    pub fn leave_out(&mut self, packet: &Meta) -> Option<Mapped> {
        let highest = self.issued.highest?;
        let known = self.segments.back_mut().filter(|segment| segment.source == packet.source);
        let segment = known.filter(|_| !self.cut)?;
        if packet.index < segment.in_start {
            return None;
        }
        let newest = segment.in_start + highest.checked_sub(segment.out_start)?;
        let holes = segment.holes.get_or_insert_with(|| Box::new(Holes::new(newest)));
        if holes.leave_out(packet.index, packet.timestamp) {
            return None;
        }
        let (out, before) = segment.number(packet.index)?;
        let (timestamp, shift) = (segment.stamps.map(packet.timestamp), segment.shift(before));
        self.issued.issue(out).ok()?;
        Some(Mapped { token: RtpToken::new(self.ssrc, out), timestamp, shift })
    }

    /// The number of a packet of the newest source, and what was left out before it.
    fn place(&self, packet: &Meta) -> Result<(u64, Before), DropReason> {
        let segment = self.segments.back().ok_or(DropReason::TooOld)?;
        if packet.index >= segment.in_start {
            let left_out = segment.holes.as_ref().is_some_and(|holes| holes.is_left_out(packet.index));
            return if left_out {
                Err(DropReason::Layer)
            } else {
                segment.number(packet.index).ok_or(DropReason::TooOld)
            };
        }
        if self.segments.len() > 1 {
            return Err(DropReason::TooOld);
        }
        let out = segment.out_start.checked_sub(segment.in_start - packet.index).ok_or(DropReason::TooOld)?;
        Ok((out, Before::default()))
    }

    /// The stream begins with `first` and the pictures that followed it, in quick succession; `newest` is the latest timestamp of the source, from
    /// where on the viewer's are the live ones. Before the first packet only.
    pub fn replay(&mut self, now: Instant, first: &Meta, newest: u64, clock_rate: u32) {
        debug_assert!(self.is_fresh(), "a stream begins once");
        self.begin(now, first, clock_rate, Some(newest), Seam::default());
    }

    /// The next packet does not follow what was sent, though it may be of the same source: it is joined on without a hole, and what lies between is never
    /// sent.
    pub fn cut(&mut self) {
        self.cut = !self.is_fresh();
    }

    /// Nothing was sent yet.
    pub fn is_fresh(&self) -> bool {
        self.segments.is_empty()
    }

    /// Where the packet came from whose sequence number a viewer names. `None` if no such packet was sent.
    pub fn source_of(&self, sequence: u16) -> Option<Origin> {
        let highest = self.issued.highest?;
        self.origin(highest.checked_sub(u64::from((highest as u16).wrapping_sub(sequence)))?)
    }

    /// Sequence numbers of the packets sent last and where they came from, the newest first.
    pub fn latest(&self) -> impl Iterator<Item = (u16, Origin)> {
        let newest = self.issued.highest.unwrap_or(0);
        (0..LATEST).map_while(move |back| {
            let out = newest.checked_sub(back)?;
            Some((out as u16, self.origin(out)?))
        })
    }

    fn origin(&self, out: u64) -> Option<Origin> {
        let before_the_first = || self.segments.front().filter(|_| self.segments.len() == 1);
        let segment = self.segments.iter().rev().find(|segment| segment.out_start <= out).or_else(before_the_first)?;
        let (index, before) = if out < segment.out_start {
            ((segment.in_start + out).checked_sub(segment.out_start)?, Before::default())
        } else {
            let index = segment.index(out)?;
            (index, segment.number(index)?.1)
        };
        let Segment { source, layer, stamps, .. } = *segment;
        Some(Origin { source, layer, index, stamps, shift: segment.shift(before) })
    }

    /// The viewer's timestamp for a source's on the live mapping; `None` before the first packet of this source.
    pub fn live_timestamp(&self, source: u32, timestamp: u64) -> Option<u32> {
        let segment = self.segments.back().filter(|segment| segment.source == source)?;
        Some(segment.stamps.live(timestamp))
    }

    /// `replayed_before`: the live mapping begins there instead of at `packet`.
    fn begin(&mut self, now: Instant, packet: &Meta, clock_rate: u32, replayed_before: Option<u64>, seam: Seam) {
        let live = replayed_before.unwrap_or(packet.timestamp);
        let out_start = self.issued.highest.map_or(self.first, |highest| highest + 1);
        let timestamp = self.newest.map_or(self.first_timestamp, |(at, newest)| {
            let elapsed = ticks(now.saturating_duration_since(at), clock_rate).max(1);
            let ahead = seam.timestamp.map(|timestamp| timestamp.wrapping_sub(newest) as i32);
            // A clock that contradicts the time that passed is not believed. A picture of the moment of the one before comes after it.
            let believed = ahead.filter(|ahead| i64::from(*ahead).abs_diff(i64::from(elapsed)) < u64::from(clock_rate));
            newest.wrapping_add(believed.map_or(elapsed, |ahead| ahead.max(1) as u32))
        });
        let segment = Segment {
            source: packet.source,
            layer: packet.layer,
            out_start,
            in_start: packet.index,
            stamps: Stamps {
                offset: timestamp.wrapping_sub(live as u32),
                replayed_before: replayed_before.unwrap_or(0),
            },
            shift: seam.shift,
            holes: None,
        };
        self.cut = false;
        let with_holes = |segments: &VecDeque<Segment>| segments.iter().filter(|one| one.holes.is_some()).count();
        while self.segments.len() == SEGMENTS || with_holes(&self.segments) == WITH_HOLES {
            self.segments.pop_front();
        }
        self.segments.push_back(segment);
    }
}

fn ticks(elapsed: Duration, clock_rate: u32) -> u32 {
    (elapsed.as_micros() * u128::from(clock_rate) / 1_000_000) as u32
}

/// Which of the newest numbers were issued; anything older counts as issued.
#[derive(Debug, Default)]
struct Issued {
    highest: Option<u64>,
    bits: [u64; WORDS],
}

impl Issued {
    fn issue(&mut self, out: u64) -> Result<(), DropReason> {
        match self.highest {
            Some(highest) if out + WINDOW <= highest => return Err(DropReason::TooOld),
            Some(highest) if out <= highest => {
                let (word, bit) = Self::place(out);
                if self.bits[word] & bit != 0 {
                    return Err(DropReason::Duplicate);
                }
            }
            Some(highest) => {
                for skipped in (highest + 1..=out).take(WINDOW as usize) {
                    let (word, bit) = Self::place(skipped);
                    self.bits[word] &= !bit;
                }
                self.highest = Some(out);
            }
            None => self.highest = Some(out),
        }
        let (word, bit) = Self::place(out);
        self.bits[word] |= bit;
        Ok(())
    }

    fn place(out: u64) -> (usize, u64) {
        ((out % WINDOW / 64) as usize, 1 << (out % 64))
    }
}

/// Numbers of a viewer's repair stream (RFC 4588): its own SSRC, its own sequence.
#[derive(Debug)]
pub struct Repairs {
    ssrc: u32,
    next: u64,
}

impl Repairs {
    pub fn new(ssrc: u32, rng: &mut impl Rng) -> Self {
        Self { ssrc, next: rng.random_range(0..1 << 15) }
    }

    pub fn issue(&mut self) -> RtpToken {
        let token = RtpToken::new(self.ssrc, self.next);
        self.next += 1;
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::cache::tests::meta;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::collections::HashSet;

    fn rewriter(seed: u64) -> Rewriter {
        Rewriter::new(7, &mut StdRng::seed_from_u64(seed))
    }

    fn sent(rewriter: &mut Rewriter, packet: &Meta, ms: u64) -> Result<(u64, u32), DropReason> {
        let now = meta(0).arrival + Duration::from_millis(ms);
        rewriter.map(now, packet, 90_000, |_| Seam::default()).map(|mapped| (mapped.token.index(), mapped.timestamp))
    }

    #[test]
    fn the_first_number_leaves_room_on_both_sides() {
        for seed in 0..500 {
            let (index, _) = sent(&mut rewriter(seed), &meta(70_000), 0).unwrap();
            assert!((1024..1 << 15).contains(&index));
        }
    }

    #[test]
    fn holes_and_reordering_are_kept() {
        let mut rewriter = rewriter(1);
        let (first, timestamp) = sent(&mut rewriter, &meta(70_000), 0).unwrap();
        assert_eq!(sent(&mut rewriter, &meta(70_002), 0), Ok((first + 2, timestamp.wrapping_add(6000))));
        assert_eq!(sent(&mut rewriter, &meta(70_001), 0), Ok((first + 1, timestamp.wrapping_add(3000))));
        assert_eq!(sent(&mut rewriter, &meta(70_001), 0), Err(DropReason::Duplicate));
        assert_eq!(sent(&mut rewriter, &meta(69_999), 0), Ok((first - 1, timestamp.wrapping_sub(3000))));
        let origin = rewriter.source_of((first + 1) as u16).unwrap();
        assert_eq!((origin.index, origin.source, origin.layer), (70_001, 1, 0));
        assert_eq!(origin.stamps.map(meta(70_001).timestamp), timestamp.wrapping_add(3000));
    }

    #[test]
    fn a_new_source_continues_without_a_hole() {
        let mut rewriter = rewriter(2);
        let (first, timestamp) = sent(&mut rewriter, &meta(70_000), 0).unwrap();
        let next = Meta { source: 2, index: 500_000, timestamp: 42, ..meta(0) };
        assert_eq!(sent(&mut rewriter, &next, 2000), Ok((first + 1, timestamp.wrapping_add(180_000))));
        assert_eq!(rewriter.source_of(first as u16).unwrap().index, 70_000);
        assert_eq!(rewriter.source_of((first + 1) as u16).unwrap().index, 500_000);
        let before = Meta { index: 499_999, ..next };
        assert_eq!(sent(&mut rewriter, &before, 2000), Err(DropReason::TooOld));
    }

    #[test]
    fn what_was_passed_over_leaves_no_hole() {
        let mut rewriter = rewriter(6);
        rewriter.cut();
        let (first, timestamp) = sent(&mut rewriter, &meta(70_000), 0).unwrap();
        rewriter.cut();
        assert_eq!(sent(&mut rewriter, &meta(75_000), 2000), Ok((first + 1, timestamp.wrapping_add(180_000))));
        assert_eq!(sent(&mut rewriter, &meta(74_999), 2000), Err(DropReason::TooOld));
        assert_eq!(sent(&mut rewriter, &meta(75_001), 2033), Ok((first + 2, timestamp.wrapping_add(183_000))));
        assert_eq!(rewriter.source_of(first as u16).unwrap().index, 70_000);
        assert_eq!(rewriter.source_of((first + 2) as u16).unwrap().index, 75_001);
    }

    #[test]
    fn replayed_pictures_end_at_the_live_mapping() {
        let mut rewriter = rewriter(4);
        let now = meta(0).arrival;
        rewriter.replay(now, &meta(100), meta(160).timestamp, 90_000);
        let (first, key) = sent(&mut rewriter, &meta(100), 0).unwrap();
        let mut before = key;
        for index in 101..160 {
            let (number, timestamp) = sent(&mut rewriter, &meta(index), 0).unwrap();
            assert_eq!(number, first + index - 100);
            assert!((90..=100).contains(&timestamp.wrapping_sub(before)), "about a millisecond apart");
            before = timestamp;
        }
        let live = rewriter.live_timestamp(1, meta(160).timestamp).unwrap();
        assert_eq!(sent(&mut rewriter, &meta(160), 0), Ok((first + 60, live)));
        assert!((1..=100).contains(&live.wrapping_sub(before)));
        assert_eq!(sent(&mut rewriter, &meta(161), 33), Ok((first + 61, live.wrapping_add(3000))));
        let origin = rewriter.source_of(first as u16).unwrap();
        assert_eq!(
            (origin.index, origin.stamps.map(meta(100).timestamp)),
            (100, key),
            "a repair has the same timestamp"
        );
    }

    #[test]
    fn a_seam_lays_the_new_source_where_its_clock_says() {
        for (ahead, expected) in [(3100, 3100), (0, 1), (-2000, 1), (900_000, 3000), (-900_000, 3000)] {
            let mut rewriter = rewriter(5);
            let (_, timestamp) = sent(&mut rewriter, &meta(70_000), 0).unwrap();
            let next = Meta { source: 2, layer: 1, index: 9, timestamp: 77, ..meta(0) };
            let now = meta(0).arrival + Duration::from_micros(33_334);
            let laid = Seam { timestamp: Some(timestamp.wrapping_add_signed(ahead)), shift: Shift::default() };
            let mapped = rewriter.map(now, &next, 90_000, |_| laid).unwrap();
            assert_eq!(mapped.timestamp.wrapping_sub(timestamp), expected, "{ahead} ahead");
            assert_eq!(rewriter.latest().map(|(_, origin)| origin.layer).collect::<Vec<_>>()[..2], [1, 0]);
        }
    }

    #[test]
    fn numbers_wrap_with_their_rollover() {
        let mut rewriter = rewriter(3);
        let (first, _) = sent(&mut rewriter, &meta(70_000), 0).unwrap();
        for step in 1..200_000u64 {
            let (index, _) = sent(&mut rewriter, &meta(70_000 + step), 0).unwrap();
            assert_eq!(index, first + step);
        }
        assert_eq!(rewriter.source_of((first + 199_998) as u16).unwrap().index, 70_000 + 199_998);
    }

    proptest::proptest! {
        /// Pictures of one to four packets, some left out as a whole; packets come late, twice or never: what is sent has a number of its own, in the order of
        /// the source, and its number leads back to it. Where nothing is late or lost, no number is missing.
        #[test]
        fn numbers_close_behind_pictures_that_are_left_out(
            seed: u64,
            pictures in proptest::collection::vec((1u64..5, proptest::bool::ANY), 20..150),
            late in 0u64..12,
            lost in 0u32..20,
            turns in 1usize..3,
        ) {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut rewriter = Rewriter::new(7, &mut rng);
            let (mut index, mut packets) = (70_000, Vec::new());
            for (number, (count, left_out)) in pictures.iter().enumerate() {
                // The first picture begins the stream, and each half of them is of a source of its own.
                let source = (number * turns / pictures.len()) as u32;
                let first_of_source = packets.last().is_none_or(|(_, packet, _): &(u64, Meta, bool)| packet.source != source);
                for _ in 0..*count {
                    let packet = Meta { timestamp: (1 << 32) + number as u64 * 3000, source, ..meta(index) };
                    let is_lost = !first_of_source && rng.random_range(0..100) < lost;
                    let delay = if first_of_source { 0 } else { rng.random_range(0..=late) };
                    if !is_lost {
                        packets.push((index + delay, packet, *left_out && !first_of_source));
                    }
                    index += 1;
                }
                index += u64::from(number % 7 == 6 && lost > 0);
            }
            packets.sort_by_key(|(at, packet, _)| (packet.source, *at));
            let mut taken = HashSet::new();
            let mut sent = Vec::new();
            for (_, packet, left_out) in packets {
                for _ in 0..2 {
                    let mapped = if left_out {
                        rewriter.leave_out(&packet)
                    } else {
                        rewriter.map(packet.arrival, &packet, 90_000, |_| Seam::default()).ok()
                    };
                    let Some(mapped) = mapped else { continue };
                    proptest::prop_assert!(taken.insert(mapped.token.index()), "a number twice");
                    sent.push((packet, mapped));
                }
                for (packet, mapped) in sent.iter().rev().take(30) {
                    let origin = rewriter.source_of(mapped.token.sequence()).unwrap();
                    proptest::prop_assert_eq!((origin.source, origin.index), (packet.source, packet.index));
                    proptest::prop_assert_eq!(origin.stamps.map(packet.timestamp), mapped.timestamp);
                    proptest::prop_assert_eq!(origin.shift, mapped.shift);
                }
            }
            sent.sort_by_key(|(packet, _)| packet.index);
            let numbers: Vec<u64> = sent.iter().map(|(_, mapped)| mapped.token.index()).collect();
            proptest::prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "in the order of the source");
            if late == 0 && lost == 0 {
                proptest::prop_assert_eq!(numbers.last().unwrap() - numbers[0] + 1, numbers.len() as u64);
                let pictures: HashSet<u64> = sent.iter().map(|(packet, _)| packet.timestamp).collect();
                let left_out = sent.last().map(|(last, _)| (last.timestamp - (1 << 32)) / 3000 + 1 - pictures.len() as u64);
                if turns == 1 {
                    let (_, mapped) = sent.last().unwrap();
                    proptest::prop_assert_eq!(mapped.shift, Shift::default().without(left_out.unwrap()));
                }
            }
        }

        /// Whatever order, duplicates and sources come: no number twice, on the media nor on the repair stream.
        #[test]
        fn no_number_is_issued_twice(seed: u64, steps in proptest::collection::vec((0u32..4, 0u64..3000), 1..400)) {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut rewriter = Rewriter::new(7, &mut rng);
            let mut repairs = Repairs::new(8, &mut rng);
            let mut seen = HashSet::new();
            for (source, index) in steps {
                let packet = Meta { source, ..meta(u64::from(source) * 100_000 + index) };
                if let Ok((number, _)) = sent(&mut rewriter, &packet, index) {
                    proptest::prop_assert!(seen.insert((7, number)));
                }
                let token = repairs.issue();
                proptest::prop_assert!(seen.insert((token.ssrc(), token.index())));
            }
        }
    }
}
