//! Moves the datagrams of many peers, each on a socket or a TCP connection of its own, from one thread: no GRO, batched reads.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use media::arena::SendArena;
use shard::socket::{Arrival, Receiver, Sender, Socket};

use crate::framed::Framed;
use crate::peer::{Heard, Peer};

/// A peer with its path to the server.
pub struct Wired {
    pub peer: Peer,
    link: Link,
}

enum Link {
    Udp(Socket),
    Tcp(Framed),
}

impl Wired {
    /// # Errors
    /// When there is no free UDP port on the loopback address.
    pub fn new(peer: Peer) -> io::Result<Wired> {
        Ok(Wired { peer, link: Link::Udp(Socket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?) })
    }

    /// From now on by another socket, as after a change of networks.
    ///
    /// # Errors
    /// When `local` cannot be bound.
    pub fn move_to(&mut self, local: SocketAddr) -> io::Result<()> {
        self.link = Link::Udp(Socket::bind(local)?);
        Ok(())
    }

    /// From now on by a TCP connection to `server`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn move_to_tcp(&mut self, server: SocketAddr) -> io::Result<()> {
        self.link = Link::Tcp(Framed::connect(server)?);
        Ok(())
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
        let Wired { peer, link } = wired;
        match link {
            Link::Udp(socket) => {
                while self.receiver.receive(socket)? > 0 {
                    for arrival in self.receiver.arrivals() {
                        hear(match arrival {
                            Arrival::Datagram { from, data, .. } => peer.receive(now, from, data, &mut self.arena),
                            Arrival::Unusable => Heard::Refused("a datagram that is empty or too long"),
                        });
                    }
                    self.flush(socket);
                }
            }
            Link::Tcp(framed) => {
                for packet in framed.receive()? {
                    hear(peer.receive(now, framed.server(), &packet, &mut self.arena));
                }
            }
        }
        wired.peer.tick(now, &mut self.arena);
        self.send_out(wired)
    }

    /// Lets a peer write datagrams and sends them; equal neighbours leave as one GSO burst.
    pub fn send(&mut self, wired: &mut Wired, write: impl FnOnce(&mut Peer, &mut SendArena)) {
        write(&mut wired.peer, &mut self.arena);
        // A connection that broke is told by the next pump.
        let _ = self.send_out(wired);
    }

    fn send_out(&mut self, wired: &mut Wired) -> io::Result<()> {
        match &mut wired.link {
            Link::Udp(socket) => self.flush(socket),
            Link::Tcp(framed) => framed.send(&mut self.arena)?,
        }
        Ok(())
    }

    fn flush(&mut self, socket: &mut Socket) {
        if !self.arena.is_empty() {
            self.sender.send(socket, self.arena.runs(), self.arena.bytes());
            self.arena.clear();
        }
    }
}
