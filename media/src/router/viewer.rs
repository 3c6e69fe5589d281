//! A viewer's feedback in; repairs and sender reports out. Media goes out in the fan-out.

use std::net::SocketAddr;

use rand::Rng;

use crate::arena::SendArena;
use crate::forward::pacer::Pacer;
use crate::limit;
use crate::message::Now;
use crate::room::Room;
use crate::room::subscription::{Ids, Subscription};
use crate::rtp::codec::red;
use crate::rtp::codec::vp8_numbers::Shift;
use crate::rtp::extension::Extensions;
use crate::rtp::packet::Outgoing;
use crate::session::estimate::Estimator;
use crate::session::feedback::{Feedback, Lost, SenderInfo, ntp_of_utc, parse, round_trip};
use crate::session::negotiate::{CNAME, Negotiated};
use crate::session::{OpenPacket, RTP_OVERHEAD, Session};
use crate::slab::Key;
use crate::stats::{Counters, DropReason};
use crate::token::RtpToken;

use super::fanout::Out;
use super::peer::{PeerRole, SENDER_REPORT_INTERVAL, Viewer, is_video};
use super::{Router, probe};

/// A viewer gets the n-th track of a kind in the n-th section of that kind.
pub fn subscribe(media: &Negotiated, rng: &mut impl Rng) -> Viewer {
    let mut ordinals = [0, 0];
    let mut subscriptions = Vec::with_capacity(media.sections.len());
    for section in &media.sections {
        let video = is_video(section);
        let ordinal = &mut ordinals[usize::from(video)];
        // A viewer's section always has our stream; one without would never be sent anything.
        let (ssrc, rtx_ssrc) = section.stream.map_or((0, None), |stream| (stream.ssrc, stream.rtx_ssrc));
        let mut subscription = Subscription::new(video, *ordinal, ssrc, rtx_ssrc, rng);
        let ids = section.extensions;
        subscription.mid = ids.mid.map(|id| (id, section.mid.as_bytes().into()));
        subscription.ids = Ids {
            transport: ids.transport_cc.filter(|_| section.feedback.transport_cc),
            capture: ids.abs_capture_time,
            orientation: ids.orientation,
            playout_delay: ids.playout_delay,
            dependency: ids.dependency,
        };
        *ordinal += 1;
        subscriptions.push(subscription);
    }
    Viewer {
        subscriptions,
        next_report: None,
        next_replay: None,
        next_probe: None,
        estimator: None,
        pacer: Pacer::default(),
        told_paused: false,
    }
}

/// A packet to be written into the arena and sealed there.
pub(super) struct Writing<'a> {
    pub token: RtpToken,
    pub payload_type: u8,
    pub marker: bool,
    pub timestamp: u32,
    pub extensions: Extensions<'a>,
    /// Applied to the payload; the descriptor has its own number.
    pub shift: Shift,
    /// The payload is redundant sound (RFC 2198): the viewer's payload type of its blocks.
    pub blocks: Option<u8>,
    /// Goes before the payload: the original sequence number of a repair (RFC 4588 §4).
    pub prefix: &'a [u8],
    pub payload: &'a [u8],
    /// Bytes of RTP padding (RFC 3550 §5.1).
    pub padding: u8,
}

/// Writes header and payload in place and seals them.
pub(super) fn write(
    session: &mut Session,
    to: SocketAddr,
    packet: Writing<'_>,
    arena: &mut SendArena,
) -> Result<usize, DropReason> {
    let header = Outgoing {
        payload_type: packet.payload_type,
        marker: packet.marker,
        sequence: packet.token.sequence(),
        timestamp: packet.timestamp,
        ssrc: packet.token.ssrc(),
        extensions: packet.extensions,
    };
    let body = header.written_len() + packet.prefix.len();
    let end = body + packet.payload.len();
    let len = end + usize::from(packet.padding);
    if len + RTP_OVERHEAD > limit::DATAGRAM_BYTES {
        return Err(DropReason::TooLarge);
    }
    let slot = arena.open(to, len + RTP_OVERHEAD).ok_or(DropReason::ArenaFull)?;
    let header_len = header.write(slot).ok_or(DropReason::SealFailed)?;
    slot[header_len..body].copy_from_slice(packet.prefix);
    slot[body..end].copy_from_slice(packet.payload);
    if !packet.shift.of_payload().is_none() {
        packet.shift.apply(&mut slot[body..end]);
    }
    if let Some(payload_type) = packet.blocks {
        red::relabel(&mut slot[body..end], payload_type);
    }
    if packet.padding > 0 {
        slot[0] |= 0x20;
        slot[end..len - 1].fill(0);
        slot[len - 1] = packet.padding;
    }
    let sealed = session.seal_rtp(packet.token, OpenPacket { slot, header_len, len })?;
    arena.commit(sealed);
    Ok(sealed)
}

