use storage::{ClipCause, Link, TrackContinuity};

use super::*;

const PARTS: u32 = 5;
const SECOND: u64 = 1_000_000_000;

fn id(part: u32) -> Id {
    Id::new(1_700_000_000_000 + u64::from(part), u128::from(part))
}

fn hash(part: u32) -> String {
    format!("{part:064x}")
}

/// One second of 30 pictures and 50 sounds.
fn track(number: u8, part: u32) -> TrackContinuity {
    let units = if number == 0 { 30 } else { 50 };
    let (first, from_ns) = (u64::from(part) * units, u64::from(part) * SECOND);
    TrackContinuity {
        track: number,
        codec: if number == 0 { "vp8" } else { "opus" }.into(),
        first_unit: first,
        last_unit: first + units - 1,
        units,
        unshown: 0,
        given_up: 0,
        given_up_before: false,
        first_seq: first,
        last_seq: first + units - 1,
        first_utc_us: 0,
        last_utc_us: 0,
        from_ns,
        last_ns: from_ns + SECOND - SECOND / units,
        to_ns: from_ns + SECOND,
        media_ms: 1000,
        longest_gap_ms: 33,
    }
}

fn clip(part: u32) -> Clip {
    let before = part.checked_sub(1).map(|part| Link { clip: id(part), part, sha256: hash(part) });
    let from_ns = u64::from(part) * SECOND;
    Clip {
        title: "Clip".into(),
        cause: ClipCause::Length,
        started_at_ms: 1_700_000_000_000 + (from_ns / 1_000_000) as i64,
        duration_ms: 1000,
        from_ns,
        to_ns: from_ns + SECOND,
        mime: "video/webm".into(),
        video: Some("vp8".into()),
        audio: Some("opus".into()),
        width: 640,
        height: 360,
        frames: 30,
        packets: 50,
        size: 1,
        sha256: hash(part),
        object: format!("main/{part}.webm"),
        continuity: Some(Continuity { tracks: vec![track(0, part), track(1, part)], before, ..Continuity::default() }),
        ..Clip::at(id(part), id(99), "main", part)
    }
}

/// For other tests as well.
pub(crate) fn a_clip() -> Clip {
    clip(0)
}

fn clips() -> Vec<Clip> {
    (0..PARTS).map(clip).collect()
}

fn walked(clips: &[Clip]) -> Vec<String> {
    walk(&mut clips.iter().map(Member::from).collect::<Vec<_>>())
}

fn record(clip: &mut Clip) -> &mut Continuity {
    clip.continuity.as_mut().expect("a record")
}

/// Breaks a whole chain at part 2 and says what is found.
fn broken(by: impl Fn(&mut Vec<Clip>)) -> Vec<String> {
    let mut clips = clips();
    by(&mut clips);
    walked(&clips)
}

#[test]
fn a_whole_chain_is_silent_in_any_order() {
    let mut clips = clips();
    clips.rotate_left(3);
    assert_eq!(walked(&clips), Vec::<String>::new());
    let members: Vec<_> = clips.iter().map(Member::from).collect();
    assert_eq!(made(&members), Some(PARTS));
    assert_eq!(walked(&[]), Vec::<String>::new());
}

