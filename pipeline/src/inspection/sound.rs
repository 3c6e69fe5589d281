//! How loud a clip is, tenth by tenth of a second: its waveform, its loudness, and where it is silent.

use ebur128::{EbuR128, Mode};

use super::standing::Span;

const SECOND: u64 = 1_000_000_000;
/// Length of one level.
const LEVEL_NS: u64 = SECOND / 10;
/// A day. What is later is not measured.
const LEVELS: usize = 24 * 36_000;
/// Points of a waveform at most; longer clips have coarser ones.
const POINTS: usize = 36_000;
/// Below -60 dBFS, as a fraction of full scale: what a microphone that is off, or muted, gives.
const SILENCE: f64 = 0.001;
const SILENCE_NS: u64 = 3 * SECOND;
/// Of the sample rate of which waveforms speak, whatever the sound had.
const RATE: u32 = 48_000;
/// What the loudness of R 128 is gated at, and so the least it can be (ITU-R BS.1770).
const GATE_LUFS: f64 = -70.0;
/// Samples a second that are enough to measure loudness. The others are left out without a filter: what is folded down keeps its power, and little of
/// it comes to lie where R 128 weighs it otherwise.
const METER_RATE: u32 = 16_000;
/// Samples that are measured beside each other; channels take turns in them.
const LANES: usize = 16;

/// Of a tenth of a second.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// Of full scale, -128 to 127, per channel.
    least: [i8; 2],
    most: [i8; 2],
    /// Sum of squares, of the louder channel.
    power: f32,
    /// Samples of each channel.
    count: u32,
}

/// See the head of this module.
pub(super) struct Levels {
    channels: usize,
    levels: Vec<Level>,
    meter: Option<EbuR128>,
    meter_for: (usize, u32),
    /// The samples of one packet that are measured.
    metered: Vec<f32>,
    /// Of the first and behind the last sample, on the file's timeline.
    span: Option<(u64, u64)>,
}

impl Levels {
    pub(super) fn new() -> Self {
        Self { channels: 1, levels: Vec::new(), meter: None, meter_for: (0, 0), metered: Vec::new(), span: None }
    }

    /// Interleaved samples of one or two channels that follow each other from `pts_ns` on.
    pub(super) fn add(&mut self, pts_ns: u64, rate: u32, channels: usize, samples: &[f32]) {
        if rate == 0 || !(1..=2).contains(&channels) {
            return;
        }
        self.channels = self.channels.max(channels);
        let frames = samples.len() / channels;
        let end_ns = pts_ns + frames as u64 * SECOND / u64::from(rate);
        let (from_ns, to_ns) = self.span.unwrap_or((pts_ns, end_ns));
        self.span = Some((from_ns.min(pts_ns), to_ns.max(end_ns)));
        self.measure(rate, channels, samples);
        let mut done = 0;
        while done < frames {
            let at_ns = pts_ns + done as u64 * SECOND / u64::from(rate);
            let level = (at_ns / LEVEL_NS) as usize;
            let next_ns = (level as u64 + 1) * LEVEL_NS;
            let until = ((next_ns - pts_ns) * u64::from(rate)).div_ceil(SECOND) as usize;
            let until = until.clamp(done + 1, frames);
            if level >= LEVELS {
                return;
            }
            if self.levels.len() <= level {
                self.levels.resize(level + 1, Level::default());
            }
            self.levels[level].add(channels, &samples[done * channels..until * channels]);
            done = until;
        }
    }

    fn measure(&mut self, rate: u32, channels: usize, samples: &[f32]) {
        let each = match rate / METER_RATE {
            each @ 2.. if rate.is_multiple_of(each) => each,
            _ => 1,
        };
        let rate = rate / each;
        if self.meter.is_none() {
            // the histogram keeps a long clip from taking memory
            self.meter = EbuR128::new(channels as u32, rate, Mode::I | Mode::HISTOGRAM).ok();
            self.meter_for = (channels, rate);
        }
        let Some(meter) = &mut self.meter else { return };
        if self.meter_for != (channels, rate) {
            if meter.change_parameters(channels as u32, rate).is_err() {
                return;
            }
            self.meter_for = (channels, rate);
        }
        self.metered.clear();
        samples.chunks_exact(channels).step_by(each as usize).for_each(|frame| self.metered.extend_from_slice(frame));
        // refuses only what is not whole frames of its channels, which these are
        let _ = meter.add_frames_f32(&self.metered);
    }

