//! One session with what the router knows about it.

use std::time::{Duration, Instant};

use crate::diagnostics::Diary;
use crate::forward::pacer::Pacer;
use crate::id::{ChannelName, SessionId};
use crate::message::{Now, Role};
use crate::room::Room;
use crate::room::layer::Format;
use crate::room::subscription::{Downlink, Route, Subscription};
use crate::session::Session;
use crate::session::estimate::Estimator;
use crate::session::negotiate::{Kind, Section};
use crate::slab::{Key, Slab};
use crate::timers::Appointment;

use super::ingest::Ingest;
use super::probe::sound;

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
    /// When streams that are behind go on.
    pub next_replay: Option<Instant>,
    /// When the probe of the downlink goes on.
    pub next_probe: Option<Instant>,
    /// `None` where neither transport-wide feedback nor a receiver's estimate was negotiated.
    pub estimator: Option<Box<Estimator>>,
    pub pacer: Pacer,
    /// It was told that its pictures pause.
    pub told_paused: bool,
}

impl Viewer {
    /// What its network carries of pictures: sound is sent before them. `None` while no limit was met.
    pub fn downlink(&self, now: Now, room: &Room) -> Option<Downlink> {
        let estimator = self.estimator.as_deref()?;
        let bitrate = estimator.bitrate()?.saturating_sub(sound(now, room));
        Some(Downlink { bitrate, congested: estimator.is_congested() })
    }
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
    pub appointment: Appointment,
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
            PeerRole::Viewer(viewer) => {
                let own = [viewer.next_report, viewer.next_replay, viewer.next_probe];
                own.into_iter().flatten().min()
            }
        };
        own.into_iter().chain(media).min()
    }
}

pub fn is_video(section: &Section) -> bool {
    section.kind == Kind::Video
}

/// Under which payload types a track of this format reaches a viewer. `None` when the viewer lacks the codec.
pub fn route(section: &Section, format: Format) -> Option<Route> {
    section.payload_for(format.codec, format.profile).map(|map| Route {
        codec: map.codec,
        payload_type: map.pt,
        rtx_payload_type: map.rtx_pt,
        red_payload_type: map.red.as_ref().map(|red| red.pt),
    })
}
