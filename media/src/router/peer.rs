//! One session with what the router knows about it.

use std::time::{Duration, Instant};

use crate::diagnostics::Diary;
use crate::id::{ChannelName, SessionId};
use crate::message::Role;
use crate::room::Room;
use crate::room::layer::Format;
use crate::room::subscription::{Route, Subscription};
use crate::session::Session;
use crate::session::negotiate::{Kind, Section};
use crate::slab::{Key, Slab};

use super::ingest::Ingest;

/// Between two sender reports to a viewer.
pub const SENDER_REPORT_INTERVAL: Duration = Duration::from_millis(1500);

pub enum PeerRole {
    Publisher(Ingest),
    Viewer(Viewer),
}

/// A viewer's side.
pub struct Viewer {
    /// One per section of the answer, in its order.
    pub subscriptions: Vec<Subscription>,
    pub next_report: Option<Instant>,
    /// When the replay of the ring goes on.
    pub next_replay: Option<Instant>,
}

pub struct Peer {
    pub id: SessionId,
    pub session: Session,
    pub channel: ChannelName,
    pub room: Key,
    pub role: PeerRole,
    /// The handshake was complete once.
    pub connected: bool,
    /// Only waits for its last DTLS words to be out.
    pub closing: bool,
    pub scheduled: Option<Instant>,
    pub diary: Diary,
}

impl Peer {
    pub fn role(&self) -> Role {
        match self.role {
            PeerRole::Publisher(_) => Role::Publisher,
            PeerRole::Viewer(_) => Role::Viewer,
        }
    }

    pub fn next_deadline(&self, rooms: &Slab<Room>) -> Option<Instant> {
        let own = self.session.next_deadline();
        if self.closing || !self.connected {
            return own;
        }
        let media = match &self.role {
            PeerRole::Publisher(ingest) => rooms.get(self.room).and_then(|room| ingest.next_deadline(room)),
            PeerRole::Viewer(viewer) => viewer.next_report.into_iter().chain(viewer.next_replay).min(),
        };
        own.into_iter().chain(media).min()
    }
}

pub fn is_video(section: &Section) -> bool {
    section.kind == Kind::Video
}

/// Under which payload types a track of this format reaches a viewer. `None` when the viewer lacks the codec.
pub fn route(section: &Section, format: Format) -> Option<Route> {
    section
        .payload_for(format.codec, format.profile)
        .map(|map| Route { payload_type: map.pt, rtx_payload_type: map.rtx_pt })
}
