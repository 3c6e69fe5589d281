//! Every bound of the media plane, with the policy when it is hit.

use std::time::Duration;

/// Largest SDP offer in bytes. Larger: refused as malformed. Browsers with every codec send 6 to 12 KB.
pub const OFFER_BYTES: usize = 64 * 1024;
/// Largest fragment of SDP about ICE. Larger: refused as malformed.
pub const FRAGMENT_BYTES: usize = 16 * 1024;
/// Largest datagram read or written. A larger one is dropped and counted.
pub const DATAGRAM_BYTES: usize = 1500;
/// Media sections in one offer. More: refused.
pub const MEDIA_SECTIONS: usize = 8;
/// Different fingerprints in one offer: a browser has one, a peer of several certificates or hashes a few. More: refused.
pub const FINGERPRINTS: usize = 16;
/// Longest name or password of ICE, in bytes (RFC 8839 §5.4). Longer: refused.
pub const ICE_TEXT_BYTES: usize = 256;
/// Sessions of one shard. More: [`crate::message::Refusal::Full`].
pub const SESSIONS: usize = 20_000;
/// Sessions that have not finished DTLS. More: the newest is refused.
pub const PENDING_SESSIONS: usize = 4_000;
/// From the answer to the end of the handshake. Later: closed as `HandshakeTimeout`.
pub const HANDSHAKE: Duration = Duration::from_secs(15);
/// A lite agent sends no consent checks; without an authenticated request for this long the session is closed (RFC 7675 §5.1).
pub const CONSENT: Duration = Duration::from_secs(30);
/// No authenticated STUN or RTP from the streamer for this long: gone, the same key may take over.
pub const STREAMER_SILENCE: Duration = Duration::from_secs(3);
/// A dropped streamer may come back to the same broadcast for this long.
pub const RESUME_WINDOW: Duration = Duration::from_secs(30);
/// First datagrams of a handshake kept for the second DTLS endpoint. More bytes: no second endpoint, the handshake fails.
pub const DTLS_REPLAY_BYTES: usize = 4 * 1024;
/// DTLS records that a session reads during its handshake, and handshake records and alerts after it. More: dropped and counted.
pub const DTLS_RECORDS: u16 = 512;
/// Addresses of one session that passed an ICE check. More: the one silent for longest is forgotten.
pub const VALIDATED_ADDRESSES: usize = 8;
/// An address stays with its session this long after its latest check, whoever else checks from it: a source address is easily forged.
/// Peers check every 2.5 to 5 s.
pub const ADDRESS_HOLD: Duration = Duration::from_secs(10);
/// SSRCs that one session may send us. More: dropped and counted.
pub const INBOUND_SSRCS: usize = 32;
/// SSRCs that one session may be sent. More: not sealed.
pub const OUTBOUND_SSRCS: usize = 16;
/// Packets of one stream that are missed and asked for at a time. More: the oldest is given up.
pub const NACK_MISSING: usize = 256;
/// A missing packet is asked for again until then; later it is given up.
pub const NACK_DEADLINE: Duration = Duration::from_millis(500);
/// Transport-wide feedback goes to a streamer this often while packets come.
pub const TWCC_INTERVAL: Duration = Duration::from_millis(50);
/// From the first packet of a frame to its fan-out, when its last one does not come: what a streamer's pacer sends within this time goes out in the
/// same runs. A whole frame does not wait.
pub const COALESCE: Duration = Duration::from_millis(2);
/// Packets of a frame are padded to one size if they differ by no more bytes than this, see [`crate::buffer::cache::PacketCache::equalise`]. Chromium's
/// differ by one.
pub const EQUALISE_BYTES: usize = 16;
/// Redundant blocks in a packet of sound (RFC 2198); browsers send up to nine. More: the packet is dropped and counted.
pub const REDUNDANT_BLOCKS: usize = 16;
/// Packets kept per layer for retransmission. Oldest overwritten.
pub const CACHE_PACKETS: usize = 2048;
/// How long a tap waits for a missing packet before it gives the access unit up and asks for a keyframe.
pub const TAP_REORDER: Duration = Duration::from_millis(500);
/// Largest access unit a tap assembles. Larger: dropped to the next keyframe, recorded as a gap.
pub const ACCESS_UNIT_BYTES: usize = 4 * 1024 * 1024;
/// While a track is recorded, ask for a keyframe when the newest is older than this.
pub const RECORDED_KEYFRAME_AGE: Duration = Duration::from_secs(2);
/// Over time at most one keyframe request per track and this long reaches the streamer.
pub const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// Tracks of one broadcast. More: the section is refused (port 0).
pub const TRACKS: usize = 4;
/// Bytes since the newest keyframe that a new viewer is sent at once. More: the streamer is asked for a keyframe, unless it ignores that.
pub const REPLAY_BYTES: usize = 400 * 1024;
/// The same where the viewer's network is known to carry so much: what it carries in this time.
pub const REPLAY_TIME: Duration = Duration::from_millis(300);
/// A picture older than this is no first picture: the track rests, and what comes next decides.
pub const REPLAY_SILENCE: Duration = Duration::from_secs(2);
/// A replay sends this much at a time. Chromium's sockets hold 64 KB, counted with the kernel's overhead: about 50 packets.
pub const REPLAY_STEP_BYTES: usize = 20 * 1024;
/// A viewer waits so long for a keyframe that the streamer was asked for, then the ring is replayed however much it is. Browsers answer within 30 to 100 ms
/// and the round trip; files and hardware encoders often not at all.
pub const KEYFRAME_PATIENCE: Duration = Duration::from_millis(110);
/// A viewer who waits for a keyframe is looked at again this often.
pub const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// Between two steps of a viewer who is behind; of a replay: 33 Mbit/s.
pub const PACE_STEP: Duration = Duration::from_millis(5);
/// Bytes of pictures that a viewer is sent at once. The rest follows in steps.
pub const PACE_BURST_BYTES: u64 = 40 * 1000;
/// Bits per second at which pictures go out at most: [`PACE_BURST_BYTES`] a step, two thirds of what a Chromium socket holds.
pub const PACE_MOST: u64 = 64_000_000;
/// Bits per second at which pictures go out at least, however little is known to pass.
pub const PACE_LEAST: u64 = 250_000;
/// A viewer who did not catch up for this long goes on at the newest keyframe. What lies between is passed over.
pub const BEHIND: Duration = Duration::from_secs(2);
/// Not even the smallest layer fits a viewer's network for this long: its pictures pause, so that its sound goes on.
pub const PAUSE_AFTER: Duration = Duration::from_secs(2);
/// A mirror of a room is heard of this often, at least.
pub const MIRROR_BEAT: Duration = Duration::from_secs(1);
/// A mirror that nothing is heard of for this long is given nothing any more.
pub const MIRROR_SILENCE: Duration = Duration::from_secs(5);
/// Batches for mirrors that are kept to be written anew. More at a time: made and thrown away.
pub const BATCHES_KEPT: usize = 64;
/// Simulcast layers of one track. More: the first ones are accepted.
pub const LAYERS: usize = 4;
/// Layers of a track, and parts of them, that a viewer is chosen from: as many parts of each layer. More: the first ones count.
pub const RUNGS: usize = 16 * LAYERS;
/// A layer without packets for this long, while another layer of the track has some, does not flow.
pub const LAYER_SILENCE: Duration = Duration::from_millis(700);
/// A layer that has just begun is not gone over to before it has flowed for this long: encoders under pressure try layers and drop them.
pub const LAYER_STEADY: Duration = Duration::from_millis(500);
/// ICE-TCP connections of one shard. More: the newest is closed.
pub const TCP_CONNECTIONS: usize = 4_000;
/// ICE-TCP connections that have not sent their first check. More: the oldest is closed.
pub const TCP_WAITING: usize = 512;
/// Of those, from one address (IPv6: from one /64). More: the oldest of that address is closed.
pub const TCP_WAITING_PER_ADDRESS: usize = 64;
/// From the connection to its first whole check. Later: closed.
pub const TCP_FIRST_CHECK: Duration = Duration::from_secs(5);
/// Bytes that the kernel holds for one ICE-TCP connection (it doubles them for its own use). More: whole packets are dropped, so that what goes out is
/// never older than this: 0.8 s at 2.5 Mbit/s.
pub const TCP_SEND_BUFFER: usize = 256 * 1024;
/// How often connections that no session uses any more are looked for.
pub const TCP_SWEEP: Duration = Duration::from_secs(5);
/// Notes in the flight record of a streamer's session, about ten seconds of media. More: the oldest goes.
pub const STREAMER_NOTES: usize = 4096;
/// Notes in the flight record of a viewer's session. More: the oldest goes.
pub const VIEWER_NOTES: usize = 32;
/// Viewers of one shard that are traced at a time. More: refused; who comes from another shard goes on untraced.
pub const TRACES: usize = 16;
/// Notes in the flight record of a viewer who is traced. More: the oldest goes.
pub const TRACE_NOTES: usize = 2048;
/// Bytes of feedback in it. More: the oldest notes go.
pub const TRACE_BYTES: usize = 64 * 1024;
/// Closed sessions that can still be diagnosed. More: the one that closed first is forgotten.
pub const REMEMBERED_SESSIONS: usize = 64;
/// Sessions in one list. More: the oldest are left out.
pub const LISTED_SESSIONS: usize = 1000;