    /// Of the first and behind the last sample.
    pub(super) fn span(&self) -> Option<(u64, u64)> {
        self.span
    }

    pub(super) fn loudness_lufs_x10(&self) -> Option<i32> {
        let lufs = self.meter.as_ref()?.loudness_global().ok()?;
        (lufs.is_finite() && lufs > GATE_LUFS).then_some((lufs * 10.0).round() as i32)
    }

    /// Where nothing is heard for long, also because there is no sound at all.
    pub(super) fn silences(&self, duration_ns: u64) -> Vec<Span> {
        let count = ((duration_ns / LEVEL_NS) as usize).min(LEVELS);
        let quiet = |at: usize| self.levels.get(at).is_none_or(Level::is_silent);
        let mut found = Vec::new();
        let mut from = None;
        for at in 0..=count {
            if at < count && quiet(at) {
                from.get_or_insert(at);
            } else if let Some(begin) = from.take() {
                let to_ns = if at == count { duration_ns } else { at as u64 * LEVEL_NS };
                found.push(Span { from_ns: begin as u64 * LEVEL_NS, to_ns });
            }
        }
        found.retain(|span| span.to_ns - span.from_ns >= SILENCE_NS);
        found
    }

    /// JSON of the audiowaveform format, version 2: per point least and most of each channel in 8 bits.
    pub(super) fn waveform(&self, duration_ns: u64) -> String {
        let count = (duration_ns.div_ceil(LEVEL_NS) as usize).clamp(1, LEVELS);
        let merged = count.div_ceil(POINTS);
        let points = count.div_ceil(merged);
        let mut data = String::with_capacity(points * self.channels * 8);
        for point in 0..points {
            let levels = (point * merged..(point + 1) * merged).filter_map(|at| self.levels.get(at));
            let (mut least, mut most) = ([0_i8; 2], [0_i8; 2]);
            for level in levels {
                for channel in 0..2 {
                    least[channel] = least[channel].min(level.least[channel]);
                    most[channel] = most[channel].max(level.most[channel]);
                }
            }
            for channel in 0..self.channels {
                if !data.is_empty() {
                    data.push(',');
                }
                data += &format!("{},{}", least[channel], most[channel]);
            }
        }
        let samples = u64::from(RATE) / 10 * merged as u64;
        format!(
            r#"{{"version":2,"channels":{},"sample_rate":{RATE},"samples_per_pixel":{samples},"bits":8,"length":{points},"data":[{data}]}}"#,
            self.channels
        )
    }
}

