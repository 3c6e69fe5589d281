//! Facts on their way to those who are connected: events of the media plane, and what the server says of clips and alarms.
//!
//! Viewer counts are told at most twice a second and channel, since a thousand viewers joining would otherwise be told of each
//! other a million times.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use media::id::ChannelName;
use media::message::{CloseReason, EndReason as MediaEnd, Event, Role};
use serde::Serialize;
use shard::PlaneState;
use socketioxide::SocketIo;
use storage::Visibility;
use storage::local::ClipState;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;

use crate::app::App;
use crate::clips;
use crate::lives::Streaming;
use crate::socket::event::{
    Alarm, ClipAnnounced, EndReason, Layers, Notice, Pictures, StreamEnded, StreamInterrupted, StreamStarted, Viewers,
};
use crate::socket::rooms::{STREAMERS, of_channel, of_clip, of_session, of_streamers};
use crate::view::Clip;

/// Between two viewer counts of a channel.
const COUNTS: Duration = Duration::from_millis(500);
/// How often viewing sessions are looked for whose sockets did not come back.
const SWEEP: Duration = Duration::from_secs(1);

/// Until the media plane no longer runs.
async fn over(state: &mut watch::Receiver<PlaneState>) {
    let _ = state.wait_for(|state| *state != PlaneState::Running).await;
}

/// Speaks to rooms. Cheap to clone.
#[derive(Clone)]
pub struct Announcer {
    app: App,
    io: SocketIo,
}

impl Announcer {
    pub fn new(app: App, io: SocketIo) -> Self {
        Self { app, io }
    }

    /// A clip became playable, or its state changed.
    pub async fn clip(&self, clip: storage::Clip, state: ClipState) {
        let error = match state {
            ClipState::Stored => None,
            _ => self.app.local().pending_clip(clip.id.clone()).await.ok().flatten().and_then(|p| p.error),
        };
        let mut rooms = vec![STREAMERS.to_owned(), of_clip(&clip.id)];
        if clip.visibility == Visibility::Published {
            rooms.push(of_channel(&clip.channel));
        }
        let clip = Clip::of(clip, clips::shown(state), error);
        self.tell_all(rooms, "clip", &ClipAnnounced { clip }).await;
    }

    /// Something about a recording needs a person. Without a channel it concerns all.
    pub async fn alarm(&self, channel: &str, text: String) {
        let room = if channel.is_empty() { STREAMERS.to_owned() } else { of_streamers(channel) };
        self.tell(room, "alarm", &Alarm { text }).await;
    }

    /// The last thing that is said.
    pub async fn stopping(&self) {
        if let Err(error) = self.io.emit("server-stopping", &Notice {}).await {
            tracing::debug!(%error, "not everybody heard that the server stops");
        }
    }

