//! The test sound: a beep on every full second, the moment at which the ball of the picture touches the ground.

use std::f64::consts::TAU;

pub const RATE: u32 = 48_000;
pub const CHANNELS: usize = 2;
/// Samples per channel of one Opus packet: 20 ms.
pub const PACKET_SAMPLES: usize = 960;
/// Opus decodes to what it was given this many samples later (libopus: 6.5 ms at 48 kHz). The sound is made that much
/// earlier, so that it is heard with its picture.
const CODEC_DELAY: u64 = 312;

const BEEP_SECONDS: f64 = 0.1;
const ATTACK_SECONDS: f64 = 0.001;
const LOUDNESS: f64 = 0.35 * 32_767.0;

/// Interleaved 16-bit samples of packet `number`, for an encoder with the delay of Opus.
pub(super) fn packet(number: u64) -> Vec<i16> {
    samples(number * PACKET_SAMPLES as u64 + CODEC_DELAY, PACKET_SAMPLES)
}

/// Interleaved 16-bit samples from sample `from` on.
pub fn samples(from: u64, count: usize) -> Vec<i16> {
    let mut samples = Vec::with_capacity(count * CHANNELS);
    for at in from..from + count as u64 {
        let second = at / u64::from(RATE);
        let within = (at % u64::from(RATE)) as f64 / f64::from(RATE);
        // The first beep of ten is higher, so that people hear where they are.
        let pitch = if second.is_multiple_of(10) { 1320.0 } else { 880.0 };
        let sample = (LOUDNESS * envelope(within) * (TAU * pitch * within).sin()) as i16;
        samples.extend([sample; CHANNELS]);
    }
    samples
}

fn envelope(within: f64) -> f64 {
    if within >= BEEP_SECONDS {
        0.0
    } else {
        (within / ATTACK_SECONDS).min((BEEP_SECONDS - within) / 0.02).clamp(0.0, 1.0)
    }
}
