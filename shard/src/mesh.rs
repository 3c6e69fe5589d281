//! The ways between the shards of one media plane: bounded, and never waited for.
//!
//! Each ordered pair of shards has two queues: what a session or a room depends on, and media with relayed datagrams, so that a flood of media leaves
//! room for the rest. What has no room goes back to the sender. What the parcels mean does not belong here.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Instant;

use media::across::Across;
use media::arena::SendArena;
use media::id::ShardId;
use media::limit::{ADDRESS_HOLD, SESSIONS};
use media::message::{Command, Now};
use media::router::Router;
use media::stats::DropReason;
use media::stun_user;

use crate::inbox::{Bell, ReplySender};
use crate::place::Directory;
use crate::sources::is_check;
use crate::tcp::Handed;

/// Parcels in one queue. More: counted, and back to the sender. A thousand viewers' worth of feedback, or half a second of media of 15 broadcasts.
const PARCELS: usize = 512;
/// Datagrams of a turn whose owner may have been told a moment ago.
const MISSED: usize = 32;
/// A datagram goes on to the shard that its session went to, and no further.
const HOPS: u8 = 2;

/// What one shard gives another.
pub enum Parcel {
    Across(Across),
    Datagram(Relayed),
    /// Datagrams from this address are for the sender.
    Mine(SocketAddr),
    Connection(Handed),
    Command {
        command: Command,
        reply: ReplySender,
    },
}

/// A datagram that the kernel gave to another shard than its session's.
pub struct Relayed {
    pub from: SocketAddr,
    /// The address of this machine that it was sent to; known on a socket of the wildcard address.
    pub local: Option<IpAddr>,
    pub data: Vec<u8>,
    /// Where the kernel gave it to.
    pub entered: ShardId,
    hops: u8,
}

/// Counters since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeshFigures {
    pub relayed: u64,
    pub full: u64,
}

/// One shard's ends of all its ways.
pub struct Mesh {
    me: ShardId,
    directory: Arc<Directory>,
    /// By the number of the shard; `None` is its own.
    ways: Vec<Option<Way>>,
    coming: Vec<Coming>,
    relays: Relays,
    missed: Vec<Relayed>,
    figures: MeshFigures,
}

struct Way {
    first: SyncSender<Parcel>,
    rest: SyncSender<Parcel>,
    bell: Bell,
    rings: bool,
}

struct Coming {
    from: ShardId,
    first: Receiver<Parcel>,
    rest: Receiver<Parcel>,
}

/// The ends of as many shards as there are bells.
pub fn mesh(bells: &[Bell], directory: &Arc<Directory>) -> Vec<Mesh> {
    let ids = || (0..bells.len()).map(|number| ShardId(number as u16));
    let new = |me| {
        let (relays, figures) = (Relays::default(), MeshFigures::default());
        let (ways, coming, missed) = (Vec::new(), Vec::new(), Vec::new());
        Mesh { me, directory: directory.clone(), ways, coming, relays, missed, figures }
    };
    let mut all: Vec<Mesh> = ids().map(new).collect();
    for from in ids() {
        for (to, bell) in ids().zip(bells) {
            if from == to {
                all[usize::from(from.0)].ways.push(None);
                continue;
            }
            let ((first, first_out), (rest, rest_out)) = (sync_channel(PARCELS), sync_channel(PARCELS));
            all[usize::from(to.0)].coming.push(Coming { from, first: first_out, rest: rest_out });
            all[usize::from(from.0)].ways.push(Some(Way { first, rest, bell: bell.clone(), rings: false }));
        }
    }
    all
}