#[test]
fn every_kind_of_break_is_named() {
    type Break = fn(&mut Vec<Clip>);
    let cases: [(Break, &[&str]); 14] = [
        (|c| drop(c.remove(2)), &["which is nowhere", "units 60 to 89 are missing", "units 100 to 149 are missing"]),
        (|c| drop(c.remove(0)), &["which is nowhere", "units 0 to 29 are missing", "units 0 to 49 are missing"]),
        (|c| record(&mut c[2]).tracks[0].first_unit += 1, &["are not 30", "track 0: units 60 to 60 are missing"]),
        (|c| record(&mut c[2]).tracks[1].first_unit -= 1, &["are not 50", "track 1: units 99 to 99 are in both"]),
        (|c| record(&mut c[2]).tracks[0].units = 29, &["units 60 to 89 are not 29"]),
        (|c| record(&mut c[2]).tracks[1].from_ns -= SECOND, &["track 1: time does not move forward"]),
        (|c| c[2].started_at_ms += 40, &["their clocks are 40 ms apart"]),
        (|c| c[2].sha256 = hash(77), &["with another hash than it has"]),
        (|c| record(&mut c[2]).before = None, &["does not name the clip before it"]),
        (
            |c| record(&mut c[2]).before = Some(Link { clip: id(0), part: 0, sha256: hash(0) }),
            &["names part 0 as the one before"],
        ),
        (
            |c| record(&mut c[2]).before = Some(Link { clip: id(0), part: 1, sha256: hash(1) }),
            &["as part 1, it is part 0"],
        ),
        (|c| c[2].continuity = None, &["has no continuity record"]),
        (|c| c.push(Clip { id: id(50), ..clip(2) }), &["are both part 2", "are in both", "are in both"]),
        (|c| record(&mut c[2]).tracks.truncate(1), &["between clips 01", "units 100 to 149 are missing"]),
    ];
    for (number, (by, wanted)) in cases.into_iter().enumerate() {
        let found = broken(by);
        for text in wanted {
            assert!(found.iter().any(|problem| problem.contains(text)), "case {number}, {text}: {found:#?}");
        }
        assert!(found.len() <= wanted.len(), "case {number}: {found:#?}");
    }
}

#[test]
fn a_deleted_clip_is_known_by_its_tombstone() {
    let clips = clips();
    for gone in 0..clips.len() {
        let member =
            |(at, clip): (usize, &Clip)| if at == gone { (&Tombstone::from(clip)).into() } else { clip.into() };
        let mut members: Vec<Member> = clips.iter().enumerate().map(member).collect();
        assert_eq!(walk(&mut members), Vec::<String>::new(), "part {gone}");
        assert_eq!(made(&members), Some(PARTS));
        members.remove(gone);
        assert!(gone + 1 == clips.len() || !walk(&mut members).is_empty(), "part {gone} without a tombstone");
        assert_eq!(made(&members), Some(PARTS - 1));
    }
}

#[test]
fn what_is_explained_is_no_break() {
    // a part that failed: the link names the one before it, and its units are missing
    let failed = broken(|clips| {
        clips.remove(2);
        let before = Some(Link { clip: id(1), part: 1, sha256: hash(1) });
        (record(&mut clips[2]).before, record(&mut clips[2]).passed) = (before, 1);
    });
    assert!(failed.len() == 2 && failed.iter().all(|problem| problem.contains("are missing")), "{failed:?}");
    let silent: [fn(&mut Vec<Clip>); 5] = [
        // the same, and its clip came later after all
        |clips| {
            let before = Some(Link { clip: id(1), part: 1, sha256: hash(1) });
            (record(&mut clips[3]).before, record(&mut clips[3]).passed) = (before, 1);
        },
        |clips| (record(&mut clips[1]).before, record(&mut clips[1]).passed) = (None, 1),
        // a damaged file was made again
        |clips| {
            let old = std::mem::replace(&mut clips[2].sha256, hash(77));
            record(&mut clips[2]).replaces(Vec::new(), &old);
        },
        // the disk did not take the end of one part and the beginning of the next
        |clips| {
            let track = &mut record(&mut clips[2]).tracks[0];
            (track.first_unit, track.units, track.given_up_before) = (track.first_unit + 10, 15, true);
            track.given_up = 5;
        },
        // all of an older writer
        |clips| clips.iter_mut().for_each(|clip| clip.continuity = None),
    ];
    for (number, by) in silent.into_iter().enumerate() {
        assert_eq!(broken(by), Vec::<String>::new(), "case {number}");
    }
}

#[test]
fn of_what_is_on_its_way_nothing_is_expected() {
    let clips = clips();
    let coming =
        |part: u32| Member { kind: Kind::Coming, sha256: String::new(), continuity: None, ..(&clip(part)).into() };
    let mut members: Vec<Member> = clips.iter().map(Member::from).collect();
    members[2] = coming(2);
    assert_eq!(walk(&mut members), Vec::<String>::new());
    // its file is there, its link is not
    members[4] = Member { kind: Kind::Coming, ..members[4].clone() };
    members[4].continuity.as_mut().expect("a record").before = None;
    assert_eq!(walk(&mut members), Vec::<String>::new());
    // of a track that comes back later nothing is known either
    members[3].continuity.as_mut().expect("a record").tracks.truncate(1);
    assert_eq!(walk(&mut members), Vec::<String>::new());
}
