//! The health score of a clip, from what a worker saw in its file and what is known to be missing. The formula is in `docs/health.md`.

use pipeline::{Inspected, Trouble};
use storage::{Clip, ClipHealth, Finding, FindingKind};

/// Points for a clip that is so from beginning to end.
const BLACK: u64 = 60;
const FROZEN: u64 = 50;
const SILENT: u64 = 40;
const FLASHING: u64 = 30;
const SPOILT: u64 = 50;
/// Points for a second that is missing, and the most for all of them.
const MISSING: u64 = 5;
const MOST_MISSING: u64 = 50;
/// An offset up to this is not seen (ITU-R BT.1359); then a point for each 10 ms, up to a bound.
const OFFSET_MS: u64 = 40;
const MOST_OFFSET: u64 = 30;
/// Quieter sound is hardly heard, tenths of LUFS.
const FAINT_LUFS_X10: i32 = -450;
const FAINT: u64 = 10;

pub(crate) fn of(clip: &Clip, inspected: &Inspected) -> ClipHealth {
    // what stood because nothing came is missing; where nobody noticed that it is, it stood still
    let frozen_ms = inspected.frozen_ms + inspected.held_ms.saturating_sub(clip.lost_ms);
    let share = |ms: u64, points: u64| (ms.min(clip.duration_ms) * points).div_ceil(clip.duration_ms.max(1));
    let late = u64::from(inspected.av_offset_ms.unwrap_or(0).unsigned_abs());
    let faint = inspected.loudness_lufs_x10.is_some_and(|lufs| lufs < FAINT_LUFS_X10);
    let points = [
        share(inspected.black_ms, BLACK),
        share(frozen_ms, FROZEN),
        share(inspected.silent_ms, SILENT),
        share(inspected.flashing_ms, FLASHING),
        share(inspected.spoilt_ms, SPOILT),
        (clip.lost_ms.min(3_600_000) * MISSING).div_ceil(1000).min(MOST_MISSING),
        late.saturating_sub(OFFSET_MS).div_ceil(10).min(MOST_OFFSET),
        if faint { FAINT } else { 0 },
    ];
    ClipHealth {
        score: 100 - points.iter().sum::<u64>().min(100) as u8,
        black_ms: inspected.black_ms,
        frozen_ms,
        silent_ms: inspected.silent_ms,
        flashing_ms: inspected.flashing_ms,
        spoilt_ms: inspected.spoilt_ms,
        loudness: inspected.loudness_lufs_x10,
        av_offset_ms: inspected.av_offset_ms,
        findings: inspected.findings.iter().take(storage::FINDINGS).map(finding).collect(),
    }
}

fn finding(found: &pipeline::Finding) -> Finding {
    let kind = match found.trouble {
        Trouble::Black => FindingKind::Black,
        Trouble::Frozen => FindingKind::Frozen,
        Trouble::Held => FindingKind::Held,
        Trouble::Silent => FindingKind::Silent,
        Trouble::Flashing => FindingKind::Flashing,
        Trouble::Spoilt => FindingKind::Spoilt,
    };
    Finding { kind, from_ms: found.from_ms, to_ms: found.to_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(lost_ms: u64, inspected: Inspected) -> (u8, u64) {
        let clip = Clip { lost_ms, duration_ms: 20_000, ..crate::chain::tests::a_clip() };
        let health = of(&clip, &inspected);
        (health.score, health.frozen_ms)
    }

    #[test]
    fn each_defect_costs_what_the_formula_says() {
        let nothing = Inspected::default;
        assert_eq!(score(0, nothing()), (100, 0));
        assert_eq!(
            score(0, Inspected { loudness_lufs_x10: Some(-230), av_offset_ms: Some(40), ..nothing() }),
            (100, 0)
        );
        assert_eq!(score(0, Inspected { black_ms: 5_000, ..nothing() }), (85, 0));
        assert_eq!(score(0, Inspected { frozen_ms: 4_000, ..nothing() }), (90, 4_000));
        assert_eq!(score(0, Inspected { silent_ms: 10_000, ..nothing() }), (80, 0));
        assert_eq!(score(1_200, nothing()), (94, 0));
        assert_eq!(score(60_000, nothing()), (50, 0));
        assert_eq!(score(0, Inspected { av_offset_ms: Some(-300), ..nothing() }), (74, 0));
        assert_eq!(score(0, Inspected { loudness_lufs_x10: Some(-520), ..nothing() }), (90, 0));
        assert_eq!(score(0, Inspected { flashing_ms: 2_000, ..nothing() }), (97, 0));
        assert_eq!(score(0, Inspected { spoilt_ms: 2_000, ..nothing() }), (95, 0));
        assert_eq!(score(0, Inspected { silent_ms: 1, ..nothing() }), (99, 0), "no defect is free");
        let hopeless = Inspected { black_ms: 20_000, silent_ms: 20_000, ..nothing() };
        assert_eq!(score(20_000, hopeless), (0, 0));
    }

    #[test]
    fn a_picture_that_stands_for_what_is_lost_is_not_counted_twice() {
        let held = || Inspected { held_ms: 4_000, ..Inspected::default() };
        assert_eq!(score(4_000, held()), (80, 0));
        assert_eq!(score(1_000, held()), (87, 3_000));
    }
}
