//! A streamer's packets in, feedback to the streamer out.

use crate::arena::SendArena;
use crate::forward::keyframe::Ask;
use crate::message::{Now, Output};
use crate::session::feedback::{Feedback, ntp_of_utc, parse, round_trip};
use crate::slab::Key;
use crate::stats::DropReason;

use super::Router;
use super::ingest::REPORT_INTERVAL;
use super::peer::PeerRole;

impl Router {
    pub(super) fn publisher_rtp(&mut self, now: Now, key: Key, packet: &[u8]) -> Result<(), DropReason> {
        let peer = self.sessions.get_mut(key).filter(|peer| !peer.closing).ok_or(DropReason::NotConnected)?;
        let PeerRole::Publisher(ingest) = &mut peer.role else { return Err(DropReason::UnexpectedRtp) };
        let room = self.rooms.get_mut(peer.room).ok_or(DropReason::NotConnected)?;
        let (taken, room) = (ingest.rtp(now, packet, peer.session.media(), room), peer.room);
        if taken.is_ok() {
            self.mark(now, room);
        }
        taken
    }

    pub(super) fn publisher_rtcp(&mut self, now: Now, key: Key, compound: &[u8]) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Publisher(ingest) = &mut peer.role else { return };
        let Some(room) = self.rooms.get_mut(peer.room) else { return };
        for feedback in parse(compound) {
            match feedback {
                Feedback::SenderReport(report) => {
                    let told = ingest.sender_report(now, &report, room);
                    if let (Some((at, layer, anchor)), Some(tap)) = (told, self.taps.get(&peer.room)) {
                        self.outputs.extend(tap.on_report(&room.tracks[at], layer, anchor).map(Output::Tap));
                    }
                }
                Feedback::ReferenceDelays(mut delays) => {
                    let ours = delays.find(|entry| entry.ssrc == ingest.ssrc);
                    let told = ours.and_then(|entry| round_trip(&entry, ntp_of_utc(now.utc_us)));
                    told.into_iter().for_each(|sample| ingest.on_round_trip(sample, room));
                }
                Feedback::Malformed => self.counters.drop(DropReason::BadRtcp),
                _ => {}
            }
        }
    }

    /// What is due: reports, requests for lost packets and keyframes, arrival times.
    pub(super) fn publisher_feedback(&mut self, now: Now, key: Key, arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Publisher(ingest) = &mut peer.role else { return };
        let Some(room) = self.rooms.get_mut(peer.room) else { return };
        let (compound, counters, own) = (&mut self.compound, &mut self.counters, ingest.ssrc);
        compound.clear();
        let mut blocks = Vec::new();
        if ingest.next_report.is_some_and(|due| due <= now.mono) {
            ingest.next_report = Some(now.mono + REPORT_INTERVAL);
            let received = ingest.streams.iter_mut().filter_map(|stream| stream.received.as_mut());
            blocks.extend(received.filter_map(|received| received.block(now.mono)));
        }
        compound.receiver_report(own, &blocks);
        let empty = if blocks.is_empty() { compound.as_bytes().len() } else { 0 };
        if !blocks.is_empty() {
            compound.reference_time(own, ntp_of_utc(now.utc_us));
        }
        let mut lost = Vec::new();
        for stream in &mut ingest.streams {
            let Some((ssrc, layer)) = stream.ssrc.zip(stream.layer_of(room)) else { continue };
            if let Some(nack) = &mut stream.nack {
                lost.clear();
                let given_up = nack.poll(now.mono, &mut lost);
                counters.nacks_out += lost.len() as u64;
                compound.nack(own, ssrc, &lost);
                // A keyframe that came after what was lost has healed the picture.
                let healed = layer.newest_key().zip(nack.newest_given_up()).is_some_and(|(key, lost)| key.index > lost);
                if given_up > 0 && layer.is_video() && !healed {
                    layer.requester.want();
                }
            }
            if !layer.is_video() || !(stream.pli || stream.fir) {
                continue;
            }
            if let Some(ask) = layer.requester.poll(now.mono, layer.recorded) {
                counters.plis_out += 1;
                if stream.fir && (ask == Ask::Fir || !stream.pli) {
                    stream.fir_command = stream.fir_command.wrapping_add(1);
                    compound.fir(own, ssrc, stream.fir_command);
                } else {
                    compound.pli(own, ssrc);
                }
            }
        }
        if compound.as_bytes().len() > empty
            && let Err(reason) = peer.session.seal_rtcp(compound.as_bytes(), arena)
        {
            counters.drop(reason);
        }
        if let Some((_, recorder)) = &mut ingest.transport_cc {
            let about = ingest.streams.iter().find_map(|stream| stream.ssrc).unwrap_or(0);
            loop {
                compound.clear();
                compound.receiver_report(own, &[]);
                if !recorder.poll(now.mono, own, about, compound) {
                    break;
                }
                if let Err(reason) = peer.session.seal_rtcp(compound.as_bytes(), arena) {
                    counters.drop(reason);
                }
            }
        }
    }
}
