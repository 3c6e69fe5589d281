//! Hears the server ask for a keyframe (PLI, RFC 4585 §6.3.1; FIR, RFC 5104 §4.3.1) and tells the source.

use std::collections::VecDeque;
use std::time::Instant;

use pipeline::source::KeyframeHandle;
use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// Its distance from the wire: behind all of the library's own.
pub(crate) const SLOT: usize = 60_000;

/// Lets everything pass, both ways.
pub(crate) struct KeyframeRequests {
    keyframes: KeyframeHandle,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl KeyframeRequests {
    pub(crate) fn new(keyframes: KeyframeHandle) -> Self {
        Self { keyframes, inbound: VecDeque::new(), outbound: VecDeque::new() }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for KeyframeRequests {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            let mut packets = packets.iter().map(|packet| packet.as_any());
            if packets.any(|packet| packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>()) {
                tracing::debug!("a keyframe is wanted");
                self.keyframes.request();
            }
        }
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.outbound.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }
}

impl Interceptor for KeyframeRequests {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
