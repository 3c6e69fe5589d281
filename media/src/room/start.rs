//! Where a viewer who joins between two keyframes begins: at the newest keyframe in the ring, if what followed it can be sent at once.
//! How it is sent does not belong here.

use std::time::Instant;

use crate::buffer::cache::Meta;
use crate::limit;

use super::layer::Layer;

/// A stretch of the ring that a new viewer is sent first.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// First packet of the keyframe.
    pub first: Meta,
    /// Timestamp of the newest picture: from there on it is live.
    pub newest: u64,
}

/// `None`: there is no keyframe in the ring, too much followed it, something of it is lost for good, or the layer rests. Then the streamer must be asked.
/// `bitrate` is known to reach the viewer; `None` while no limit was met.
pub fn replay(layer: &Layer, now: Instant, bitrate: Option<u64>) -> Option<Replay> {
    let cache = &layer.cache;
    let first = *layer.newest_key()?;
    let newest = cache.newest()?;
    let mut bytes = 0;
    let mut waiting = false;
    for index in first.index..=newest {
        let Some(packet) = cache.get(index) else {
            waiting = true;
            continue;
        };
        // A hole before a packet that came long ago will not be filled.
        if std::mem::take(&mut waiting) && now >= packet.meta.arrival + limit::NACK_DEADLINE {
            return None;
        }
        bytes += packet.payload.len();
    }
    let rests = now >= cache.get(newest)?.meta.arrival + limit::REPLAY_SILENCE;
    let in_time = |bitrate: u64| bitrate.saturating_mul(limit::REPLAY_TIME.as_millis() as u64) as usize / 8000;
    let most = bitrate.map_or(limit::REPLAY_BYTES, in_time);
    let fits = bytes <= most || layer.requester.is_late(now);
    (fits && !rests).then_some(Replay { first, newest: layer.newest_timestamp()? })
}
