//! When the disk will be full, from how its use grew. Pure: measurements go in, a time comes out.
//!
//! Growth is the median of the slopes between all pairs of measurements (Theil and Sen), which one large file that comes or goes
//! does not move. It is taken twice, over the last minutes and over the last hours, and the faster of both counts: a live that
//! began just now fills the disk as surely as one that goes on all day.

use std::collections::VecDeque;
use std::time::Duration;

/// Measurements of one window, and the time between two of them.
const NEAR: Window = Window { every: Duration::from_secs(5), keep: 120, least: Duration::from_secs(60) };
const FAR: Window = Window { every: Duration::from_secs(300), keep: 72, least: Duration::from_secs(3600) };
/// What lies further ahead is not worth saying.
const HORIZON: Duration = Duration::from_secs(3 * 365 * 24 * 3600);

#[derive(Debug)]
struct Window {
    every: Duration,
    keep: usize,
    /// Nothing is said before this much time was seen.
    least: Duration,
}

/// Both windows.
#[derive(Debug, Default)]
pub(crate) struct Forecast {
    near: VecDeque<Sample>,
    far: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    used: u64,
}

impl Forecast {
    /// `at` is any clock that only goes forward.
    pub(crate) fn note(&mut self, at: Duration, used: u64) {
        for (samples, window) in [(&mut self.near, NEAR), (&mut self.far, FAR)] {
            if samples.back().is_some_and(|last| at.saturating_sub(last.at) < window.every) {
                continue;
            }
            samples.push_back(Sample { at, used });
            if samples.len() > window.keep {
                samples.pop_front();
            }
        }
    }

    /// Time until `room` more bytes are used; none when the use does not grow.
    pub(crate) fn until_full(&self, room: u64) -> Option<Duration> {
        let slope = [(&self.near, NEAR), (&self.far, FAR)]
            .into_iter()
            .filter_map(|(samples, window)| slope(samples, window.least))
            .fold(0.0, f64::max);
        let seconds = room as f64 / slope;
        (slope > 0.0 && seconds < HORIZON.as_secs_f64()).then(|| Duration::from_secs_f64(seconds))
    }
}

/// Bytes a second.
fn slope(samples: &VecDeque<Sample>, least: Duration) -> Option<f64> {
    let (first, last) = (samples.front()?, samples.back()?);
    if last.at - first.at < least {
        return None;
    }
    let pairs = samples.iter().enumerate().flat_map(|(n, a)| samples.iter().skip(n + 1).map(move |b| (a, b)));
    let mut slopes: Vec<f64> =
        pairs.map(|(a, b)| (b.used as f64 - a.used as f64) / (b.at - a.at).as_secs_f64()).collect();
    let middle = slopes.len() / 2;
    Some(*slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    /// Measurements each 5 s of a use that is given by the second.
    fn after(seconds: u64, used: impl Fn(u64) -> u64) -> Forecast {
        let mut forecast = Forecast::default();
        for at in (0..=seconds).step_by(5) {
            forecast.note(Duration::from_secs(at), used(at));
        }
        forecast
    }

    fn hours(forecast: &Forecast, room: u64) -> Option<f64> {
        forecast.until_full(room).map(|time| (time.as_secs_f64() / 36.0).round() / 100.0)
    }

    #[test]
    fn a_steady_recording_fills_the_disk_at_its_rate() {
        assert_eq!(hours(&after(55, |at| at * MB), 3600 * MB), None, "too early to say");
        assert_eq!(hours(&after(60, |at| at * MB), 3600 * MB), Some(1.0));
        assert_eq!(hours(&after(9 * 3600, |at| at * MB), 7200 * MB), Some(2.0));
    }

    #[test]
    fn a_quiet_disk_or_one_that_empties_has_no_date() {
        assert_eq!(hours(&after(4000, |_| 5 * MB), 3600 * MB), None);
        assert_eq!(hours(&after(4000, |at| (5000 - at) * MB), 3600 * MB), None);
        assert_eq!(hours(&after(4000, |at| at / 1000), 1 << 60), None, "a century is no date");
    }

    #[test]
    fn one_large_file_does_not_move_it() {
        for (before, after_it) in [(0, 50_000 * MB), (50_000 * MB, 0)] {
            let jump = |at| at * MB + if at < 200 { before } else { after_it };
            let found = hours(&after(590, jump), 3600 * MB).expect("it grows");
            assert!((0.2..3.0).contains(&found), "{found}");
            assert_eq!(hours(&after(1200, jump), 3600 * MB), Some(1.0), "and is forgotten");
        }
    }

    #[test]
    fn a_live_that_has_just_begun_counts_as_much_as_a_long_day() {
        let began = 8 * 3600;
        let live = after(began + 600, |at| at.saturating_sub(began) * MB);
        assert_eq!(hours(&live, 3600 * MB), Some(1.0));
        let paused = after(began + 600, |at| at.min(began) * MB);
        let found = hours(&paused, 3600 * MB).expect("over the day it grew");
        assert!((0.9..1.3).contains(&found), "{found}");
    }
}
