use bytes::Bytes;
use media::message::{Codec, GapReason, Orientation};
use proptest::prelude::*;

use super::*;

const VIDEO: TrackId = TrackId(0);
const AUDIO: TrackId = TrackId(1);
const MS: u64 = 1_000_000;

fn config(codec: Codec) -> CodecConfig {
    CodecConfig { codec, width: 0, height: 0, channels: 0, parameter_sets: Bytes::new() }
}

fn unit(track: TrackId, key: bool, pts_ns: u64, size: usize) -> TapFact {
    let data = vec![0; size].into();
    TapFact::Unit(AccessUnit { track, key, pts_ns, dts_ns: pts_ns, utc_us: 0, first_seq: 0, last_seq: 0, data })
}

/// Plays facts and keeps what each part would hold, as a reader of its file would see it.
struct Play {
    rollover: Rollover,
    start: Instant,
    parts: BTreeMap<u32, Vec<(TrackId, u64)>>,
    cuts: BTreeMap<u32, (u64, Cause)>,
    closed: BTreeMap<u32, Cause>,
    asked: usize,
    configs: BTreeMap<u32, Vec<(TrackId, Codec)>>,
    /// Quarter turns that each part was told.
    turns: BTreeMap<u32, Vec<u8>>,
}

impl Play {
    fn new(bytes: u64, length_ms: u64) -> Self {
        Self {
            rollover: Rollover::new(Limits::new(bytes, Duration::from_millis(length_ms))),
            start: Instant::now(),
            parts: BTreeMap::new(),
            cuts: BTreeMap::new(),
            closed: BTreeMap::new(),
            asked: 0,
            configs: BTreeMap::new(),
            turns: BTreeMap::new(),
        }
    }

    fn both(bytes: u64, length_ms: u64) -> Self {
        let mut play = Self::new(bytes, length_ms);
        play.feed(0, TapFact::Config { track: VIDEO, config: config(Codec::Vp8) });
        play.feed(0, TapFact::Config { track: AUDIO, config: config(Codec::Opus) });
        play
    }

    fn feed(&mut self, at_ms: u64, fact: TapFact) {
        let mut out = Vec::new();
        self.rollover.fact(self.start + Duration::from_millis(at_ms), fact, &mut out);
        self.apply(out);
    }

    fn request(&mut self, at_ms: u64) {
        let mut out = Vec::new();
        self.rollover.request(self.start + Duration::from_millis(at_ms), &mut out);
        self.apply(out);
    }

    fn apply(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Open { part } => {
                    assert!(self.parts.insert(part, Vec::new()).is_none(), "opened twice");
                    assert_eq!(part as usize + 1, self.parts.len(), "numbers have no hole");
                }
                Action::Write { part, record } => {
                    assert!(!self.closed.contains_key(&part), "written after its end");
                    assert!(self.parts.contains_key(&part), "opened first");
                    match record {
                        Record::Config { track, config } => {
                            self.configs.entry(part).or_default().push((track, config.codec));
                        }
                        Record::Orientation { orientation, .. } => {
                            self.turns.entry(part).or_default().push(orientation.quarters());
                        }
                        _ => {}
                    }
                }
                Action::Unit { part, unit, .. } => {
                    assert!(!self.closed.contains_key(&part), "written after its end");
                    self.parts.get_mut(&part).expect("opened first").push((unit.track, unit.pts_ns));
                }
                Action::Cut { part, at_ns, cause, .. } => {
                    assert!(self.cuts.insert(part, (at_ns, cause)).is_none(), "cut twice");
                }
                Action::Close { part, cause } => {
                    assert!(self.closed.insert(part, cause).is_none(), "closed twice");
                }
                Action::AskKeyframe => self.asked += 1,
                Action::Skip { .. } => panic!("nobody held it"),
            }
        }
    }

    /// Units by part, as `journal::Index` reads them.
    fn clips(&self) -> Vec<Vec<(TrackId, u64)>> {
        let held = |(part, units): (&u32, &Vec<(TrackId, u64)>)| {
            let cut = self.cuts.get(part).map_or(u64::MAX, |(at, _)| *at);
            units.iter().copied().filter(|(_, at)| *at < cut).collect()
        };
        self.parts.iter().map(held).collect()
    }

    fn firsts(&self, track: TrackId) -> Vec<u64> {
        let first = |units: &Vec<(TrackId, u64)>| units.iter().find(|(t, _)| *t == track).map(|(_, at)| at / MS);
        self.clips().iter().filter_map(first).collect()
    }
}

/// 25 pictures a second with a keyframe every two seconds or when asked for, sound every 20 ms.
fn live(play: &mut Play, from_ms: u64, to_ms: u64, obedient: bool) {
    let mut asked = play.asked;
    for at in (from_ms..to_ms).step_by(20) {
        if at % 40 == 0 {
            let key = at % 2000 == 0 || (obedient && play.asked > asked);
            asked = play.asked;
            play.feed(at, unit(VIDEO, key, at * MS, 1000));
        }
        play.feed(at, unit(AUDIO, true, at * MS + 5 * MS, 100));
    }
}

