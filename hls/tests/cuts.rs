//! Whatever a recording holds, its segments hold it once, in order, without a moment missing.

use hls::{Kind, Segment, Segmenter, Unit};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

#[derive(Clone, Debug)]
struct Plan {
    seconds: u64,
    /// Pictures from one keyframe to the next.
    group: u64,
    with_video: bool,
    with_sound: bool,
    /// How much later than pictures sound is written, and by how much that varies.
    sound_late_ms: u64,
    jitter: Vec<u64>,
    /// Nothing comes for so long, from here on.
    away: Option<(u64, u64)>,
    /// The configuration of the picture changes at this keyframe.
    change: Option<u64>,
    cut: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Config(u8, Kind, u32),
    Unit(Unit),
}

fn plans() -> impl Strategy<Value = Plan> {
    let kinds = prop_oneof![Just((true, true)), Just((true, false)), Just((false, true))];
    let away = proptest::option::of((1_000..20_000u64, 200..30_000u64));
    let jitter = proptest::collection::vec(0..700u64, 1..40);
    let change = proptest::option::of(1..10u64);
    (1..40u64, 10..500u64, kinds, 0..1_500u64, jitter, away, change, any::<bool>()).prop_map(
        |(seconds, group, (with_video, with_sound), sound_late_ms, jitter, away, change, cut)| Plan {
            seconds,
            group,
            with_video,
            with_sound,
            sound_late_ms,
            jitter,
            away,
            change,
            cut,
        },
    )
}

/// The steps in the order in which a recorder writes them, and the time of the cut.
fn steps(plan: &Plan) -> (Vec<Step>, u64) {
    let shift = |ms: u64| match plan.away {
        Some((from, lasts)) if ms >= from => ms + lasts,
        _ => ms,
    };
    let mut written = Vec::new();
    if plan.with_video {
        for picture in 0..plan.seconds * 30 {
            let key = picture % plan.group == 0;
            let at = shift(picture * 1000 / 30);
            if key && plan.change.is_some_and(|n| n * plan.group == picture) {
                written.push((at, Step::Config(0, Kind::Video, 7)));
            }
            written.push((at, Step::Unit(Unit { offset: 0, track: 0, key, pts_ns: at * MS, bytes: 5000 })));
        }
    }
    if plan.with_sound {
        let mut last = 0;
        for packet in 0..plan.seconds * 50 {
            let at = shift(packet * 20);
            let late = plan.sound_late_ms + plan.jitter[packet as usize % plan.jitter.len()];
            last = last.max(at + late);
            written.push((last, Step::Unit(Unit { offset: 0, track: 1, key: true, pts_ns: at * MS, bytes: 100 })));
        }
    }
    written.sort_by_key(|(at, _)| *at);
    let mut all = Vec::new();
    all.extend(plan.with_video.then_some(Step::Config(0, Kind::Video, 1)));
    all.extend(plan.with_sound.then_some(Step::Config(1, Kind::Sound, 2)));
    all.extend(written.into_iter().map(|(_, step)| step));
    let mut offset = 100;
    for step in &mut all {
        if let Step::Unit(unit) = step {
            unit.offset = offset;
        }
        offset += 1000;
    }
    (all, shift(plan.seconds * 1000) * MS)
}

fn units(steps: &[Step]) -> Vec<Unit> {
    steps.iter().filter_map(|step| if let Step::Unit(unit) = step { Some(*unit) } else { None }).collect()
}

