//! Packet sizes and spacing of recorded publishers, so that a case can replay what a real encoder and pacer do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

/// Packets closer than this left the recorded publisher together.
const TOGETHER_US: u64 = 500;

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceName {
    /// The picture of a Chromium publisher (VP8, 2.5 Mbit/s, fake camera), see docs/performance.md.
    Chromium,
}

impl fmt::Display for TraceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TraceName::Chromium => "chromium",
        })
    }
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Of the RTP packet in clear, header included.
    pub bytes: u16,
    pub marker: bool,
}

/// Packets that leave together, and the pause until the next group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    pub packets: &'a [Recorded],
    pub pause: Duration,
}

/// A recording, which repeats itself.
#[derive(Clone, Debug)]
pub struct Trace {
    groups: Arc<[(Vec<Recorded>, Duration)]>,
}

impl Trace {
    /// # Panics
    /// When the recording, which is part of the program, is malformed.
    pub fn load(name: TraceName) -> Trace {
        let text = match name {
            TraceName::Chromium => include_str!("../traces/chromium.txt"),
        };
        parse(text).expect("a recording: microseconds, bytes and the marker bit of each packet")
    }

    /// The `at`-th group since the start.
    pub fn group(&self, at: usize) -> Group<'_> {
        let (packets, pause) = &self.groups[at % self.groups.len()];
        Group { packets, pause: *pause }
    }

    /// Groups before it repeats itself.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }
}

/// Lines of offset in microseconds, bytes, marker bit.
fn parse(text: &str) -> Option<Trace> {
    let mut groups: Vec<(Vec<Recorded>, Duration)> = Vec::new();
    let mut start = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let at: u64 = words.next()?.parse().ok()?;
        let packet = Recorded { bytes: words.next()?.parse().ok()?, marker: words.next()? == "1" };
        match groups.last_mut() {
            Some((packets, _)) if at - start < TOGETHER_US => packets.push(packet),
            last => {
                if let Some((_, pause)) = last {
                    *pause = Duration::from_micros(at - start);
                }
                start = at;
                // The last group of all is followed by the first after a usual pause.
                groups.push((vec![packet], Duration::from_millis(33)));
            }
        }
    }
    (!groups.is_empty()).then(|| Trace { groups: groups.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_left_together_are_a_group() {
        let trace = parse("# what\n0 1200 0\n80 1100 1\n5000 900 1\n").unwrap();
        let packet = |bytes, marker| Recorded { bytes, marker };
        assert_eq!(trace.groups(), 2);
        let first = Group { packets: &[packet(1200, false), packet(1100, true)], pause: Duration::from_millis(5) };
        assert_eq!(trace.group(0), first);
        assert_eq!(trace.group(1).packets, [packet(900, true)]);
        assert_eq!(trace.group(2), first);
        assert!(parse("").is_none() && parse("a b c").is_none());
    }

    #[test]
    fn recordings_are_well_formed() {
        for name in TraceName::value_variants() {
            let trace = Trace::load(*name);
            let packets: usize = (0..trace.groups()).map(|at| trace.group(at).packets.len()).sum();
            assert!(trace.groups() > 100 && packets > trace.groups(), "{name}");
        }
    }
}