#[test]
fn a_keyframe_is_asked_for_before_the_limit_and_cuts() {
    let mut play = Play::both(u64::MAX / 4, 5000);
    live(&mut play, 0, 21_000, true);
    let firsts = play.firsts(VIDEO);
    assert_eq!(firsts[0], 0);
    assert!(firsts.len() >= 5, "{firsts:?}");
    for pair in firsts.windows(2) {
        assert!((4500..=5000).contains(&(pair[1] - pair[0])), "{firsts:?}");
    }
    assert!(play.cuts.values().all(|(_, cause)| *cause == Cause::Length));
    play.feed(21_000, TapFact::Closed { utc_us: 0, reason: EndReason::Stopped });
    assert_eq!(play.closed.len(), play.parts.len());
    assert_eq!(play.closed.values().last(), Some(&Cause::End));
}

#[test]
fn the_size_limit_is_kept() {
    let mut play = Play::both(200_000, 600_000);
    live(&mut play, 0, 60_000, true);
    assert!(play.cuts.len() >= 7, "{:?}", play.cuts);
    assert!(play.cuts.values().all(|(_, cause)| *cause == Cause::Size));
    for clip in play.clips() {
        let bytes: u64 = clip.iter().map(|(track, _)| if *track == VIDEO { 1000 } else { 100 }).sum();
        assert!(bytes <= 200_000, "{bytes}");
    }
}

#[test]
fn without_a_keyframe_the_hard_limit_cuts() {
    let mut play = Play::both(u64::MAX / 4, 5000);
    for at in (0..40_000).step_by(40) {
        play.feed(at, unit(VIDEO, at == 0, at * MS, 1000));
    }
    assert_eq!(play.firsts(VIDEO), [0, 15_000, 30_000]);
    assert!(play.asked >= 10, "asked again and again: {}", play.asked);
}

#[test]
fn a_request_cuts_at_the_next_keyframe_once() {
    let mut play = Play::both(u64::MAX / 4, 300_000);
    live(&mut play, 0, 3000, false);
    play.request(3000);
    play.request(3010);
    live(&mut play, 3020, 9000, false);
    assert_eq!(play.firsts(VIDEO), [0, 4000]);
    assert_eq!(play.cuts[&0], (4000 * MS, Cause::Request));
    assert!(play.asked >= 1);
}

#[test]
fn sound_alone_is_cut_anywhere() {
    let mut play = Play::new(u64::MAX / 4, 5000);
    play.feed(0, TapFact::Config { track: AUDIO, config: config(Codec::Opus) });
    for at in (0..12_000).step_by(20) {
        if at == 6000 {
            play.request(at);
        }
        play.feed(at, unit(AUDIO, true, at * MS, 100));
    }
    assert_eq!(play.firsts(AUDIO), [0, 4500, 6000, 10_500]);
    assert_eq!(play.asked, 1, "only the request asks: nobody knows yet that no picture will come");
}

#[test]
fn a_picture_that_stopped_does_not_hold_a_request_up() {
    let mut play = Play::both(u64::MAX / 4, 300_000);
    live(&mut play, 0, 3000, false);
    play.request(3000);
    for at in (3000..8000).step_by(20) {
        play.feed(at, unit(AUDIO, true, at * MS + 5 * MS, 100));
    }
    assert_eq!(play.cuts.len(), 1);
    assert!(play.cuts[&0].0 < 5100 * MS);
}

#[test]
fn sound_is_split_at_the_picture_whichever_comes_first() {
    for (early, late) in [(300, 0), (0, 300)] {
        let mut play = Play::both(u64::MAX / 4, 5000);
        let mut facts = Vec::new();
        for at in (0..30_000).step_by(20) {
            if at % 40 == 0 {
                facts.push((at + early, unit(VIDEO, at % 2000 == 0, at * MS, 1000)));
            }
            facts.push((at + late, unit(AUDIO, true, at * MS + 5 * MS, 100)));
        }
        facts.sort_by_key(|(at, _)| *at);
        for (at, fact) in facts {
            play.feed(at, fact);
        }
        let clips = play.clips();
        assert!(clips.len() > 4);
        assert_eq!(clips.iter().map(Vec::len).sum::<usize>(), 750 + 1500);
        for clip in &clips[1..] {
            let first = |track| clip.iter().find(|(t, _)| *t == track).map_or(0, |(_, at)| *at);
            assert_eq!(first(AUDIO), first(VIDEO) + 5 * MS, "early {early} late {late}");
        }
    }
}

