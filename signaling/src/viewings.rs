//! Which socket each viewing session belongs to, and how long one is kept whose socket is gone.
//!
//! Media does not need the socket: a viewer who changes networks, or whose proxy restarts, gets the same session back by what its ack was
//! signed with. Whether a session's media is alive is the plane's to know; sessions of WHEP never had a socket and are not in here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use media::id::{ChannelName, SessionId};
use socketioxide::socket::Sid;

use crate::limits::{KEPT_SESSION, KEPT_SESSIONS};

#[derive(Default)]
pub struct Viewings {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    viewings: HashMap<SessionId, Viewing>,
    /// Those without a socket, by when it went.
    kept: BTreeSet<(Instant, SessionId)>,
}

struct Viewing {
    channel: ChannelName,
    held: Held,
    /// Its network carries only the sound.
    paused: bool,
}

#[derive(Clone, Copy)]
enum Held {
    By(Sid),
    /// Its socket went then.
    Since(Instant),
}

impl Viewings {
    pub fn opened(&self, session: SessionId, channel: ChannelName, socket: Sid) {
        self.inner().viewings.insert(session, Viewing { channel, held: Held::By(socket), paused: false });
    }

    /// Gives a session of `channel` to another socket. The one that had it may not know yet that it is dead. False when there is no such session.
    #[must_use]
    pub fn take(&self, session: SessionId, channel: &ChannelName, socket: Sid) -> bool {
        let mut inner = self.inner();
        let known = inner.viewings.get(&session).is_some_and(|viewing| viewing.channel == *channel);
        known && inner.hold(session, Held::By(socket))
    }

    /// Its pictures pause, or are back. The socket that is to hear of it.
    #[must_use]
    pub fn paused(&self, session: SessionId, paused: bool) -> Option<Sid> {
        let mut inner = self.inner();
        let viewing = inner.viewings.get_mut(&session)?;
        viewing.paused = paused;
        match viewing.held {
            Held::By(socket) => Some(socket),
            Held::Since(_) => None,
        }
    }

    pub fn is_paused(&self, session: SessionId) -> bool {
        self.inner().viewings.get(&session).is_some_and(|viewing| viewing.paused)
    }

    /// The socket is gone, and may come back as another one. Gives the session that is to be closed for it, when too many are kept.
    #[must_use]
    pub fn lost(&self, session: SessionId, socket: Sid, now: Instant) -> Option<SessionId> {
        let mut inner = self.inner();
        if !inner.is_of(session, socket) || !inner.hold(session, Held::Since(now)) || inner.kept.len() <= KEPT_SESSIONS
        {
            return None;
        }
        let (_, oldest) = inner.kept.first().copied()?;
        inner.forget(oldest);
        Some(oldest)
    }

    /// The viewer wants no more of a session. True when it was this socket's, so that it is to be closed.
    #[must_use]
    pub fn ended(&self, session: SessionId, socket: Sid) -> bool {
        let mut inner = self.inner();
        let own = inner.is_of(session, socket);
        if own {
            inner.forget(session);
        }
        own
    }

    /// The plane has closed it.
    pub fn closed(&self, session: SessionId) {
        self.inner().forget(session);
    }

    /// Sessions that have been without a socket for too long; they are to be closed.
    pub fn expired(&self, now: Instant) -> Vec<SessionId> {
        let mut inner = self.inner();
        let late = inner.kept.iter().take_while(|(since, _)| now.duration_since(*since) >= KEPT_SESSION);
        let late: Vec<_> = late.map(|(_, session)| *session).collect();
        late.iter().for_each(|session| inner.forget(*session));
        late
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_of(&self, session: SessionId, socket: Sid) -> bool {
        self.viewings.get(&session).is_some_and(|viewing| matches!(viewing.held, Held::By(holder) if holder == socket))
    }

    /// False when there is no such session.
    fn hold(&mut self, session: SessionId, held: Held) -> bool {
        let Some(viewing) = self.viewings.get_mut(&session) else { return false };
        if let Held::Since(since) = std::mem::replace(&mut viewing.held, held) {
            self.kept.remove(&(since, session));
        }
        if let Held::Since(since) = held {
            self.kept.insert((since, session));
        }
        true
    }

    fn forget(&mut self, session: SessionId) {
        if let Some(Viewing { held: Held::Since(since), .. }) = self.viewings.remove(&session) {
            self.kept.remove(&(since, session));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use media::id::ShardId;

    use super::*;

    fn session(number: u64) -> SessionId {
        SessionId::new(ShardId(0), number)
    }

    fn channel(name: &str) -> ChannelName {
        name.parse().unwrap()
    }

    #[test]
    fn a_session_waits_for_its_viewer_for_a_while() {
        let (viewings, now) = (Viewings::default(), Instant::now());
        let (before, after) = (Sid::new(), Sid::new());
        viewings.opened(session(1), channel("main"), before);
        assert_eq!(viewings.lost(session(1), before, now), None);
        assert!(viewings.expired(now + KEPT_SESSION - Duration::from_millis(1)).is_empty());
        assert!(!viewings.take(session(1), &channel("other"), after), "of another channel");
        assert!(viewings.take(session(1), &channel("main"), after));
        assert!(viewings.expired(now + KEPT_SESSION).is_empty(), "it has a socket again");
        assert_eq!(viewings.lost(session(1), after, now), None);
        assert_eq!(viewings.expired(now + KEPT_SESSION), [session(1)]);
        assert!(!viewings.take(session(1), &channel("main"), before), "it is over");
    }

    #[test]
    fn a_socket_that_dies_late_takes_nothing_with_it() {
        let (viewings, now) = (Viewings::default(), Instant::now());
        let (before, after) = (Sid::new(), Sid::new());
        viewings.opened(session(1), channel("main"), before);
        assert!(viewings.take(session(1), &channel("main"), after));
        assert_eq!(viewings.lost(session(1), before, now), None);
        assert!(!viewings.ended(session(1), before));
        assert!(viewings.expired(now + 2 * KEPT_SESSION).is_empty());
        assert!(viewings.ended(session(1), after));
        assert!(!viewings.take(session(1), &channel("main"), before), "its viewer wants no more of it");
    }

    #[test]
    fn the_socket_of_the_moment_hears_that_pictures_pause() {
        let viewings = Viewings::default();
        let (before, after) = (Sid::new(), Sid::new());
        assert_eq!(viewings.paused(session(1), true), None, "a WHEP player has no socket");
        viewings.opened(session(1), channel("main"), before);
        assert_eq!(viewings.paused(session(1), true), Some(before));
        assert_eq!(viewings.lost(session(1), before, Instant::now()), None);
        assert!(viewings.take(session(1), &channel("main"), after));
        assert!(viewings.is_paused(session(1)), "what the new socket is told first");
        assert_eq!(viewings.paused(session(1), false), Some(after));
        assert!(!viewings.is_paused(session(1)));
    }

    #[test]
    fn of_too_many_the_one_that_waited_longest_goes() {
        let (viewings, now) = (Viewings::default(), Instant::now());
        let socket = Sid::new();
        for number in 0..=KEPT_SESSIONS as u64 {
            viewings.opened(session(number), channel("main"), socket);
            let pushed_out = viewings.lost(session(number), socket, now + Duration::from_millis(number));
            let expected = (number == KEPT_SESSIONS as u64).then(|| session(0));
            assert_eq!(pushed_out, expected, "{number}");
        }
        assert_eq!(viewings.expired(now + 2 * KEPT_SESSION).len(), KEPT_SESSIONS);
    }
}
