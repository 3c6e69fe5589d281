//! The streamer's side of reception: which stream a packet belongs to, what was lost on the way, when what arrived.

use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use crate::diagnostics::SourceDiagnosis;
use crate::message::{Now, Orientation};
use crate::room::Room;
use crate::room::clock::{Anchor, SenderOffset};
use crate::room::layer::{Incoming, Layer};
use crate::rtp::extension::{CaptureTime, PlayoutDelay};
use crate::rtp::packet::{Header, split_retransmission};
use crate::session::feedback::{NackGenerator, ReceiveStats, SenderReport, TwccRecorder, utc_of_ntp};
use crate::session::negotiate::{Negotiated, Payload};
use crate::stats::DropReason;

use super::peer::is_video;

/// Between two receiver reports.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// An undeclared SSRC takes a section over when the one before it was silent for this long.
const SSRC_SILENCE: Duration = Duration::from_secs(1);

/// One section of a streamer's answer, or one simulcast layer of it.
pub struct Stream {
    section: usize,
    /// Name of the layer that packets carry; `None` without simulcast.
    rid: Option<Box<str>>,
    /// The track's place in its room; `None` beyond [`crate::limit::TRACKS`].
    track: Option<usize>,
    /// The layer's place in the track.
    layer: usize,
    pub ssrc: Option<u32>,
    rtx_ssrc: Option<u32>,
    heard: Option<Instant>,
    pub received: Option<ReceiveStats>,
    /// Lost packets that came as repairs.
    recovered: u64,
    pub nack: Option<NackGenerator>,
    pub pli: bool,
    pub fir: bool,
    pub fir_command: u8,
}

/// A change of the way from the streamer that viewers are told of.
const UPLINK_STEP_US: u64 = 5_000;

/// A packet that says it was taken longer ago than this, or will be, goes by another clock than the reports.
const CAPTURE_BELIEVED_US: u64 = 1_000_000;

/// All of one streamer's connection.
pub struct Ingest {
    /// SSRC of our own reports.
    pub ssrc: u32,
    pub streams: Vec<Stream>,
    pub transport_cc: Option<(u8, TwccRecorder)>,
    pub next_report: Option<Instant>,
    offset: SenderOffset,
    /// The offset is that of reports; before the first it is that of capture times.
    reported: bool,
    round_trip: Option<Duration>,
}

impl Ingest {
    /// Makes the room's tracks that the answer promises.
    pub fn new(media: &Negotiated, room: &mut Room, rng: &mut impl Rng) -> Self {
        let mut ordinals = [0, 0];
        let mut streams = Vec::with_capacity(media.sections.len());
        for (at, section) in media.sections.iter().enumerate() {
            let video = is_video(section);
            let ordinal = ordinals[usize::from(video)];
            ordinals[usize::from(video)] += 1;
            let track = room.track(video, ordinal);
            if let Some(track) = track.and_then(|at| room.tracks.get_mut(at)) {
                track.expect_layers(section.layers.len());
            }
            let rids = section.layers.iter().cloned().map(Some);
            let rids = rids.chain(section.layers.is_empty().then_some(None)).enumerate();
            streams.extend(rids.map(|(layer, rid)| Stream {
                section: at,
                rid,
                track,
                layer,
                ssrc: section.stream.map(|stream| stream.ssrc),
                rtx_ssrc: section.stream.and_then(|stream| stream.rtx_ssrc),
                heard: None,
                received: None,
                recovered: 0,
                nack: section.feedback.nack.then(NackGenerator::new),
                pli: section.feedback.pli,
                fir: section.feedback.fir,
                fir_command: 0,
            }));
        }
        let with_cc = media.sections.iter().filter(|section| section.feedback.transport_cc);
        let transport_cc = with_cc.filter_map(|section| section.extensions.transport_cc).next();
        Self {
            ssrc: rng.random_range(1..u32::MAX),
            streams,
            transport_cc: transport_cc.map(|id| (id, TwccRecorder::new())),
            next_report: None,
            offset: SenderOffset::default(),
            reported: false,
            round_trip: None,
        }
    }

