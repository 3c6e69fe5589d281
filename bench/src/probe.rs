//! A peer whose datagrams carry the kernel's time of arrival, so that a figure does not contain how late this program read them.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Instant;

use media::arena::SendArena;
use nix::sys::socket::sockopt::{RcvBuf, ReceiveTimestampns};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;

use crate::peer::{Heard, Peer};

/// Longer than any datagram of a path.
const DATAGRAM: usize = 2048;
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A peer on a socket of its own.
pub struct Probe {
    pub peer: Peer,
    udp: UdpSocket,
}

/// The buffers of the thread.
pub struct Gear {
    buffer: Box<[u8]>,
    control: Box<[u8]>,
    arena: SendArena,
}

impl Default for Gear {
    fn default() -> Self {
        Gear { buffer: vec![0; DATAGRAM].into(), control: nix::cmsg_space!(TimeSpec).into(), arena: SendArena::new() }
    }
}

struct Arrived {
    from: SocketAddr,
    len: usize,
    utc_ns: u64,
}

impl Probe {
    /// # Errors
    /// When there is no free UDP port on the loopback address, or the kernel does not stamp.
    pub fn new(peer: Peer) -> io::Result<Probe> {
        let udp = UdpSocket::bind(("127.0.0.1", 0))?;
        udp.set_nonblocking(true)?;
        setsockopt(&udp, ReceiveTimestampns, &true)?;
        // The kernel grants at most `net.core.rmem_max`.
        setsockopt(&udp, RcvBuf, &BUFFER_BYTES)?;
        Ok(Probe { peer, udp })
    }

    /// As [`crate::wire::Wire::pump`]; `hear` also gets the moment of arrival in nanoseconds UTC.
    ///
    /// # Errors
    /// When the socket cannot be read or written.
    pub fn pump(&mut self, now: Instant, gear: &mut Gear, mut hear: impl FnMut(Heard, u64)) -> io::Result<()> {
        while let Some(Arrived { from, len, utc_ns }) = self.receive(gear)? {
            hear(self.peer.receive(now, from, &gear.buffer[..len], &mut gear.arena), utc_ns);
            self.flush(gear)?;
        }
        self.peer.tick(now, &mut gear.arena);
        self.flush(gear)
    }

    /// Lets the peer write datagrams and sends them.
    ///
    /// # Errors
    /// When the socket cannot be written.
    pub fn send(&mut self, gear: &mut Gear, write: impl FnOnce(&mut Peer, &mut SendArena)) -> io::Result<()> {
        write(&mut self.peer, &mut gear.arena);
        self.flush(gear)
    }

    fn receive(&self, gear: &mut Gear) -> io::Result<Option<Arrived>> {
        let mut slices = [IoSliceMut::new(&mut gear.buffer)];
        let control = Some(&mut *gear.control);
        let message = match recvmsg::<SockaddrIn>(self.udp.as_raw_fd(), &mut slices, control, MsgFlags::MSG_DONTWAIT) {
            Ok(message) => message,
            Err(nix::Error::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let from = message.address.map(SocketAddrV4::from).map(SocketAddr::from);
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(at) => Some(at.tv_sec() as u64 * 1_000_000_000 + at.tv_nsec() as u64),
            _ => None,
        });
        match (from, stamp) {
            (Some(from), Some(utc_ns)) => Ok(Some(Arrived { from, len: message.bytes, utc_ns })),
            _ => Err(io::Error::other("a datagram without a source or a time")),
        }
    }

    fn flush(&self, gear: &mut Gear) -> io::Result<()> {
        for (to, datagram) in gear.arena.datagrams() {
            self.udp.send_to(datagram, to)?;
        }
        gear.arena.clear();
        Ok(())
    }
}