impl Level {
    fn add(&mut self, channels: usize, samples: &[f32]) {
        let [mut least, mut most, mut sums] = [[0.0_f32; LANES]; 3];
        let mut take = |lane: usize, sample: f32| {
            // what is no number is neither less nor more
            least[lane] = if sample < least[lane] { sample } else { least[lane] };
            most[lane] = if sample > most[lane] { sample } else { most[lane] };
            sums[lane] += sample * sample;
        };
        let (chunks, rest) = samples.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, sample) in chunk.iter().enumerate() {
                take(lane, *sample);
            }
        }
        for (lane, sample) in rest.iter().enumerate() {
            take(lane, *sample);
        }
        let mut power = [0.0_f32; 2];
        for lane in 0..LANES {
            let channel = lane % channels;
            // `as` saturates
            self.least[channel] = self.least[channel].min((least[lane] * 128.0) as i8);
            self.most[channel] = self.most[channel].max((most[lane] * 128.0) as i8);
            power[channel] += sums[lane];
        }
        if channels == 1 {
            (self.least[1], self.most[1]) = (self.least[0], self.most[0]);
        }
        self.power += power[0].max(power[1]);
        self.count += (samples.len() / channels) as u32;
    }

    fn is_silent(&self) -> bool {
        self.count == 0 || f64::from(self.power) / f64::from(self.count) < SILENCE * SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of 1 kHz in both channels, in packets of 20 ms.
    fn tone(levels: &mut Levels, from_ms: u64, to_ms: u64, amplitude: f32) {
        for packet in from_ms / 20..to_ms / 20 {
            let sample = |at: u64| amplitude * (at as f32 * std::f32::consts::TAU / 48.0).sin();
            let samples: Vec<f32> = (0..960).flat_map(|at| [sample(at), sample(at)]).collect();
            levels.add(packet * 20_000_000, 48_000, 2, &samples);
        }
    }

    #[test]
    fn silence_is_found_whether_it_is_sent_or_not() {
        let mut levels = Levels::new();
        tone(&mut levels, 0, 5_000, 0.5);
        tone(&mut levels, 5_000, 9_000, 0.0005);
        tone(&mut levels, 9_000, 12_000, 0.5);
        tone(&mut levels, 16_000, 18_000, 0.5);
        let found: Vec<_> =
            levels.silences(20 * SECOND).iter().map(|s| (s.from_ns / LEVEL_NS, s.to_ns / LEVEL_NS)).collect();
        assert_eq!(found, [(50, 90), (120, 160)], "two seconds at the end are not long");
        assert_eq!(levels.span(), Some((0, 18 * SECOND)));
    }

    #[test]
    fn loudness_is_that_of_the_standard() {
        // EBU Tech 3341, case 1: a stereo tone of 1 kHz with peaks of -23 dBFS has -23 LUFS
        let mut levels = Levels::new();
        tone(&mut levels, 0, 20_000, 10_f32.powf(-23.0 / 20.0));
        let lufs = levels.loudness_lufs_x10().expect("it is loud enough");
        assert!((lufs + 230).abs() <= 1, "{lufs}");
        let mut silent = Levels::new();
        tone(&mut silent, 0, 5_000, 0.0);
        assert_eq!(silent.loudness_lufs_x10(), None);
        assert_eq!(Levels::new().loudness_lufs_x10(), None);
    }

    /// Noise whose next sample keeps so much of the one before it; three quarters of it loud. What was measured, and what all its samples have.
    fn noise(kept: f32) -> (f64, f64) {
        let (mut state, mut before) = (1_u64, [0.0_f32; 2]);
        let mut levels = Levels::new();
        let mut whole = EbuR128::new(2, 48_000, Mode::I).expect("a meter");
        for packet in 0..500 {
            let loud = if packet % 200 < 150 { 0.2 } else { 0.01 };
            let samples: Vec<f32> = (0..1920)
                .map(|at| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let fresh = ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * loud;
                    before[at % 2] = kept * before[at % 2] + (1.0 - kept) * fresh;
                    before[at % 2]
                })
                .collect();
            whole.add_frames_f32(&samples).expect("whole frames");
            levels.add(packet * 20_000_000, 48_000, 2, &samples);
        }
        let told = levels.loudness_lufs_x10().expect("it is loud");
        (f64::from(told) / 10.0, whole.loudness_global().expect("it is loud"))
    }

    #[test]
    fn leaving_samples_out_hardly_changes_the_loudness() {
        // as voices and music fall off with the frequency, and as nothing does
        for (kept, differs) in [(0.9, 0.1), (0.0, 0.4)] {
            let (told, wanted) = noise(kept);
            assert!((told - wanted).abs() <= differs, "{told} instead of {wanted} LUFS");
        }
    }

    #[test]
    fn a_waveform_has_a_point_for_each_tenth() {
        let mut levels = Levels::new();
        tone(&mut levels, 0, 200, 0.5);
        tone(&mut levels, 300, 400, 2.0);
        let text = levels.waveform(450_000_000);
        assert_eq!(
            text,
            r#"{"version":2,"channels":2,"sample_rate":48000,"samples_per_pixel":4800,"bits":8,"length":5,"data":[-64,64,-64,64,-64,64,-64,64,0,0,0,0,-128,127,-128,127,0,0,0,0]}"#
        );
        let long = levels.waveform(12 * 3600 * SECOND);
        assert!(long.contains(r#""samples_per_pixel":57600,"bits":8,"length":36000"#), "{}", &long[..120]);
    }

    #[test]
    fn nonsense_is_not_measured() {
        let mut levels = Levels::new();
        levels.add(0, 0, 2, &[0.5; 4]);
        levels.add(0, 48_000, 7, &[0.5; 7]);
        levels.add(u64::from(u32::MAX) * SECOND, 48_000, 1, &[0.5; 960]);
        assert!(levels.levels.is_empty());
        levels.add(0, 48_000, 1, &[f32::NAN; 9_600]);
        assert_eq!(levels.loudness_lufs_x10(), None);
    }
}