/// Sends again what a viewer misses of one stream.
fn repair(subscriptions: &mut [Subscription], room: &Room, ssrc: u32, lost: Lost<'_>, out: &mut Out<'_>) {
    let mut subscription = subscriptions.iter_mut().find(|subscription| subscription.ssrc() == ssrc);
    for sequence in lost {
        out.counters.nacks_in += 1;
        let Some(subscription) = subscription.as_deref_mut() else {
            out.counters.drop(DropReason::RepairNotFound);
            continue;
        };
        let Some(track) = subscription.track.and_then(|of| room.tracks.get(of)) else { continue };
        match subscription.repair(out.now.mono, sequence, track) {
            Ok((repair, packet)) => {
                let sent = out.resend(subscription, repair, packet);
                out.counters.retransmitted += u64::from(sent.is_some());
                out.pacer.spend(sent.unwrap_or(0) as usize);
            }
            Err(reason) => out.counters.drop(reason),
        }
    }
}

impl Router {
    pub(super) fn viewer_rtcp(&mut self, now: Now, key: Key, compound: &[u8], arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Viewer(viewer) = &mut peer.role else { return };
        peer.diary.feedback(now, compound);
        let Some(room) = self.rooms.get_mut(peer.room) else { return };
        let counters = &mut self.counters;
        let mut wanted = false;
        let mut want = |ssrc: u32, viewer: &Viewer, counters: &mut Counters| {
            counters.plis_in += 1;
            let subscription = viewer.subscriptions.iter().find(|subscription| subscription.ssrc() == ssrc);
            let layer = subscription.and_then(|subscription| {
                let track = room.tracks.get_mut(subscription.track?)?;
                track.layers.get_mut(subscription.selector.wanted().or(subscription.selector.current())?)
            });
            if let Some(layer) = layer.filter(|layer| layer.is_video()) {
                layer.requester.want();
                wanted = true;
            }
        };
        for feedback in parse(compound) {
            match feedback {
                Feedback::Pli { ssrc } => want(ssrc, viewer, counters),
                Feedback::Fir(entries) => entries.for_each(|(ssrc, _)| want(ssrc, viewer, counters)),
                Feedback::ReceiverReport { blocks, .. } => blocks.for_each(|block| {
                    let subscription = viewer.subscriptions.iter_mut().find(|one| one.ssrc() == block.ssrc);
                    let told = subscription.zip(round_trip(&block, ntp_of_utc(now.utc_us)));
                    told.into_iter().for_each(|(subscription, sample)| subscription.on_round_trip(sample));
                }),
                Feedback::TransportCc { packet } => {
                    let read =
                        viewer.estimator.as_deref_mut().is_none_or(|estimator| estimator.feedback(now.mono, packet));
                    if !read {
                        counters.drop(DropReason::BadRtcp);
                    }
                }
                // Beside transport-wide feedback it was not asked for.
                Feedback::Remb { bitrate } if viewer.subscriptions.iter().all(|one| one.ids.transport.is_none()) => {
                    viewer.estimator.iter_mut().for_each(|estimator| estimator.told(now.mono, bitrate));
                }
                Feedback::Malformed => counters.drop(DropReason::BadRtcp),
                _ => {}
            }
        }
        let bitrate = viewer.estimator.as_deref().and_then(Estimator::bitrate);
        viewer.pacer.aim(bitrate);
        viewer.subscriptions.iter_mut().for_each(|subscription| subscription.limit_repairs(bitrate));
        probe::consider(now, viewer, room);
        // A second pass instead of a list: nothing is allocated, and most compounds hold no NACK.
        for feedback in parse(compound) {
            let Feedback::Nack { ssrc, lost } = feedback else { continue };
            let Some(to) = peer.session.address() else { break };
            let (session, estimator) = (&mut peer.session, viewer.estimator.as_deref_mut());
            let pacer = &mut viewer.pacer;
            let mut out = Out { now, to, session, arena, counters, estimator, pacer, downlink: None };
            repair(&mut viewer.subscriptions, room, ssrc, lost, &mut out);
        }
        if wanted {
            let room = peer.room;
            self.ask_streamer(room);
        }
    }

    /// Sender reports of all streams of a viewer.
    pub(super) fn viewer_reports(&mut self, now: Now, key: Key, arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Viewer(viewer) = &mut peer.role else { return };
        if viewer.next_report.is_none_or(|due| due > now.mono) {
            return;
        }
        viewer.next_report = Some(now.mono + SENDER_REPORT_INTERVAL);
        let Some(room) = self.rooms.get(peer.room) else { return };
        let compound = &mut self.compound;
        compound.clear();
        for subscription in &viewer.subscriptions {
            let Some(track) = subscription.track.and_then(|at| room.tracks.get(at)) else { continue };
            let Some(sent) = subscription.sent(now.utc_us + room.uplink_us, track) else { continue };
            compound.sender_report(&SenderInfo {
                ssrc: subscription.ssrc(),
                ntp: ntp_of_utc(now.utc_us),
                rtp: sent.rtp,
                packets: sent.packets,
                octets: sent.octets,
            });
            compound.source_description(subscription.ssrc(), CNAME);
        }
        if !compound.is_empty()
            && let Err(reason) = peer.session.seal_rtcp(compound.as_bytes(), arena)
        {
            self.counters.drop(reason);
        }
    }
}