fn run(steps: &[Step], cut: Option<u64>) -> Vec<Segment> {
    let mut segmenter = Segmenter::default();
    let mut segments = Vec::new();
    for step in steps {
        match step {
            Step::Config(track, kind, config) => segmenter.config(*track, *kind, *config),
            Step::Unit(unit) => segmenter.unit(*unit),
        }
        segments.extend(segmenter.ready());
    }
    if let Some(at) = cut {
        segmenter.cut(at);
    }
    segmenter.end(u64::MAX);
    segments.extend(segmenter.ready());
    segments
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_unit_is_in_one_segment_and_no_moment_is_left_out(plan in plans()) {
        let (steps, end) = steps(&plan);
        let segments = run(&steps, plan.cut.then_some(end));
        for unit in units(&steps) {
            let holders = segments.iter().filter(|segment| segment.holds(&unit)).count();
            prop_assert_eq!(holders, 1, "{:?} of {:#?}", unit, segments);
        }
        for pair in segments.windows(2) {
            let hole = pair[1].start_ns - pair[0].end_ns;
            prop_assert!(hole == 0 || (pair[1].opens && hole >= 1000 * MS), "{:#?}", pair);
            prop_assert!(pair[0].from < pair[1].to && pair[0].to <= pair[1].to);
        }
        for segment in &segments {
            prop_assert!(segment.start_ns < segment.end_ns, "{:?}", segment);
            prop_assert!(segment.duration_ns() <= hls::TARGET_DURATION * 1000 * MS, "{:?}", segment);
            let held: Vec<_> = units(&steps).into_iter().filter(|unit| segment.holds(unit)).collect();
            prop_assert!(held.iter().all(|unit| (segment.from..segment.to).contains(&unit.offset)));
            prop_assert!(!held.is_empty());
            if plan.with_video && segment.independent && held.iter().any(|unit| unit.track == 0) {
                prop_assert!(held.iter().find(|unit| unit.track == 0).is_some_and(|unit| unit.key));
            }
            // A change of the configuration never lies within a segment.
            let changes = held.iter().filter(|unit| unit.track == 0 && unit.key).count();
            if let Some(at) = plan.change.filter(|_| plan.with_video && changes > 0) {
                let changed = units(&steps).iter().filter(|u| u.track == 0).nth((at * plan.group) as usize).map(|u| u.pts_ns);
                if let Some(changed) = changed {
                    let expected = if segment.start_ns >= changed { 7 } else { 1 };
                    prop_assert_eq!(segment.video, Some((0, expected)), "{:?} changed at {}", segment, changed);
                }
            }
        }
        let all: u64 = segments.iter().map(Segment::duration_ns).sum();
        let away = plan.away.filter(|(from, lasts)| *lasts > 1500 && *from < plan.seconds * 1000).map_or(0, |(_, ms)| ms * MS);
        // Around the shortest hole it depends on how long the unit before it lasts.
        if plan.cut && plan.away.is_none_or(|(_, lasts)| !(900..1600).contains(&lasts)) {
            let first = units(&steps).iter().map(|unit| unit.pts_ns).min().unwrap_or(0);
            // A hole is known by the last unit before it, so it is told to within one unit.
            prop_assert!(all.abs_diff(end - first - away) <= 40 * MS, "{} of {}", all, end - first - away);
        }
    }

    #[test]
    fn what_is_ready_does_not_depend_on_what_follows(plan in plans(), part in 0.0..1.0f64) {
        let (steps, end) = steps(&plan);
        let whole = run(&steps, plan.cut.then_some(end));
        let mut segmenter = Segmenter::default();
        let mut early = Vec::new();
        for step in &steps[..(steps.len() as f64 * part) as usize] {
            match step {
                Step::Config(track, kind, config) => segmenter.config(*track, *kind, *config),
                Step::Unit(unit) => segmenter.unit(*unit),
            }
            early.extend(segmenter.ready());
        }
        prop_assert_eq!(&early[..], &whole[..early.len()]);
    }
}

fn unit(offset: u64, track: u8, key: bool, ms: u64) -> Unit {
    Unit { offset, track, key, pts_ns: ms * MS, bytes: 1 }
}

#[test]
fn what_a_cut_gave_to_the_next_part_is_in_no_segment() {
    let mut segmenter = Segmenter::default();
    segmenter.config(0, Kind::Video, 1);
    segmenter.config(1, Kind::Sound, 2);
    segmenter.unit(unit(1, 0, true, 0));
    segmenter.unit(unit(2, 1, true, 980));
    segmenter.unit(unit(3, 1, true, 1000));
    let late = unit(5, 1, true, 990);
    segmenter.cut(1000 * MS);
    segmenter.unit(late);
    segmenter.end(6);
    let segments = segmenter.ready();
    assert_eq!(segments.len(), 1);
    assert_eq!((segments[0].start_ns, segments[0].end_ns), (0, 1000 * MS));
    assert!(segments[0].holds(&unit(2, 1, true, 980)) && segments[0].holds(&late));
    assert!(!segments[0].holds(&unit(3, 1, true, 1000)));
}

#[test]
fn what_nobody_sent_before_a_cut_is_a_hole() {
    for (cut_ms, end_ms) in [(1900, 1900), (40_000, 1000)] {
        let mut segmenter = Segmenter::default();
        segmenter.config(1, Kind::Sound, 2);
        for packet in 0..50 {
            segmenter.unit(unit(packet + 1, 1, true, packet * 20));
        }
        segmenter.cut(cut_ms * MS);
        segmenter.end(60);
        let segments = segmenter.ready();
        assert_eq!(segments.iter().map(|s| s.end_ns / MS).collect::<Vec<_>>(), [end_ms]);
    }
}

#[test]
fn a_camera_that_is_turned_on_later_begins_a_segment_of_another_format() {
    let mut segmenter = Segmenter::default();
    segmenter.config(1, Kind::Sound, 2);
    for packet in 0..170 {
        segmenter.unit(unit(packet + 1, 1, true, packet * 20));
    }
    segmenter.config(0, Kind::Video, 1);
    segmenter.unit(unit(500, 0, true, 3410));
    segmenter.end(600);
    let formats: Vec<_> = segmenter.ready().iter().map(|s| (s.start_ns / MS, s.video, s.sound, s.opens)).collect();
    let sound = Some((1, 2));
    assert_eq!(formats, [(0, None, sound, true), (2000, None, sound, false), (3410, Some((0, 1)), sound, true)]);
}

#[test]
fn a_second_camera_is_left_out() {
    let mut segmenter = Segmenter::default();
    segmenter.config(0, Kind::Video, 1);
    segmenter.config(3, Kind::Video, 2);
    segmenter.unit(unit(1, 0, true, 0));
    segmenter.unit(unit(2, 3, true, 10));
    segmenter.unit(unit(3, 7, true, 20));
    segmenter.end(4);
    let segments = segmenter.ready();
    assert_eq!(segments.len(), 1);
    assert!(!segments[0].holds(&unit(2, 3, true, 10)));
}