    /// Takes a decrypted packet to its track.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn rtp(&mut self, now: Now, packet: &[u8], media: &Negotiated, room: &mut Room) -> Result<(), DropReason> {
        let header = Header::parse(packet).ok_or(DropReason::BadRtp)?;
        if let Some((id, recorder)) = &mut self.transport_cc
            && let Some(sequence) = header.transport_sequence(packet, *id)
        {
            recorder.received(now.mono, sequence);
        }
        let at = self.stream_of(&header, packet, media).ok_or(DropReason::UnknownStream)?;
        let stream = &mut self.streams[at];
        let section = &media.sections[stream.section];
        let (map, kind) = section.payload(header.payload_type).ok_or(DropReason::UnknownStream)?;
        let ahead_us = self.offset.ahead_us().map(|ahead| ahead - room.uplink_us as i64);
        let taken =
            section.extensions.abs_capture_time.and_then(|id| CaptureTime::parse(header.extension(packet, id)?));
        let capture = taken.zip(ahead_us).map(|(taken, ahead_us)| taken.on_our_clock(ahead_us));
        let layer = stream.layer_of(room).ok_or(DropReason::UnknownStream)?;
        self.next_report.get_or_insert(now.mono + REPORT_INTERVAL);
        let (marker, timestamp) = (header.marker, header.timestamp);
        let element = |id: Option<u8>| header.extension(packet, id?);
        let dependency = element(section.extensions.dependency);
        let orientation = element(section.extensions.orientation).and_then(<[u8]>::first);
        let orientation = orientation.map(|byte| Orientation::from_byte(*byte));
        let playout_delay = element(section.extensions.playout_delay).and_then(PlayoutDelay::parse);
        let codec = map.codec;
        let envelope = Incoming {
            codec,
            sequence: 0,
            timestamp,
            marker,
            payload: &[],
            redundant: (kind == Payload::Redundant).then_some(map.pt),
            dependency,
            capture,
            orientation,
            playout_delay,
        };
        match kind {
            Payload::Media | Payload::Redundant => {
                if stream.ssrc != Some(header.ssrc) {
                    if stream.heard.is_some_and(|heard| now.mono < heard + SSRC_SILENCE) {
                        return Err(DropReason::UnknownStream);
                    }
                    if stream.ssrc.replace(header.ssrc).is_some() {
                        layer.begin_source();
                        stream.received = None;
                        stream.nack = stream.nack.take().map(|_| NackGenerator::new());
                    }
                }
                stream.heard = Some(now.mono);
                let payload = header.payload(packet);
                let sequence = header.sequence;
                let source = layer.source();
                let incoming = Incoming { sequence, payload, ..envelope };
                let index = layer.accept(now, incoming)?;
                if layer.source() != source {
                    stream.received = None;
                    stream.nack = stream.nack.take().map(|_| NackGenerator::new());
                }
                if let Some(taken) = taken {
                    note_capture(&mut self.offset, self.reported, layer, timestamp, taken, now);
                }
                let rate = layer.clock_rate();
                let received = stream.received.get_or_insert_with(|| ReceiveStats::new(header.ssrc, rate));
                received.received(now.mono, index, timestamp);
                if let Some(nack) = &mut stream.nack {
                    nack.received(now.mono, index);
                }
            }
            Payload::Repair => {
                if stream.rid.is_some() {
                    stream.rtx_ssrc = Some(header.ssrc);
                }
                stream.rtx_ssrc.get_or_insert(header.ssrc);
                let (sequence, payload) = split_retransmission(header.payload(packet)).ok_or(DropReason::Padding)?;
                if stream.received.is_none() {
                    return Err(DropReason::BadRepair);
                }
                let incoming = Incoming { sequence, payload, ..envelope };
                let index = layer.accept(now, incoming)?;
                stream.recovered += 1;
                if let Some(nack) = &mut stream.nack {
                    nack.received(now.mono, index);
                }
            }
        }
        Ok(())
    }

    /// Lays a sender report on our clock and answers the places of its track and layer.
    pub fn sender_report(
        &mut self,
        now: Now,
        report: &SenderReport<'_>,
        room: &mut Room,
    ) -> Option<(usize, usize, Anchor)> {
        let at = self.streams.iter().position(|stream| stream.ssrc == Some(report.ssrc))?;
        self.streams[at].received.as_mut()?.sender_report(now.mono, report.ntp);
        let timestamp = self.streams[at].layer_of(room)?.extend_timestamp(report.rtp)?;
        if !std::mem::replace(&mut self.reported, true) {
            self.offset = SenderOffset::default();
        }
        let laid = self.offset.lay(sender_us(report.ntp), now.utc_us)?;
        for stream in self.streams.iter().filter(|_| laid.anew) {
            if let Some(layer) = stream.layer_of(room) {
                layer.clock.forget_reports();
            }
        }
        let stream = &self.streams[at];
        let layer = stream.layer_of(room)?;
        let anchor = Anchor { timestamp, utc_us: laid.utc_us };
        layer.clock.on_report(anchor, layer.clock_rate());
        Some((stream.track?, stream.layer, anchor))
    }

    /// The streamer told when it heard of a time of ours. What is told to viewers moves only when it is worth it: each move is a step of their clocks.
    pub fn on_round_trip(&mut self, sample: Duration, room: &mut Room) {
        let smooth = self.round_trip.map_or(sample, |before| (before * 7 + sample) / 8);
        self.round_trip = Some(smooth);
        let uplink_us = smooth.as_micros() as u64 / 2;
        if uplink_us.abs_diff(room.uplink_us) > UPLINK_STEP_US {
            room.uplink_us = uplink_us;
        }
    }

    /// When feedback is due.
    pub fn next_deadline(&self, room: &Room) -> Option<Instant> {
        let nacks = self.streams.iter().filter_map(|stream| stream.nack.as_ref()?.next_deadline());
        let keyframes = self.streams.iter().filter(|stream| stream.pli || stream.fir).filter_map(|stream| {
            let layer = room.tracks.get(stream.track?)?.layers.get(stream.layer)?;
            layer.requester.deadline(layer.recorded).filter(|_| layer.is_video())
        });
        let arrivals = self.transport_cc.as_ref().and_then(|(_, recorder)| recorder.next_deadline());
        nacks.chain(keyframes).chain(arrivals).chain(self.next_report).min()
    }

    /// What came of each source so far.
    pub fn sources(&self, now: Now, media: &Negotiated, room: &Room) -> Vec<SourceDiagnosis> {
        let source = |stream: &Stream| {
            let layer = stream.track.and_then(|at| room.tracks.get(at)?.layers.get(stream.layer));
            let stats = layer.and_then(|layer| layer.stats(now.mono));
            let mid = media.sections.get(stream.section).map(|section| section.mid.clone()).unwrap_or_default();
            SourceDiagnosis {
                mid,
                rid: stream.rid.clone(),
                ssrc: stream.ssrc,
                height: stats.as_ref().map_or(0, |stats| stats.config.height),
                packets: stats.as_ref().map_or(0, |stats| stats.packets),
                bitrate: stats.as_ref().map_or(0, |stats| stats.bitrate),
                lost: stream.received.as_ref().map_or(0, ReceiveStats::lost),
                recovered: stream.recovered,
            }
        };
        self.streams.iter().map(source).collect()
    }

    /// Packets lost on the way and microseconds of jitter of a track.
    pub fn network(&self, track: usize) -> (u64, u32) {
        let streams = self.streams.iter().filter(|stream| stream.track == Some(track));
        let received = streams.filter_map(|stream| stream.received.as_ref());
        received.fold((0, 0), |(lost, jitter), one| (lost + one.lost(), jitter.max(one.jitter_us())))
    }

    fn stream_of(&self, header: &Header, packet: &[u8], media: &Negotiated) -> Option<usize> {
        let ssrc = Some(header.ssrc);
        let known = self.streams.iter().position(|stream| stream.ssrc == ssrc || stream.rtx_ssrc == ssrc);
        known.or_else(|| {
            let mid = media
                .sections
                .iter()
                .find_map(|section| section.extensions.mid)
                .and_then(|id| header.extension(packet, id));
            let at = media.section_of(header.ssrc, mid, header.payload_type)?;
            let ids = media.sections[at].extensions;
            let name = |id: Option<u8>| header.extension(packet, id?);
            // Some senders name the layer of a repair as they name that of media.
            let rid = name(ids.repaired_rid).or_else(|| name(ids.rid));
            let names = |stream: &Stream| stream.rid.as_ref().is_none_or(|own| rid == Some(own.as_bytes()));
            self.streams.iter().position(|stream| stream.section == at && names(stream))
        })
    }
}

