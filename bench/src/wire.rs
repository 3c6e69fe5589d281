//! Moves the datagrams of many peers, each on a socket of its own, from one thread: no GRO, batched reads.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use media::arena::SendArena;
use shard::socket::{Arrival, Receiver, Sender, Socket};

use crate::peer::{Heard, Peer};

/// A peer with its socket.
pub struct Wired {
    pub peer: Peer,
    socket: Socket,
}

impl Wired {
    /// # Errors
    /// When there is no free UDP port on the loopback address.
    pub fn new(peer: Peer) -> io::Result<Wired> {
        Ok(Wired { peer, socket: Socket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))? })
    }
}

/// The buffers of the thread.
#[derive(Default)]
pub struct Wire {
    receiver: Receiver,
    sender: Sender,
    arena: SendArena,
}

impl Wire {
    /// Reads everything that waits for `wired`, hands what it meant to `hear`, sends its answers and what is due at `now`.
    ///
    /// # Errors
    /// When the socket cannot be read.
    pub fn pump(&mut self, now: Instant, wired: &mut Wired, mut hear: impl FnMut(Heard)) -> io::Result<()> {
        while self.receiver.receive(&wired.socket)? > 0 {
            for arrival in self.receiver.arrivals() {
                hear(match arrival {
                    Arrival::Datagram { from, data, .. } => wired.peer.receive(now, from, data, &mut self.arena),
                    Arrival::Unusable => Heard::Refused("a datagram that is empty or too long"),
                });
            }
            self.flush(wired);
        }
        wired.peer.tick(now, &mut self.arena);
        self.flush(wired);
        Ok(())
    }

    /// Lets a peer write datagrams and sends them; equal neighbours leave as one GSO burst.
    pub fn send(&mut self, wired: &mut Wired, write: impl FnOnce(&mut Peer, &mut SendArena)) {
        write(&mut wired.peer, &mut self.arena);
        self.flush(wired);
    }

    fn flush(&mut self, wired: &mut Wired) {
        if !self.arena.is_empty() {
            self.sender.send(&mut wired.socket, self.arena.runs(), self.arena.bytes());
            self.arena.clear();
        }
    }
}
