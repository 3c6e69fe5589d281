//! One track on the wire: units become RTP packets with exact timestamps, and sender reports say which wall clock they mean.
//!
//! The reports are made here and not by the library, which would take the moment a packet happened to be written for the moment of
//! its picture: on a busy machine that moves sound against picture by tens of milliseconds.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use media::message::Codec;
use pipeline::source::Encoded;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::source_description::{SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem};
use rtc::rtp::codec::{av1::Av1Payloader, h264::H264Payloader, opus::OpusPayloader, vp8::Vp8Payloader};
use rtc::rtp::packetizer::Payloader;
use rtc::rtp::{Header, Packet};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use crate::vp9::Vp9Payloader;

/// Payload of one packet: with all headers and the SRTP tag it fits into 1280 bytes, the smallest MTU of IPv6.
const PAYLOAD_BYTES: usize = 1180;
/// Media time between sender reports. The first one goes ahead of the first packet.
const REPORTS: Duration = Duration::from_secs(1);
/// Names the source of all tracks of a connection (RFC 3550 §6.5.1).
pub(crate) const CNAME: &str = "oxbow-publish";
/// Seconds from 1900 to 1970 (RFC 868).
const NTP_OFFSET: u64 = 2_208_988_800;

pub(crate) struct Stream {
    track: Arc<TrackLocalStaticRTP>,
    payloader: Box<dyn Payloader>,
    clock_rate: u64,
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
    /// RTP timestamp of pts 0.
    rtp_zero: u32,
    packets: u32,
    octets: u32,
    next_report_ns: u64,
}

/// Where the numbers of a stream begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    sequence: u16,
    /// RTP timestamp of pts 0.
    rtp_zero: u32,
    /// VP9 alone tells it from the first one on.
    picture_id: u16,
}

impl Start {
    /// Anywhere (RFC 3550 §5.1).
    pub(crate) fn random(random: u64) -> Self {
        // The lower half, so that the rollover counter of SRTP is not guessed wrong when the first packets are lost.
        let sequence = random as u16 & 0x7fff;
        Self { sequence, rtp_zero: (random >> 16) as u32, picture_id: random as u16 }
    }

    /// All of them wrap: the timestamp so long after pts 0, the others by then, as sound has 50 packets a second and pictures have more.
    pub(crate) fn before_wrap(codec: Codec, after: Duration) -> Self {
        let seconds = after.as_secs();
        Self {
            sequence: 0_u16.wrapping_sub((seconds * 50) as u16),
            rtp_zero: 0_u32.wrapping_sub((seconds * u64::from(codec.clock_rate())) as u32),
            picture_id: 0_u16.wrapping_sub((seconds * 20) as u16),
        }
    }
}

impl Stream {
    pub(crate) fn new(
        track: Arc<TrackLocalStaticRTP>,
        codec: Codec,
        ssrc: u32,
        payload_type: u8,
        start: Start,
    ) -> Self {
        let payloader: Box<dyn Payloader> = match codec {
            Codec::Vp8 => {
                let mut payloader = Vp8Payloader::default();
                payloader.enable_picture_id = true;
                Box::new(payloader)
            }
            Codec::Vp9 => Box::new(Vp9Payloader::new(start.picture_id)),
            Codec::H264 => Box::new(H264Payloader::default()),
            Codec::Av1 => Box::new(Av1Payloader::default()),
            Codec::Opus => Box::new(OpusPayloader),
        };
        Self {
            track,
            payloader,
            clock_rate: u64::from(codec.clock_rate()),
            ssrc,
            payload_type,
            sequence: start.sequence,
            rtp_zero: start.rtp_zero,
            packets: 0,
            octets: 0,
            next_report_ns: 0,
        }
    }

    /// Sends one unit; `at` is the wall clock it stands for.
    pub(crate) async fn send(&mut self, unit: &Encoded, at: SystemTime) -> Result<(), String> {
        let timestamp = self.timestamp(unit.pts_ns);
        if unit.pts_ns >= self.next_report_ns {
            self.next_report_ns = unit.pts_ns + REPORTS.as_nanos() as u64;
            self.report(timestamp, at).await?;
        }
        let payloads = self.payloader.payload(PAYLOAD_BYTES, &unit.data).map_err(|error| error.to_string())?;
        let last = payloads.len().saturating_sub(1);
        for (number, payload) in payloads.into_iter().enumerate() {
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(payload.len() as u32);
            // The marker ends a picture (RFC 7741 §4.1, RFC 9628 §4.1, RFC 6184 §5.1); sound has no use for it.
            let marker = number == last && self.clock_rate == 90_000;
            let packet = Packet { header: self.header(timestamp, marker), payload };
            self.sequence = self.sequence.wrapping_add(1);
            self.track.write_rtp(packet).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn header(&self, timestamp: u32, marker: bool) -> Header {
        Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        }
    }

    /// Rounded once from the start, so that nothing drifts.
    fn timestamp(&self, pts_ns: u64) -> u32 {
        let ticks = (u128::from(pts_ns) * u128::from(self.clock_rate) + 500_000_000) / 1_000_000_000;
        self.rtp_zero.wrapping_add(ticks as u32)
    }

    async fn report(&self, rtp_time: u32, at: SystemTime) -> Result<(), String> {
        let report = SenderReport {
            ssrc: self.ssrc,
            ntp_time: ntp(at),
            rtp_time,
            packet_count: self.packets,
            octet_count: self.octets,
            ..SenderReport::default()
        };
        let name = SourceDescriptionItem { sdes_type: SdesType::SdesCname, text: Bytes::from_static(CNAME.as_bytes()) };
        let names = SourceDescription { chunks: vec![SourceDescriptionChunk { source: self.ssrc, items: vec![name] }] };
        let compound: Vec<Box<dyn rtc::rtcp::Packet>> = vec![Box::new(report), Box::new(names)];
        self.track.write_rtcp(compound).await.map_err(|error| error.to_string())
    }
}

/// 32.32 fixed point since 1900 (RFC 3550 §4).
fn ntp(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    ((since.as_secs() + NTP_OFFSET) << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap_when_they_are_to() {
        for codec in [Codec::Vp9, Codec::Opus] {
            let start = Start::before_wrap(codec, Duration::from_secs(8));
            assert_eq!(start.rtp_zero.wrapping_add(8 * codec.clock_rate()), 0);
            assert_eq!(start.sequence.wrapping_add(8 * 50), 0);
        }
    }

    #[test]
    fn wall_clock_becomes_ntp_time() {
        assert_eq!(ntp(UNIX_EPOCH), NTP_OFFSET << 32);
        assert_eq!(ntp(UNIX_EPOCH + Duration::from_millis(1_500)), ((NTP_OFFSET + 1) << 32) | (1 << 31));
    }
}