impl Mesh {
    pub fn me(&self) -> ShardId {
        self.me
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    pub fn figures(&self) -> MeshFigures {
        self.figures
    }

    /// The receiver is woken by the next [`Mesh::ring`].
    ///
    /// # Errors
    /// The parcel, when there is no room for it or no such shard any more.
    pub fn send(&mut self, to: ShardId, parcel: Parcel) -> Result<(), Parcel> {
        let Some(Some(way)) = self.ways.get_mut(usize::from(to.0)) else { return Err(parcel) };
        let is_rest = match &parcel {
            Parcel::Across(message) => message.is_media(),
            Parcel::Datagram(_) | Parcel::Mine(_) => true,
            Parcel::Connection(_) | Parcel::Command { .. } => false,
        };
        let queue = if is_rest { &way.rest } else { &way.first };
        way.rings = true;
        queue.try_send(parcel).map_err(|error| {
            self.figures.full += 1;
            match error {
                TrySendError::Full(parcel) | TrySendError::Disconnected(parcel) => parcel,
            }
        })
    }

    /// Wakes the shards that were sent something.
    pub fn ring(&mut self) {
        for way in self.ways.iter_mut().flatten() {
            if std::mem::take(&mut way.rings) {
                way.bell.ring();
            }
        }
    }

    /// The next parcel, and who sent it.
    pub fn receive(&mut self) -> Option<(ShardId, Parcel)> {
        let of = |queue: fn(&Coming) -> &Receiver<Parcel>| {
            move |one: &Coming| queue(one).try_recv().ok().map(|parcel| (one.from, parcel))
        };
        let first = self.coming.iter().find_map(of(|one| &one.first));
        first.or_else(|| self.coming.iter().find_map(of(|one| &one.rest)))
    }

    /// Datagrams from this address are for that shard.
    pub fn learn(&mut self, now: Instant, from: SocketAddr, owner: ShardId) {
        self.relays.learn(now, from, owner);
    }

    /// Takes a datagram of this shard's socket to its session, here or elsewhere.
    pub fn meet(
        &mut self,
        router: &mut Router,
        now: Now,
        (from, local): (SocketAddr, Option<IpAddr>),
        data: &mut [u8],
        arena: &mut SendArena,
    ) {
        if let Some(reason) = self.try_meet(router, now, (from, local), data, arena) {
            if self.missed.len() < MISSED && reason == DropReason::UnknownAddress {
                let (data, entered) = (data.to_vec(), self.me);
                self.missed.push(Relayed { from, local, data, entered, hops: 0 });
            } else {
                router.refuse(reason);
            }
        }
    }

    /// Datagrams that were nobody's: it may have been told since whose they are.
    pub fn missed(&mut self) -> Vec<Relayed> {
        std::mem::take(&mut self.missed)
    }

    /// Another try, and the last.
    pub fn meet_again(&mut self, router: &mut Router, now: Now, missed: &mut Relayed, arena: &mut SendArena) {
        let way = (missed.from, missed.local);
        if let Some(reason) = self.try_meet(router, now, way, &mut missed.data, arena) {
            router.refuse(reason);
        }
    }

    /// Why it is nobody's, `None` when it is dealt with.
    fn try_meet(
        &mut self,
        router: &mut Router,
        now: Now,
        (from, local): (SocketAddr, Option<IpAddr>),
        data: &mut [u8],
        arena: &mut SendArena,
    ) -> Option<DropReason> {
        let relayed = |data: &[u8], entered| Relayed { from, local, data: data.to_vec(), entered, hops: 0 };
        match self.named_elsewhere(router, data) {
            // On its way here.
            Some(owner) if owner == self.me => return Some(DropReason::UnknownAddress),
            Some(owner) => {
                self.relay(owner, relayed(data, self.me));
                return None;
            }
            None => {}
        }
        match router.offer(now, from, data, arena) {
            Ok(()) => None,
            Err(reason) => {
                let Some(owner) = self.relays.of(from).filter(|_| reason == DropReason::UnknownAddress) else {
                    return Some(reason);
                };
                self.relay(owner, relayed(data, self.me));
                None
            }
        }
    }

    /// Gives a relayed check on if its session went to another shard. `None` when it did.
    pub fn forward(&mut self, router: &Router, relayed: Relayed) -> Option<Relayed> {
        let owner = self.named_elsewhere(router, &relayed.data).filter(|owner| *owner != self.me);
        let Some(owner) = owner.filter(|_| relayed.hops < HOPS) else { return Some(relayed) };
        self.relay(owner, relayed);
        None
    }

    pub fn relay(&mut self, owner: ShardId, relayed: Relayed) {
        let parcel = Parcel::Datagram(Relayed { hops: relayed.hops + 1, ..relayed });
        if self.send(owner, parcel).is_ok() {
            self.figures.relayed += 1;
        }
    }

    /// The shard that has the session that a check names, if the router has it not.
    fn named_elsewhere(&self, router: &Router, data: &[u8]) -> Option<ShardId> {
        let ufrag = stun_user(data).filter(|ufrag| is_check(data) && !router.expects(ufrag))?;
        self.directory.of_name(ufrag)
    }
}

/// Addresses whose datagrams are for other shards, as those say after an authentic check. Bounded by two generations: who keeps checking is learnt anew.
#[derive(Default)]
struct Relays {
    young: HashMap<SocketAddr, Owner>,
    old: HashMap<SocketAddr, Owner>,
}

#[derive(Clone, Copy)]
struct Owner {
    shard: ShardId,
    last_check: Instant,
}

impl Relays {
    /// As in a shard's own index, an address stays for a while with who checks from it: a source address is easily forged.
    fn learn(&mut self, now: Instant, address: SocketAddr, shard: ShardId) {
        let known = self.young.get(&address).or_else(|| self.old.get(&address));
        if known.is_some_and(|known| known.shard != shard && now < known.last_check + ADDRESS_HOLD) {
            return;
        }
        if self.young.len() >= SESSIONS && !self.young.contains_key(&address) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(address, Owner { shard, last_check: now });
    }