/// A sender's wall clock in microseconds. Senders without one count from somewhere; only differences matter.
fn sender_us(ntp: u64) -> u64 {
    utc_of_ntp(ntp).unwrap_or(((u128::from(ntp) * 1_000_000) >> 32) as u64)
}

/// A packet said when it was taken, by a clock that reports tell of as well, if there are any.
fn note_capture(
    offset: &mut SenderOffset,
    reported: bool,
    layer: &mut Layer,
    timestamp: u32,
    taken: CaptureTime,
    now: Now,
) {
    let taken_us = sender_us(taken.ntp.wrapping_add_signed(taken.offset));
    let utc_us = if reported {
        offset.ahead_us().map(|ahead| taken_us.wrapping_add_signed(ahead))
    } else {
        offset.lay(taken_us, now.utc_us).map(|laid| laid.utc_us)
    };
    let believed = utc_us.filter(|utc_us| utc_us.abs_diff(now.utc_us) <= CAPTURE_BELIEVED_US);
    if let Some((utc_us, timestamp)) = believed.zip(layer.extend_timestamp(timestamp)) {
        layer.clock.on_capture(Anchor { timestamp, utc_us });
    }
}

impl Stream {
    /// Where its packets go.
    pub fn layer_of<'r>(&self, room: &'r mut Room) -> Option<&'r mut Layer> {
        room.tracks.get_mut(self.track?)?.layers.get_mut(self.layer)
    }
}
