//! One viewer of a crowd: most only count what comes, some decrypt, check and time it; some report back, some lose packets.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::rtp::packet::split_retransmission;
use media::rtp::seq::SequenceUnwrapper;
use media::session::feedback::{Compound, NackGenerator, ReportBlock, TwccRecorder};
use rand::RngExt;

use crate::peer::{Answer, Counted, Heard, Identity, Peer, VP8_RTX_PT, Wants};
use crate::probe::{Gear, Probe};
use crate::track::{Continuity, Seen};
use crate::wire::{Wire, Wired};

/// Between two reports of a viewer, as of the receivers of most browsers.
const REPORT: Duration = Duration::from_millis(100);

/// What is special about a viewer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// Decrypts and times everything.
    pub probe: bool,
    /// Sends a receiver report and transport-wide feedback every 100 ms.
    pub feedback: bool,
    /// Of 1: datagrams with media that never arrive. Above 0 the viewer is a probe that asks for what it misses.
    pub loss: f64,
}

/// See the head of this module.
pub struct Viewer {
    link: Link,
    reporter: Option<Reporter>,
    lossy: Option<Lossy>,
    pub sight: Sight,
}

enum Link {
    Counts(Box<Wired>),
    Probes(Box<Probe>),
}

/// What a turn of a viewer brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub received: u64,
    pub connected: usize,
}

/// The buffers of the thread that drives viewers.
#[derive(Default)]
pub struct Hands {
    wire: Wire,
    gear: Gear,
    compound: Compound,
}

impl Viewer {
    /// # Errors
    /// When there is no free socket.
    pub fn new(identity: &Arc<Identity>, traits: Traits) -> io::Result<Viewer> {
        let mut peer = Peer::new(identity.clone(), Wants::Watch);
        let link = if traits.probe || traits.loss > 0.0 {
            Link::Probes(Box::new(Probe::new(peer)?))
        } else {
            peer.only_count();
            Link::Counts(Box::new(Wired::new(peer)?))
        };
        Ok(Viewer {
            link,
            reporter: traits.feedback.then(Reporter::new),
            lossy: (traits.loss > 0.0).then(|| Lossy::new(traits.loss)),
            sight: Sight::default(),
        })
    }

    pub fn peer(&self) -> &Peer {
        match &self.link {
            Link::Counts(wired) => &wired.peer,
            Link::Probes(probe) => &probe.peer,
        }
    }

    /// Its offer goes out now, at this moment UTC in nanoseconds.
    pub fn asks(&mut self, utc_ns: u64) -> String {
        self.sight.asked_ns = utc_ns;
        self.peer().offer()
    }

    /// # Errors
    /// As [`Peer::accept`].
    pub fn accept(&mut self, answer: &str) -> Result<Answer, crate::peer::AnswerError> {
        let peer = match &mut self.link {
            Link::Counts(wired) => &mut wired.peer,
            Link::Probes(probe) => &mut probe.peer,
        };
        peer.accept(Instant::now(), answer)
    }

    /// What it lost and what was repaired.
    pub fn losses(&self) -> Option<Losses> {
        self.lossy.as_ref().map(Lossy::losses)
    }

    /// Takes what came and sends what is due. `window` marks what is measured, see [`Sight`].
    ///
    /// # Errors
    /// When its socket fails.
    pub fn pump(&mut self, now: Instant, window: usize, hands: &mut Hands) -> io::Result<Tally> {
        let mut tally = Tally::default();
        let Viewer { link, reporter, lossy, sight } = self;
        match link {
            Link::Counts(wired) => hands.wire.pump(now, wired, |heard| match heard {
                Heard::Connected => tally.connected += 1,
                Heard::Counted(counted) => {
                    tally.received += 1;
                    if let Some(reporter) = reporter {
                        reporter.note(now, counted);
                    }
                }
                _ => {}
            })?,
            Link::Probes(probe) => {
                let transport_cc = probe.peer.transport_cc();
                probe.pump(now, &mut hands.gear, |heard, utc_ns| match heard {
                    Heard::Connected => tally.connected += 1,
                    Heard::Rtp(packet) => {
                        tally.received += 1;
                        if let (Some(reporter), Some(counted)) = (&mut *reporter, Counted::of(&packet, transport_cc)) {
                            reporter.note(now, counted);
                        }
                        match lossy {
                            Some(lossy) => lossy.note(now, &packet),
                            None => sight.note(window, utc_ns, &packet),
                        }
                    }
                    _ => {}
                })?;
            }
        }
        self.report(now, hands)?;
        Ok(tally)
    }

