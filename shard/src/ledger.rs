//! What the outside world believes to be alive in a shard, learnt from its events. When the shard fails, these are ended by name,
//! so that nobody waits for an end that never comes.

use std::collections::HashMap;

use media::id::{BroadcastId, ChannelName, SessionId};
use media::message::{CloseReason, EndReason, Event, Role};

#[derive(Default)]
pub struct Ledger {
    broadcasts: HashMap<BroadcastId, ChannelName>,
    sessions: HashMap<SessionId, (ChannelName, Role)>,
}

impl Ledger {
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::BroadcastStarted { channel, broadcast, .. } => {
                self.broadcasts.insert(*broadcast, channel.clone());
            }
            Event::BroadcastEnded { broadcast, .. } => {
                self.broadcasts.remove(broadcast);
            }
            Event::SessionConnected { session, channel, role, .. } => {
                self.sessions.insert(*session, (channel.clone(), *role));
            }
            Event::SessionClosed { session, .. } => {
                self.sessions.remove(session);
            }
            Event::BroadcastInterrupted { .. }
            | Event::BroadcastResumed { .. }
            | Event::Viewers { .. }
            | Event::Layers { .. }
            | Event::Pictures { .. } => {}
        }
    }

    pub fn broadcasts(&self) -> Vec<BroadcastId> {
        self.broadcasts.keys().copied().collect()
    }

    pub fn sessions(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    /// Ends everything: the events that tell so, sessions first.
    pub fn write_off(&mut self, utc_us: u64, session_reason: CloseReason, broadcast_reason: EndReason) -> Vec<Event> {
        let sessions = self.sessions.drain().map(|(session, (channel, role))| Event::SessionClosed {
            session,
            channel,
            role,
            reason: session_reason,
        });
        let broadcasts = self.broadcasts.drain().map(|(broadcast, channel)| Event::BroadcastEnded {
            channel,
            broadcast,
            utc_us,
            reason: broadcast_reason,
        });
        sessions.chain(broadcasts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::id::ShardId;
    use media::message::SrtpProfile;

    #[test]
    fn only_what_is_alive_is_written_off() {
        let mut ledger = Ledger::default();
        let channel: ChannelName = "main".parse().unwrap();
        let session = |n| SessionId::new(ShardId(0), n);
        for n in 1..=2 {
            ledger.note(&Event::SessionConnected {
                session: session(n),
                channel: channel.clone(),
                role: Role::Viewer,
                srtp_profile: SrtpProfile::AeadAes128Gcm,
            });
            ledger.note(&Event::BroadcastStarted {
                channel: channel.clone(),
                broadcast: BroadcastId(u128::from(n)),
                session: session(n),
                utc_us: 0,
                record: false,
            });
        }
        let reason = CloseReason::PeerClosed;
        ledger.note(&Event::SessionClosed {
            session: session(1),
            channel: channel.clone(),
            role: Role::Viewer,
            reason,
        });
        let reason = EndReason::Stopped;
        ledger.note(&Event::BroadcastEnded { channel, broadcast: BroadcastId(1), utc_us: 0, reason });

        let events = ledger.write_off(5, CloseReason::Fault, EndReason::Dropped);
        assert!(matches!(&events[..], [
            Event::SessionClosed { session: s, reason: CloseReason::Fault, .. },
            Event::BroadcastEnded { broadcast: BroadcastId(2), utc_us: 5, reason: EndReason::Dropped, .. },
        ] if *s == session(2)));
        assert!(ledger.write_off(6, CloseReason::Fault, EndReason::Dropped).is_empty());
    }
}