#[test]
fn a_new_codec_begins_a_part_and_a_new_size_does_not() {
    let mut play = Play::both(u64::MAX / 4, 300_000);
    live(&mut play, 0, 1000, false);
    let larger = CodecConfig { width: 99, ..config(Codec::Vp8) };
    play.feed(1000, TapFact::Config { track: VIDEO, config: larger });
    play.feed(1000, unit(VIDEO, true, 1000 * MS, 10));
    assert_eq!(play.parts.len(), 1);
    play.feed(1010, TapFact::Config { track: VIDEO, config: config(Codec::H264) });
    play.feed(1010, unit(AUDIO, true, 1010 * MS, 10));
    assert_eq!(play.parts.len(), 1, "sound goes on in the running part");
    play.feed(1040, unit(VIDEO, true, 1040 * MS, 10));
    assert_eq!(play.cuts[&0], (1040 * MS, Cause::Format));
    assert!(!play.configs[&0].contains(&(VIDEO, Codec::H264)));
    assert_eq!(play.configs[&1], [(VIDEO, Codec::H264), (AUDIO, Codec::Opus)]);
}

#[test]
fn pictures_that_lie_differently_begin_a_part_at_the_next_keyframe() {
    let turn = |play: &mut Play, at_ms: u64, quarters| {
        let orientation = Orientation::from_byte(quarters);
        play.feed(at_ms, TapFact::Orientation { track: VIDEO, from_ns: at_ms * MS, orientation });
    };
    let mut play = Play::both(u64::MAX / 4, 300_000);
    turn(&mut play, 0, 1);
    live(&mut play, 0, 3000, true);
    assert_eq!((play.parts.len(), play.asked), (1, 0), "a broadcast may begin turned");
    assert_eq!(play.turns[&0], [1]);
    turn(&mut play, 3000, 2);
    live(&mut play, 3000, 6000, true);
    assert_eq!(play.cuts[&0], (3040 * MS, Cause::Format), "a keyframe was asked for and came");
    assert_eq!((&play.turns[&1][..], play.asked), (&[2][..], 1));
    // A keyframe that lies differently begins the part itself, and the next part is told too.
    turn(&mut play, 6000, 0);
    live(&mut play, 6000, 7000, true);
    assert_eq!((play.cuts[&1], play.parts.len()), ((6000 * MS, Cause::Format), 3));
    assert!(!play.turns.contains_key(&2), "upright is what a part is");
    assert_eq!(play.asked, 1);
}

#[test]
fn a_dropped_streamer_keeps_the_part() {
    let mut play = Play::both(u64::MAX / 4, 300_000);
    live(&mut play, 0, 2000, false);
    let gap = TapFact::Gap { track: None, from_ns: 2000 * MS, to_ns: 20_000 * MS, reason: GapReason::Disconnected };
    play.feed(20_000, gap);
    live(&mut play, 20_000, 22_000, false);
    assert_eq!(play.parts.len(), 1);
    play.feed(60_000, TapFact::Closed { utc_us: 0, reason: EndReason::Dropped });
    assert_eq!(play.closed[&0], Cause::Interrupted);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Pictures and sound with their own delays and pauses, requests at any time: each unit is in exactly one part, each
    /// track in order, and parts follow each other without a hole.
    #[test]
    fn every_unit_is_in_exactly_one_part(
        video in proptest::collection::vec((1..90u64, 0..400u64, 0..12u8, 1..3000usize), 0..400),
        audio in proptest::collection::vec((1..60u64, 0..700u64, 1..300usize), 0..600),
        requests in proptest::collection::vec(0..30_000u64, 0..6),
        bytes in 20_000..400_000u64,
        length_ms in 300..9000u64,
    ) {
        let mut play = Play::both(bytes, length_ms);
        let mut facts = Vec::new();
        let (mut at, mut arrival) = (0, 0);
        for (n, (step, delay, key, size)) in video.iter().enumerate() {
            at += step;
            arrival = arrival.max(at + delay); // a tap delivers each track in order
            facts.push((arrival, Some(unit(VIDEO, n == 0 || *key == 0, at * MS, *size))));
        }
        let (mut at, mut arrival) = (0, 0);
        for (step, delay, size) in &audio {
            at += step;
            arrival = arrival.max(at + delay);
            facts.push((arrival, Some(unit(AUDIO, true, at * MS, *size))));
        }
        facts.extend(requests.iter().map(|at| (*at, None)));
        facts.sort_by_key(|(at, _)| *at);
        for (at, fact) in facts {
            match fact {
                Some(fact) => play.feed(at, fact),
                None => play.request(at),
            }
        }
        play.feed(100_000, TapFact::Closed { utc_us: 0, reason: EndReason::Stopped });
        prop_assert_eq!(play.closed.len(), play.parts.len());

        let all: Vec<_> = play.clips().concat();
        for (track, sent) in [(VIDEO, video.iter().map(|v| v.0).collect::<Vec<_>>()), (AUDIO, audio.iter().map(|a| a.0).collect())] {
            let want: Vec<u64> = sent.iter().scan(0, |at, step| { *at += step; Some(*at * MS) }).collect();
            let got: Vec<u64> = all.iter().filter(|(t, _)| *t == track).map(|(_, at)| *at).collect();
            prop_assert_eq!(got, want);
        }
        let cuts: Vec<u64> = play.cuts.values().map(|(at, _)| *at).collect();
        prop_assert!(cuts.windows(2).all(|w| w[0] <= w[1]), "{:?}", cuts);
        prop_assert_eq!(cuts.len(), play.parts.len().saturating_sub(1));
    }
}
