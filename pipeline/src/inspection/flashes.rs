//! Where the picture flashes as it must not: more than three times within a second, over more than a quarter of it (WCAG 2.2, 2.3.1, and
//! ITU-R BT.1702). Told by pictures that follow each other; red flashes are not told apart.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer_video::VideoFrameRef;
use gstreamer_video::prelude::*;

use super::groups::Groups;
use super::standing::Span;

const SECOND: u64 = 1_000_000_000;
/// Cells beside and below each other, and points of a cell that are looked at in either direction.
const COLUMNS: usize = 16;
const ROWS: usize = 9;
const CELLS: usize = COLUMNS * ROWS;
const POINTS: usize = 6;
/// Of the brightest white: what counts as a change, and below which the darker of the two must lie.
const CHANGE: f32 = 0.1;
const DARKER: f32 = 0.8;
/// Cells that change at once: a quarter.
const AREA: usize = CELLS / 4;
/// A flash is a change and its opposite: more than three of them.
const CHANGES: usize = 7;
/// Exactly three a second take a second from the first to the seventh, but for rounding.
const WITHIN_NS: u64 = SECOND - SECOND / 50;

/// Mean luma of each cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid([u8; CELLS]);

impl Grid {
    pub(super) fn of(frame: &VideoFrameRef<&gst::BufferRef>) -> Option<Self> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
        let plane = frame.plane_data(0).ok()?;
        let across = |point: usize, points: usize, side: usize| ((2 * point + 1) * side / (2 * points)).min(side - 1);
        let mut sums = [0_u32; CELLS];
        for y in 0..ROWS * POINTS {
            let line = plane.get(across(y, ROWS * POINTS, height) * stride..)?;
            for x in 0..COLUMNS * POINTS {
                let luma = line.get(across(x, COLUMNS * POINTS, width))?;
                sums[y / POINTS * COLUMNS + x / POINTS] += u32::from(*luma);
            }
        }
        Some(Self(sums.map(|sum| (sum / (POINTS * POINTS) as u32) as u8)))
    }
}

/// Relative luminance of a luma in the range of video.
static LIGHT: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|luma| ((luma as f32 - 16.0) / 219.0).clamp(0.0, 1.0).powf(2.2)));

/// The way of one cell: the last turn of its light, and whether it has gone up since.
#[derive(Clone, Copy)]
struct Way {
    turn: f32,
    up: Option<bool>,
}

impl Way {
    /// Whether it changed by this, and upwards.
    fn goes(&mut self, light: f32) -> Option<bool> {
        let is_up = light > self.turn;
        let changed = (light - self.turn).abs() >= CHANGE && light.min(self.turn) < DARKER;
        if self.up == Some(is_up) {
            self.turn = light;
            return None;
        }
        changed.then(|| *self = Self { turn: light, up: Some(is_up) })?;
        Some(is_up)
    }
}

/// Longest stretches with more than three flashes in each second of them.
pub(super) fn flashes(all: &Groups<'_>, grids: &BTreeMap<usize, Grid>) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let mut changes: Vec<(u64, bool)> = Vec::new();
    let mut ways: Option<[Way; CELLS]> = None;
    let mut before = None;
    for (at, Grid(cells)) in grids {
        if before.is_none_or(|before| before + 1 != *at) {
            (ways, changes) = (None, Vec::new());
        }
        before = Some(*at);
        let light = cells.map(|luma| LIGHT[usize::from(luma)]);
        let Some(ways) = &mut ways else {
            ways = Some(light.map(|turn| Way { turn, up: None }));
            continue;
        };
        let (mut up, mut down) = (0, 0);
        for (way, light) in ways.iter_mut().zip(light) {
            match way.goes(light) {
                Some(true) => up += 1,
                Some(false) => down += 1,
                None => {}
            }
        }
        let is_up = up > down;
        if up.max(down) > AREA && changes.last().is_none_or(|(_, last)| *last != is_up) {
            changes.push((all.pts_ns(*at), is_up));
        }
        let Some(first) = changes.len().checked_sub(CHANGES) else { continue };
        let (from_ns, to_ns) = (changes[first].0, all.pts_ns(*at));
        if to_ns - from_ns >= WITHIN_NS || changes.last().is_none_or(|(last_ns, _)| *last_ns != to_ns) {
            continue;
        }
        match found.last_mut() {
            Some(last) if last.to_ns >= from_ns => last.to_ns = to_ns,
            _ => found.push(Span { from_ns, to_ns }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::groups::Sample;
    use super::*;

    /// Ten seconds of 30 pictures each; `cells` of each picture are bright where `bright` says so.
    fn found(cells: usize, luma: (u8, u8), bright: impl Fn(usize) -> bool) -> Vec<(u64, u64)> {
        let samples: Vec<Sample> =
            (0..300).map(|at| Sample { pts_ns: at * SECOND / 30, bytes: 100, key: at == 0, shown: true }).collect();
        let grids = (0..300).map(|at| {
            let mut grid = [luma.0; CELLS];
            grid[..cells].fill(if bright(at) { luma.1 } else { luma.0 });
            (at, Grid(grid))
        });
        let spans = flashes(&Groups::of(&samples, 10 * SECOND), &grids.collect());
        spans.iter().map(|span| (span.from_ns * 30 / SECOND, (span.to_ns * 30).div_ceil(SECOND))).collect()
    }

    /// This many times a second, in pictures 90 to 180.
    fn blinks(hertz: usize) -> impl Fn(usize) -> bool {
        move |at| (90..180).contains(&at) && (at * hertz * 2 / 30).is_multiple_of(2)
    }

    #[test]
    fn more_than_three_a_second_over_more_than_a_quarter_are_found() {
        for hertz in [4, 5, 10, 15] {
            let spans = found(CELLS, (16, 235), blinks(hertz));
            let [(from, to)] = spans[..] else { panic!("{hertz} Hz: {spans:?}") };
            assert!(from.abs_diff(90) <= 4 && to.abs_diff(180) <= 4, "{hertz} Hz: {spans:?}");
        }
        assert_eq!(found(CELLS / 3, (60, 200), blinks(5)).len(), 1);
    }

    #[test]
    fn slow_small_and_weak_ones_are_not() {
        assert_eq!(found(CELLS, (16, 235), blinks(3)), []);
        assert_eq!(found(CELLS / 4, (16, 235), blinks(5)), []);
        assert_eq!(found(CELLS, (100, 110), blinks(5)), []);
        assert_eq!(found(CELLS, (225, 235), blinks(5)), [], "both are bright");
        assert_eq!(found(CELLS, (16, 235), |at| at % 60 < 30), [], "a cut each second");
    }

    #[test]
    fn pictures_that_do_not_follow_each_other_say_nothing() {
        let samples: Vec<Sample> =
            (0..300).map(|at| Sample { pts_ns: at * SECOND / 30, bytes: 100, key: at == 0, shown: true }).collect();
        let grid = |at: usize| (at, Grid([if at.is_multiple_of(4) { 16 } else { 235 }; CELLS]));
        let apart: BTreeMap<usize, Grid> = (0..300).step_by(2).map(grid).collect();
        assert_eq!(flashes(&Groups::of(&samples, 10 * SECOND), &apart), []);
    }
}
