//! A channel's live media: who publishes, who watches, which tracks there are. How packets arrive and leave does not belong here.

pub mod clock;
pub mod layer;
pub mod levels;
pub mod mirror;
pub mod start;
pub mod subscription;
pub mod track;

use std::time::Instant;

use crate::id::{BroadcastId, ChannelName, SessionId, TrackId};
use crate::limit;
use crate::message::{Event, Now};
use crate::slab::Key;
use crate::timers::Appointment;

use mirror::{Audience, Mirror};
use track::Track;

/// The streamer's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publisher {
    pub session: Key,
    /// The handshake is complete.
    pub connected: bool,
}

/// One broadcast from its first handshake to its end, across reconnects.
pub struct Room {
    pub channel: ChannelName,
    pub broadcast: BroadcastId,
    pub record: bool,
    /// Set when the first handshake was complete; before that there is no broadcast to watch or to end.
    pub started_utc_us: Option<u64>,
    pub publisher: Option<Publisher>,
    /// Since when the streamer of a started broadcast is away.
    pub held_since: Option<Instant>,
    /// The streamer fell silent, and that was told, though its connection still stands.
    pub silent: bool,
    /// When to look next whether the streamer is heard.
    pub listen_at: Option<Instant>,
    pub tracks: Vec<Track>,
    /// From the streamer to us, in microseconds: half a round trip; 0 while unknown. What comes is so much older than its arrival says.
    pub uplink_us: u64,
    pub viewers: Vec<Key>,
    /// Connected viewers.
    pub watching: u32,
    /// The number that was told last.
    pub told_watching: u32,
    /// Set where this is no home but a mirror.
    pub mirror: Option<Mirror>,
    /// Mirrors of this room, one a shard at most.
    pub audiences: Vec<Audience>,
    /// Waits to be served, see [`crate::router::Router::flush`].
    pub marked: bool,
    /// Viewers who join are traced, see [`crate::message::Command::Trace`].
    pub traces: bool,
    /// The heights that were told last.
    pub told_heights: Vec<u16>,
    pub appointment: Appointment,
}

impl Room {
    pub fn new(channel: ChannelName, broadcast: BroadcastId, record: bool) -> Self {
        Self {
            channel,
            broadcast,
            record,
            started_utc_us: None,
            publisher: None,
            held_since: None,
            silent: false,
            listen_at: None,
            tracks: Vec::new(),
            uplink_us: 0,
            viewers: Vec::new(),
            watching: 0,
            told_watching: 0,
            mirror: None,
            audiences: Vec::new(),
            marked: false,
            traces: false,
            told_heights: Vec::new(),
            appointment: Appointment::default(),
        }
    }

    /// The streamer is there and heard.
    pub fn is_connected(&self) -> bool {
        !self.silent && self.publisher.is_some_and(|publisher| publisher.connected)
    }

    pub fn interrupted(&self, now: Now) -> Event {
        let (channel, broadcast) = (self.channel.clone(), self.broadcast);
        Event::BroadcastInterrupted { channel, broadcast, utc_us: now.utc_us }
    }

    pub fn resumed(&self, now: Now, session: SessionId) -> Event {
        let (channel, broadcast) = (self.channel.clone(), self.broadcast);
        Event::BroadcastResumed { channel, broadcast, session, utc_us: now.utc_us }
    }

    /// When a broadcast without a streamer ends. While a streamer is shaking hands it waits for the outcome.
    pub fn hold_deadline(&self) -> Option<Instant> {
        self.held_since.filter(|_| self.publisher.is_none()).map(|since| since + limit::RESUME_WINDOW)
    }

    /// The `ordinal`-th track of a kind, made if it is new. `None` beyond [`limit::TRACKS`]. A track keeps its number when the streamer
    /// reconnects.
    pub fn track(&mut self, video: bool, ordinal: usize) -> Option<usize> {
        if let Some(at) = self.find_track(video, ordinal) {
            return Some(at);
        }
        if self.tracks.len() == limit::TRACKS {
            return None;
        }
        self.tracks.push(Track::new(TrackId(self.tracks.len() as u8), video));
        Some(self.tracks.len() - 1)
    }

    pub fn find_track(&self, video: bool, ordinal: usize) -> Option<usize> {
        let of_kind = self.tracks.iter().enumerate().filter(|(_, track)| track.is_video() == video);
        of_kind.map(|(at, _)| at).nth(ordinal)
    }

    /// Nothing that waits to be sent is the beginning of a frame whose end did not come yet.
    pub fn is_whole(&self) -> bool {
        self.tracks.iter().flat_map(|track| &track.layers).all(|layer| layer.pending.is_empty() || !layer.is_open())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_keep_their_numbers_across_connections() {
        let mut room = Room::new("main".parse().unwrap(), BroadcastId(1), true);
        assert_eq!(room.track(false, 0), Some(0));
        assert_eq!(room.track(true, 0), Some(1));
        assert_eq!(room.track(true, 0), Some(1), "the second connection has its sections in another order");
        assert_eq!(room.track(false, 0), Some(0));
        assert_eq!((room.track(true, 1), room.track(true, 2)), (Some(2), Some(3)));
        assert_eq!(room.track(false, 1), None, "bounded");
    }
}