    fn report(&mut self, now: Instant, hands: &mut Hands) -> io::Result<()> {
        if !self.peer().is_connected() {
            return Ok(());
        }
        let compound = &mut hands.compound;
        compound.clear();
        if let Some(reporter) = &mut self.reporter {
            reporter.write(now, compound);
        }
        if let Some(lossy) = &mut self.lossy {
            lossy.write(now, compound);
        }
        if compound.is_empty() {
            return Ok(());
        }
        let compound = compound.as_bytes();
        match &mut self.link {
            Link::Counts(wired) => hands.wire.send(wired, |peer, out| peer.send_rtcp(compound, out)),
            Link::Probes(probe) => probe.send(&mut hands.gear, |peer, out| peer.send_rtcp(compound, out))?,
        }
        Ok(())
    }

    /// Says goodbye by DTLS.
    ///
    /// # Errors
    /// When its socket fails.
    pub fn close(&mut self, now: Instant, hands: &mut Hands) -> io::Result<()> {
        match &mut self.link {
            Link::Counts(wired) => hands.wire.send(wired, |peer, out| peer.close(now, out)),
            Link::Probes(probe) => probe.send(&mut hands.gear, |peer, out| peer.close(now, out))?,
        }
        Ok(())
    }
}

/// Windows in which delays and gaps are noted; 0 is none.
pub const WINDOWS: usize = 4;

/// What a probe saw. Moments are those of the kernel, in nanoseconds UTC.
#[derive(Default)]
pub struct Sight {
    pub asked_ns: u64,
    pub continuity: Continuity,
    pub first_packet_ns: Option<u64>,
    /// The last missing packet of the first keyframe came.
    pub first_keyframe_ns: Option<u64>,
    /// From the publisher's send to the arrival here, in microseconds, by window.
    pub delays_us: [Vec<u32>; WINDOWS],
    /// The longest pause between two packets, by window.
    pub max_gap_ns: [u64; WINDOWS],
    latest_ns: u64,
    key: KeyframeWatch,
}

impl Sight {
    fn note(&mut self, window: usize, utc_ns: u64, packet: &[u8]) {
        let Some(seen) = Seen::of(packet).filter(|seen| seen.payload_type != VP8_RTX_PT) else { return };
        self.continuity.note(seen);
        self.first_packet_ns.get_or_insert(utc_ns);
        if self.first_keyframe_ns.is_none() && self.key.is_whole(seen) {
            self.first_keyframe_ns = Some(utc_ns);
        }
        if window > 0 {
            if seen.sent_ns > 0 {
                self.delays_us[window].push((utc_ns.saturating_sub(seen.sent_ns) / 1000) as u32);
            }
            if self.latest_ns > 0 {
                let gap = utc_ns.saturating_sub(self.latest_ns);
                self.max_gap_ns[window] = self.max_gap_ns[window].max(gap);
            }
        }
        self.latest_ns = utc_ns;
    }
}

/// Waits for all packets of one keyframe.
#[derive(Default)]
struct KeyframeWatch {
    timestamp: Option<u32>,
    first: u64,
    last: Option<u64>,
    packets: u64,
}

impl KeyframeWatch {
    fn is_whole(&mut self, seen: Seen) -> bool {
        if seen.starts_key {
            *self = KeyframeWatch { timestamp: Some(seen.timestamp), first: seen.number, last: None, packets: 0 };
        }
        if self.timestamp != Some(seen.timestamp) {
            return false;
        }
        self.packets += 1;
        if seen.marker {
            self.last = Some(seen.number);
        }
        self.last.is_some_and(|last| last + 1 - self.first == self.packets)
    }
}

/// Says every 100 ms what came.
struct Reporter {
    ssrc: u32,
    media: u32,
    next: Option<Instant>,
    numbers: SequenceUnwrapper,
    highest: u32,
    arrivals: TwccRecorder,
}

impl Reporter {
    fn new() -> Self {
        Self {
            ssrc: rand::random(),
            media: 0,
            next: None,
            numbers: SequenceUnwrapper::default(),
            highest: 0,
            arrivals: TwccRecorder::new(),
        }
    }