    /// Forwards the media plane's events until it is gone.
    pub async fn run(self, mut events: Receiver<Event>) {
        let mut counts: HashMap<ChannelName, u32> = HashMap::new();
        let mut state = self.app.plane().state();
        let mut tick = tokio::time::interval(COUNTS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(Event::Viewers { channel, count, .. }) => { counts.insert(channel, count); }
                    Ok(event) => self.forward(event).await,
                    Err(RecvError::Lagged(missed)) => {
                        metrics::counter!("oxbow_events_missed_total").increment(missed);
                        tracing::warn!(missed, "events of the media plane were missed");
                    }
                    Err(RecvError::Closed) => return,
                },
                () = over(&mut state) => {
                    // Its last events are in the queue: how each broadcast ended.
                    while let Ok(event) = events.try_recv() {
                        self.forward(event).await;
                    }
                    return;
                }
                _ = sweep.tick() => {
                    for session in self.app.viewings().expired(Instant::now()) {
                        // Unknown: it ended by itself.
                        let _ = self.app.plane().close(session).await;
                    }
                }
                _ = tick.tick(), if !counts.is_empty() => {
                    for (channel, count) in counts.drain() {
                        let said = Viewers { channel: channel.to_string(), count };
                        self.tell(of_channel(&channel), "viewers", &said).await;
                    }
                }
            }
        }
    }

    async fn forward(&self, event: Event) {
        match event {
            Event::BroadcastStarted { channel, broadcast, session, record, .. } => {
                tracing::info!(%channel, %broadcast, record, "on air");
                self.app.lives().started(broadcast, Streaming { channel: channel.clone(), session, record });
                self.on_air(&channel, false).await;
            }
            Event::BroadcastResumed { channel, broadcast, session, .. } => {
                tracing::info!(%channel, %broadcast, "on air again");
                self.app.lives().resumed(broadcast, session);
                self.on_air(&channel, true).await;
            }
            Event::BroadcastInterrupted { channel, broadcast, .. } => {
                tracing::info!(%channel, %broadcast, "the streamer dropped");
                let said = StreamInterrupted { channel: channel.to_string(), broadcast: broadcast.to_string() };
                self.tell(of_channel(&channel), "stream-interrupted", &said).await;
            }
            Event::BroadcastEnded { channel, broadcast, reason, .. } => {
                tracing::info!(%channel, %broadcast, ?reason, "off air");
                let recorded = self.app.lives().ended(broadcast).is_some_and(|streaming| streaming.record);
                let said = StreamEnded {
                    channel: channel.to_string(),
                    broadcast: broadcast.to_string(),
                    reason: match reason {
                        MediaEnd::Stopped => EndReason::Stopped,
                        MediaEnd::Dropped => EndReason::Dropped,
                        MediaEnd::Shutdown => EndReason::Shutdown,
                    },
                    recording: recorded.then(|| format!("/b/{broadcast}")),
                };
                self.tell(of_channel(&channel), "stream-ended", &said).await;
            }
            Event::SessionClosed { session, role: Role::Publisher, reason: CloseReason::TakenOver, .. } => {
                self.tell(of_session(session), "taken-over", &Notice {}).await;
            }
            Event::SessionConnected { session, channel, role, srtp_profile } => {
                tracing::debug!(%session, %channel, ?role, ?srtp_profile, "session connected");
            }
            Event::SessionClosed { session, channel, role, reason } => {
                self.app.viewings().closed(session);
                tracing::debug!(%session, %channel, ?role, ?reason, "session closed");
            }
            Event::Layers { channel, heights, .. } => {
                self.tell(of_channel(&channel), "layers", &Layers { channel: channel.to_string(), heights }).await;
            }
            Event::Pictures { session, channel, paused } => {
                tracing::debug!(%session, %channel, paused, "a viewer's network carries only the sound, or pictures again");
                // A player by WHEP has no socket, and one whose socket is gone hears it when it is back.
                let socket = self.app.viewings().paused(session, paused).and_then(|socket| self.io.get_socket(socket));
                if let Some(Err(error)) = socket.map(|socket| socket.emit("pictures", &Pictures { paused })) {
                    tracing::debug!(%error, "a viewer was not told of its pictures");
                }
            }
            Event::Viewers { .. } => {}
        }
    }

    async fn on_air(&self, channel: &ChannelName, resumed: bool) {
        // Gone again already: the event that says so follows.
        let Some(live) = self.app.lives().of_now(channel).await else { return };
        self.tell(of_channel(channel), "stream-started", &StreamStarted { live, resumed }).await;
    }

    async fn tell<T: Serialize>(&self, room: String, event: &'static str, said: &T) {
        self.tell_all(vec![room], event, said).await;
    }

    /// Who is in several of the rooms hears it once.
    async fn tell_all<T: Serialize>(&self, rooms: Vec<String>, event: &'static str, said: &T) {
        if let Err(error) = self.io.to(rooms).emit(event, said).await {
            // A client that does not read is closed by its own queue; the others have heard.
            tracing::debug!(%error, event, "not everybody was told");
        }
    }
}
