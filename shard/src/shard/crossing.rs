//! The loop's side of the mesh: what comes from other shards, and what goes to them.

use media::across::Across;
use media::id::SessionId;
use media::message::{Command, Input, Now, Refusal};
use media::router::Moving;

use crate::inbox::ReplySender;
use crate::mesh::{Parcel, Relayed};
use crate::sources::is_check;
use crate::tcp::Handed;

use super::{Shard, now};

/// Parcels taken in one turn. More wait for the next one.
const PARCELS_PER_TURN: usize = 1024;

impl Shard<'_> {
    /// What other shards sent.
    pub(super) fn take_parcels(&mut self) {
        for _ in 0..PARCELS_PER_TURN {
            let Some((from, parcel)) = self.lines.mesh.as_mut().and_then(|mesh| mesh.receive()) else { return };
            match parcel {
                Parcel::Across(message) => {
                    let now = now();
                    self.handle(now, Input::Across { from, message });
                    self.deliver(now);
                }
                Parcel::Datagram(relayed) => self.take_relayed(relayed),
                Parcel::Mine(address) => {
                    if let Some(mesh) = &mut self.lines.mesh {
                        mesh.learn(now().mono, address, from);
                    }
                }
                Parcel::Connection(handed) => self.adopt(handed),
                Parcel::Command { command, reply } => self.execute(command, reply),
            }
        }
        self.backlog = true;
    }

    /// Datagrams that came before it was known whose they are.
    pub(super) fn take_missed(&mut self) {
        let missed = self.lines.mesh.as_mut().map(|mesh| mesh.missed()).unwrap_or_default();
        if missed.is_empty() {
            return;
        }
        self.take_parcels();
        let now = now();
        for mut missed in missed {
            let Some(mesh) = &mut self.lines.mesh else { return };
            mesh.meet_again(&mut self.router, now, &mut missed, &mut self.gear.arena);
            if self.gear.arena.is_full() {
                self.gear.send(&mut self.lines.socket);
            }
        }
        self.deliver(now);
    }

    /// A datagram that came by another shard's socket.
    fn take_relayed(&mut self, relayed: Relayed) {
        let now = now();
        let check = is_check(&relayed.data);
        if let Some(local) = relayed.local.filter(|_| check) {
            self.gear.sender.learn(relayed.from, local);
        }
        let Some(mesh) = &mut self.lines.mesh else { return };
        let Some(mut relayed) = mesh.forward(&self.router, relayed) else { return };
        let foreign = relayed.entered != mesh.me();
        let moving = if check && foreign { self.router.give_away(&relayed.data) } else { None };
        if let Some(moving) = moving {
            match self.move_out(now, moving, relayed) {
                Some(back) => relayed = back,
                None => return,
            }
        }
        let (from, entered) = (relayed.from, relayed.entered);
        self.handle(now, Input::Datagram { from, data: &mut relayed.data });
        if check && foreign && self.router.knows_path(from) {
            // Without it the next check asks again.
            let _ = self.lines.mesh.as_mut().map(|mesh| mesh.send(entered, Parcel::Mine(from)));
        }
        self.deliver(now);
    }

    /// The session goes where its peer's datagrams come to. Gives the datagram back when there is no room on the way: then the session stays.
    fn move_out(&mut self, now: Now, moving: Box<Moving>, relayed: Relayed) -> Option<Relayed> {
        let mesh = self.lines.mesh.as_mut()?;
        let (me, to, session) = (mesh.me(), relayed.entered, moving.session());
        let ufrags: Vec<Box<str>> = moving.ufrags().map(Box::from).collect();
        match mesh.send(to, Parcel::Across(Across::Session(moving))) {
            Err(Parcel::Across(message)) => {
                self.handle(now, Input::Across { from: me, message });
                Some(relayed)
            }
            _ => {
                mesh.directory().pass(me, to, session, ufrags.iter().map(|ufrag| &**ufrag));
                mesh.relay(to, relayed);
                None
            }
        }
    }

    /// For another shard.
    pub(super) fn give_across(&mut self, to: media::id::ShardId, message: Across) {
        let Some(mesh) = &mut self.lines.mesh else { return };
        if let Err(Parcel::Across(message)) = mesh.send(to, Parcel::Across(message)) {
            self.router.undelivered(&message);
        }
    }

    /// A command about a session that went on to another shard goes there, too. Gives back what is to be done here.
    pub(super) fn redirect(&mut self, command: Command, reply: ReplySender) -> Option<(Command, ReplySender)> {
        let session = self.lines.mesh.as_ref().and_then(|_| session_of(&command));
        let Some(session) = session.filter(|session| !self.router.has(*session)) else { return Some((command, reply)) };
        // It may be on its way here.
        self.take_parcels();
        let Some(mesh) = self.lines.mesh.as_mut().filter(|_| !self.router.has(session)) else {
            return Some((command, reply));
        };
        let owner = mesh.directory().of_session(session).filter(|owner| *owner != mesh.me());
        let Some(owner) = owner else { return Some((command, reply)) };
        if let Err(Parcel::Command { reply, .. }) = mesh.send(owner, Parcel::Command { command, reply }) {
            // A caller that went away needs no answer.
            let _ = reply.send(Err(Refusal::Full("too many requests wait for the media plane")));
        }
        None
    }

    /// A connection whose first check is for a session of another shard goes there. Gives back what is to be taken here.
    pub(super) fn hand_on(&mut self, mut handed: Handed) -> Option<Handed> {
        let Some(mesh) = &mut self.lines.mesh else { return Some(handed) };
        let elsewhere = handed.user().filter(|user| !self.router.expects(user));
        let owner = elsewhere.and_then(|user| mesh.directory().of_name(&user)).filter(|owner| *owner != mesh.me());
        let Some(owner) = owner else { return Some(handed) };
        // Without room it is closed, and its peer tries again or goes another way.
        let _ = mesh.send(owner, Parcel::Connection(handed));
        None
    }
}

fn session_of(command: &Command) -> Option<SessionId> {
    match command {
        Command::Prefer { session, .. }
        | Command::Close { session }
        | Command::Ice { session, .. }
        | Command::Trace { session, .. }
        | Command::Diagnose { session } => Some(*session),
        Command::Publish(_)
        | Command::Watch(_)
        | Command::End { .. }
        | Command::Keyframe { .. }
        | Command::Stats
        | Command::DiagnoseAll => None,
    }
}
