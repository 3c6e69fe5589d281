//! Which channels are on air, as the media plane says, and which session is the streamer of each broadcast.
//!
//! The plane is asked at most four times a second, however many people look. The streamers are learnt from its events
//! (`announce.rs` feeds them), so that a DELETE of an old connection never ends a broadcast that another one has taken over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use media::id::{BroadcastId, ChannelName, SessionId};
use media::message::{Codec, RoomStats};
use shard::MediaPlane;

use crate::view::{Live, LiveState};

/// How old an answer may be.
const FRESH: Duration = Duration::from_millis(250);

pub struct Lives {
    plane: MediaPlane,
    rooms: tokio::sync::Mutex<Option<(Instant, Arc<[RoomStats]>)>>,
    streamers: Mutex<HashMap<BroadcastId, Streaming>>,
}

/// A broadcast as the events tell it.
#[derive(Clone, Debug)]
pub struct Streaming {
    pub channel: ChannelName,
    pub session: SessionId,
    pub record: bool,
}

impl Lives {
    pub fn new(plane: MediaPlane) -> Self {
        Self { plane, rooms: tokio::sync::Mutex::new(None), streamers: Mutex::new(HashMap::new()) }
    }

    /// Every room on air or waiting for its streamer.
    pub async fn rooms(&self) -> Arc<[RoomStats]> {
        self.ask(FRESH).await
    }

    /// The same as of now, after an event.
    pub async fn rooms_now(&self) -> Arc<[RoomStats]> {
        self.ask(Duration::ZERO).await
    }

    async fn ask(&self, fresh: Duration) -> Arc<[RoomStats]> {
        let mut rooms = self.rooms.lock().await;
        if let Some((at, known)) = rooms.as_ref()
            && at.elapsed() < fresh
        {
            return known.clone();
        }
        let asked: Arc<[RoomStats]> = self.plane.stats().await.into_iter().flat_map(|shard| shard.rooms).collect();
        *rooms = Some((Instant::now(), asked.clone()));
        asked
    }

    pub async fn all(&self) -> Vec<Live> {
        self.rooms().await.iter().map(live).collect()
    }

    pub async fn of(&self, channel: &ChannelName) -> Option<Live> {
        self.rooms().await.iter().find(|room| room.channel == *channel).map(live)
    }

    /// As [`Lives::of`], from figures asked for after this call.
    pub async fn of_now(&self, channel: &ChannelName) -> Option<Live> {
        self.rooms_now().await.iter().find(|room| room.channel == *channel).map(live)
    }

    pub fn started(&self, broadcast: BroadcastId, streaming: Streaming) {
        self.streamers().insert(broadcast, streaming);
    }

    pub fn resumed(&self, broadcast: BroadcastId, session: SessionId) {
        if let Some(streaming) = self.streamers().get_mut(&broadcast) {
            streaming.session = session;
        }
    }

    pub fn ended(&self, broadcast: BroadcastId) -> Option<Streaming> {
        self.streamers().remove(&broadcast)
    }

    pub fn streaming(&self, broadcast: BroadcastId) -> Option<Streaming> {
        self.streamers().get(&broadcast).cloned()
    }

    fn streamers(&self) -> std::sync::MutexGuard<'_, HashMap<BroadcastId, Streaming>> {
        self.streamers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::H264 => "h264",
        Codec::Av1 => "av1",
        Codec::Opus => "opus",
    }
}

fn heights(room: &RoomStats) -> Vec<u16> {
    let picture = room.tracks.iter().find(|track| track.config.codec.is_video());
    picture.map_or_else(Vec::new, |track| track.heights.clone())
}

pub fn live(room: &RoomStats) -> Live {
    let picture = room.tracks.iter().map(|track| &track.config).find(|config| config.codec.is_video());
    let sound = room.tracks.iter().map(|track| &track.config).find(|config| !config.codec.is_video());
    Live {
        channel: room.channel.to_string(),
        broadcast: room.broadcast.to_string(),
        state: if room.connected { LiveState::Live } else { LiveState::Reconnecting },
        started_at: (room.started_utc_us / 1000) as i64,
        viewers: room.viewers,
        recording: room.record,
        video: picture.map(|config| codec_name(config.codec).to_owned()),
        audio: sound.map(|config| codec_name(config.codec).to_owned()),
        width: picture.map_or(0, |config| config.width),
        height: picture.map_or(0, |config| config.height),
        heights: heights(room),
    }
}
