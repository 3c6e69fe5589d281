//! The ICE-TCP connections of one shard (RFC 6544): framed packets in and out, never waiting.
//!
//! A connection comes from `accept.rs` with its first check in hand and lives as long as a session has its path. What a
//! packet means does not belong here.

mod accept;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use media::limit::{TCP_CONNECTIONS, TCP_SEND_BUFFER};
use media::{framing, path};
use rustix::event::{Timespec, epoll};

pub use accept::{Acceptor, Handed, Refusals};
pub use media::framing::{Frames, LONGEST};

/// Connections looked at in one turn; the others are ready in the next.
const READY: usize = 64;
/// Bytes read from one connection in one turn.
pub const READ_BYTES: usize = 64 * 1024;

/// Counters since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub adopted: u64,
    pub frames_out: u64,
    /// Frames dropped because the connection had not taken the one before.
    pub congested: u64,
    /// Frames for a connection that is gone.
    pub gone: u64,
    /// Connections closed because what came was no frame.
    pub malformed: u64,
    /// Connections closed because [`TCP_CONNECTIONS`] was reached.
    pub full: u64,
    /// Connections whose first check was of no session.
    pub strangers: u64,
}

#[derive(Default)]
pub struct Connections {
    /// Made with the first connection: most shards never have one.
    epoll: Option<OwnedFd>,
    open: HashMap<u32, Connection>,
    last: u32,
    out: Vec<u8>,
    figures: Figures,
}

struct Connection {
    stream: TcpStream,
    path: SocketAddr,
    /// Beginning of a frame that has not come whole.
    inbound: Vec<u8>,
    /// Rest of a frame that the kernel took in part: nothing else may go before it.
    outbound: Vec<u8>,
}

impl Connections {
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Readable when [`Connections::ready`] has something to say.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.epoll.as_ref().filter(|_| !self.open.is_empty()).map(AsFd::as_fd)
    }

    /// Takes a connection in and returns its number and path. `None` when there are too many, or when the system refuses: it is closed then.
    pub fn adopt(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<(u32, SocketAddr)> {
        // Numbers are used once: a path of an earlier connection must never lead to a later one.
        let Some(number) = self.last.checked_add(1).filter(|_| self.open.len() < TCP_CONNECTIONS) else {
            self.figures.full += 1;
            return None;
        };
        self.watch(&stream, number).ok()?;
        self.last = number;
        self.figures.adopted += 1;
        let path = path::tcp(peer, number);
        self.open.insert(number, Connection { stream, path, inbound: Vec::new(), outbound: Vec::new() });
        Some((number, path))
    }

    fn watch(&mut self, stream: &TcpStream, number: u32) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_send_buffer_size(stream, TCP_SEND_BUFFER)?;
        if self.epoll.is_none() {
            self.epoll = Some(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        }
        let Some(epoll) = &self.epoll else { return Ok(()) };
        Ok(epoll::add(epoll, stream, epoll::EventData::new_u64(number.into()), epoll::EventFlags::IN)?)
    }

    /// Connections with something to read, at most [`READY`]. Half-written frames go on here.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn ready(&mut self) -> io::Result<Vec<u32>> {
        let Some(epoll) = self.epoll.as_ref().filter(|_| !self.open.is_empty()) else { return Ok(Vec::new()) };
        let mut events = Vec::with_capacity(READY);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), Some(&now)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut readable = Vec::with_capacity(events.len());
        for event in events {
            let (flags, data) = (event.flags, event.data);
            let number = data.u64() as u32;
            if flags.contains(epoll::EventFlags::OUT) {
                self.resume(number);
            }
            // An error or a hang-up is found by reading.
            if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
                readable.push(number);
            }
        }
        Ok(readable)
    }

    /// Reads what is there into `buffer`, behind what an unfinished frame left; returns the path and the bytes filled. `None`: nothing came, or
    /// the connection ended and is forgotten.
    pub fn read(&mut self, number: u32, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let connection = self.open.get_mut(&number)?;
        let held = connection.inbound.len();
        buffer[..held].copy_from_slice(&connection.inbound);
        match connection.stream.read(&mut buffer[held..]) {
            Ok(0) => self.close(number),
            Ok(count) => {
                connection.inbound.clear();
                return Some((connection.path, held + count));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.close(number),
        }
        None
    }

    /// Keeps the beginning of an unfinished frame; a stream that is not understood any more is closed.
    pub fn keep(&mut self, number: u32, rest: Option<&[u8]>) {
        match (self.open.get_mut(&number), rest) {
            (Some(connection), Some(rest)) => connection.inbound.extend_from_slice(rest),
            (Some(_), None) => {
                self.figures.malformed += 1;
                self.close(number);
            }
            (None, _) => {}
        }
    }

    /// Sends packets of `segment` bytes each, the last may be shorter. What the kernel does not take now is dropped, but for the rest of
    /// a frame that it took in part.
    pub fn send(&mut self, number: u32, packets: &[u8], segment: usize) {
        self.resume(number);
        let count = packets.len().div_ceil(segment) as u64;
        let Some(connection) = self.open.get_mut(&number) else { return self.figures.gone += count };
        if !connection.outbound.is_empty() {
            return self.figures.congested += count;
        }
        self.out.clear();
        packets.chunks(segment).for_each(|packet| framing::write(packet, &mut self.out));
        let sent = match connection.stream.write(&self.out) {
            Ok(sent) => sent,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(_) => {
                self.figures.gone += count;
                return self.close(number);
            }
        };
        let taken = framing::taken(&self.out, sent);
        self.figures.frames_out += taken.frames as u64;
        self.figures.congested += count - taken.frames as u64;
        if taken.end > sent {
            connection.outbound.extend_from_slice(&self.out[sent..taken.end]);
            self.interest(number);
        }
    }

    /// Goes on with a half-written frame.
    fn resume(&mut self, number: u32) {
        let Some(connection) = self.open.get_mut(&number).filter(|connection| !connection.outbound.is_empty()) else {
            return;
        };
        match connection.stream.write(&connection.outbound) {
            Ok(sent) => {
                connection.outbound.drain(..sent);
                if connection.outbound.is_empty() {
                    self.interest(number);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.close(number),
        }
    }

    /// To be woken for writing only while a frame is half written.
    fn interest(&mut self, number: u32) {
        let (Some(epoll), Some(connection)) = (&self.epoll, self.open.get(&number)) else { return };
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, !connection.outbound.is_empty());
        let data = epoll::EventData::new_u64(number.into());
        // Without it the frame could stay half written for ever.
        if epoll::modify(epoll, &connection.stream, data, flags).is_err() {
            self.close(number);
        }
    }

    /// Closes a connection whose first check was of no session.
    pub fn turn_away(&mut self, number: u32) {
        self.figures.strangers += 1;
        self.close(number);
    }

    /// Closes those whose path no session has any more.
    pub fn retain(&mut self, is_used: impl Fn(SocketAddr) -> bool) {
        let unused = |connection: &Connection| !is_used(connection.path);
        let closed: Vec<u32> = self.open.iter().filter(|(_, c)| unused(c)).map(|(number, _)| *number).collect();
        closed.into_iter().for_each(|number| self.close(number));
    }

    /// Closes all.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    fn close(&mut self, number: u32) {
        // The kernel forgets the interest with the last descriptor.
        self.open.remove(&number);
    }
}

#[cfg(test)]
mod tests;