    fn note(&mut self, now: Instant, counted: Counted) {
        self.media = counted.ssrc;
        self.highest = self.highest.max(self.numbers.unwrap(u64::from(counted.sequence)) as u32);
        // A server without transport-wide numbers still gets a report of the usual size.
        self.arrivals.received(now, counted.transport.unwrap_or(counted.sequence));
        // Viewers are not in step.
        self.next.get_or_insert_with(|| now + REPORT.mul_f64(rand::rng().random_range(0.0..1.0)));
    }

    fn write(&mut self, now: Instant, compound: &mut Compound) {
        let Some(next) = self.next.filter(|next| *next <= now) else { return };
        self.next = Some(next + REPORT);
        let block = ReportBlock { ssrc: self.media, highest: self.highest, jitter: 30, ..ReportBlock::default() };
        compound.receiver_report(self.ssrc, &[block]);
        self.arrivals.poll(now, self.ssrc, self.media, compound);
    }
}

/// What a viewer behind a bad line lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Media packets between the first and the last that came.
    pub expected: u64,
    /// Datagrams that the line swallowed.
    pub swallowed: u64,
    pub repaired: u64,
    /// Never came, not even as a repair.
    pub missing: u64,
}

struct Lossy {
    share: f64,
    ssrc: u32,
    media: Option<u32>,
    numbers: SequenceUnwrapper,
    nack: NackGenerator,
    lost: Vec<u16>,
    came: HashSet<u64>,
    swallowed: u64,
    repaired: u64,
}

impl Lossy {
    fn new(share: f64) -> Self {
        Self {
            share,
            ssrc: rand::random(),
            media: None,
            numbers: SequenceUnwrapper::default(),
            nack: NackGenerator::new(),
            lost: Vec::new(),
            came: HashSet::new(),
            swallowed: 0,
            repaired: 0,
        }
    }

    fn note(&mut self, now: Instant, packet: &[u8]) {
        if rand::rng().random_bool(self.share) {
            self.swallowed += 1;
            return;
        }
        let Some(header) = media::rtp::packet::Header::parse(packet) else { return };
        let repair = header.payload_type == VP8_RTX_PT;
        let sequence = if repair {
            let Some((original, _)) = split_retransmission(header.payload(packet)) else { return };
            original
        } else {
            self.media = Some(header.ssrc);
            header.sequence
        };
        // A repair before the first packet has nothing to repair.
        if repair && self.media.is_none() {
            return;
        }
        let number = self.numbers.unwrap(u64::from(sequence));
        self.nack.received(now, number);
        self.repaired += u64::from(self.came.insert(number) && repair);
    }

    fn write(&mut self, now: Instant, compound: &mut Compound) {
        let Some(media) = self.media else { return };
        self.lost.clear();
        self.nack.poll(now, &mut self.lost);
        if !self.lost.is_empty() {
            compound.receiver_report(self.ssrc, &[]);
            compound.nack(self.ssrc, media, &self.lost);
        }
    }

    fn losses(&self) -> Losses {
        let (first, last) = (self.came.iter().min(), self.came.iter().max());
        let expected = first.zip(last).map_or(0, |(first, last)| last - first + 1);
        let missing = expected - self.came.len() as u64;
        Losses { expected, swallowed: self.swallowed, repaired: self.repaired, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(number: u64, timestamp: u32, starts_key: bool, marker: bool) -> Seen {
        Seen { payload_type: 96, sequence: number as u16, timestamp, ssrc: 1, number, sent_ns: 0, marker, starts_key }
    }

    #[test]
    fn a_keyframe_is_whole_when_its_last_packet_came() {
        let mut key = KeyframeWatch::default();
        assert!(!key.is_whole(seen(5, 1, false, true)), "no keyframe");
        assert!(!key.is_whole(seen(6, 2, true, false)));
        assert!(!key.is_whole(seen(8, 2, false, true)), "its middle is missing");
        assert!(key.is_whole(seen(7, 2, false, false)), "overtaken");
        let mut single = KeyframeWatch::default();
        assert!(single.is_whole(seen(1, 1, true, true)));
    }

    #[test]
    fn a_bad_line_is_counted() {
        let mut track = crate::track::Track::new(7, 96);
        let mut lossy = Lossy::new(0.0);
        for (at, packet) in track.vp8_frame(true, 10, 200, 3000).iter().enumerate() {
            lossy.share = if at == 4 { 1.0 } else { 0.0 };
            lossy.note(Instant::now(), packet);
        }
        assert_eq!(lossy.losses(), Losses { expected: 10, swallowed: 1, repaired: 0, missing: 1 });
    }
}