    fn of(&self, address: SocketAddr) -> Option<ShardId> {
        self.young.get(&address).or_else(|| self.old.get(&address)).map(|owner| owner.shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::inbox;

    fn three() -> Vec<Mesh> {
        let bells: Vec<Bell> = (0..3).map(|_| inbox().unwrap().0.bell()).collect();
        mesh(&bells, &Arc::default())
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn mine(parcel: &Parcel) -> Option<u16> {
        match parcel {
            Parcel::Mine(address) => Some(address.port()),
            _ => None,
        }
    }

    #[test]
    fn parcels_arrive_at_their_shard_in_order_and_what_matters_first() {
        let mut all = three();
        for port in 1..=3 {
            assert!(all[0].send(ShardId(2), Parcel::Mine(at(port))).is_ok());
        }
        assert!(all[1].send(ShardId(2), Parcel::Mine(at(4))).is_ok());
        let over = || Across::Over { broadcast: media::id::BroadcastId(1), reason: media::message::EndReason::Stopped };
        assert!(all[0].send(ShardId(2), Parcel::Across(over())).is_ok());
        let first = all[2].receive();
        assert!(matches!(first, Some((ShardId(0), Parcel::Across(Across::Over { .. })))));
        let rest: Vec<_> = std::iter::from_fn(|| all[2].receive()).map(|(from, one)| (from.0, mine(&one))).collect();
        assert_eq!(rest, [(0, Some(1)), (0, Some(2)), (0, Some(3)), (1, Some(4))]);
        assert!(all[0].receive().is_none() && all[1].receive().is_none());
        assert!(all[0].send(ShardId(0), Parcel::Mine(at(1))).is_err(), "nobody writes to himself");
    }

    #[test]
    fn a_full_way_gives_back_and_leaves_room_for_what_matters() {
        let mut all = three();
        for _ in 0..PARCELS {
            assert!(all[0].send(ShardId(1), Parcel::Mine(at(1))).is_ok());
        }
        let back = all[0].send(ShardId(1), Parcel::Mine(at(9)));
        assert_eq!(back.err().as_ref().and_then(mine), Some(9));
        assert_eq!(all[0].figures().full, 1);
        let left = Across::Left { broadcast: media::id::BroadcastId(1) };
        assert!(all[0].send(ShardId(1), Parcel::Across(left)).is_ok());
        assert!(all[0].send(ShardId(2), Parcel::Mine(at(9))).is_ok(), "each pair of shards has a way of its own");
        drop(all.remove(1));
        assert!(all[0].send(ShardId(1), Parcel::Mine(at(1))).is_err(), "a shard that has ended takes nothing");
    }

    #[test]
    fn an_address_stays_with_who_checks_from_it() {
        let (mut relays, now) = (Relays::default(), Instant::now());
        relays.learn(now, at(1), ShardId(1));
        relays.learn(now, at(1), ShardId(2));
        assert_eq!(relays.of(at(1)), Some(ShardId(1)));
        relays.learn(now + ADDRESS_HOLD, at(1), ShardId(2));
        assert_eq!((relays.of(at(1)), relays.of(at(2))), (Some(ShardId(2)), None));
        for n in 0..3 * SESSIONS as u32 {
            let address = SocketAddr::from(([10, 1 + (n >> 16) as u8, (n >> 8) as u8, n as u8], 4000));
            relays.learn(now, address, ShardId(0));
        }
        assert!(relays.young.len() + relays.old.len() <= 2 * SESSIONS);
        assert_eq!(relays.of(at(1)), None);
    }
}
