//! One UDP socket read and written in batches: `recvmmsg`, `sendmmsg` with UDP GSO, `ppoll`.
//!
//! The only `unsafe` of the workspace is here. What the datagrams mean does not belong here; neither do retries: a send
//! that the kernel refuses is a counted drop.

#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use media::arena::Run;
use media::limit::DATAGRAM_BYTES;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::sources::Sources;

/// Datagrams of one `recvmmsg`, messages of one `sendmmsg`.
pub const BATCH: usize = 64;
/// Asked of the kernel for each direction; it grants at most `net.core.{r,w}mem_max`. 4 MB hold 30 ms at 1 Gbit/s.
const BUFFER_BYTES: libc::c_int = 4 * 1024 * 1024;
/// Bytes of one receive slot: larger than any datagram we take, so that a longer one shows as truncated.
const SLOT: usize = DATAGRAM_BYTES + 36;
/// Bytes of a slot that takes a run of datagrams as one message. Not a power of two, or the beginnings of all slots would share a few lines of the cache.
const RUN_SLOT: usize = 64 * 1024 + 320;

/// A bound, non-blocking UDP socket.
pub struct Socket {
    udp: UdpSocket,
    local: SocketAddr,
    gso: bool,
    /// Bound to the wildcard address: the kernel tells where a datagram came in, and is told where one goes out.
    any: bool,
    /// See [`Socket::take_runs`].
    runs: bool,
}

impl Socket {
    /// A plain bind: without `SO_REUSEPORT`, so that a port that any process holds is refused.
    pub fn bind(address: SocketAddr) -> io::Result<Socket> {
        Self::of(UdpSocket::bind(address)?)
    }

    /// Several sockets of one address, among which the kernel divides peers by their addresses: a peer's datagrams come to the same one as long
    /// as the set stays (`SO_REUSEPORT`). Any process of this user could join the set, so a plain bind must be refused first where the port is held.
    pub fn bind_several(address: SocketAddr, count: usize) -> io::Result<Vec<Socket>> {
        let probe = Self::bind(address)?;
        let address = probe.local;
        drop(probe);
        (0..count).map(|_| Self::of(bind_shared(address)?)).collect()
    }

    fn of(udp: UdpSocket) -> io::Result<Socket> {
        udp.set_nonblocking(true)?;
        let local = udp.local_addr()?;
        // A smaller buffer or a missing option costs figures, not correctness: what the kernel refuses is left at its default.
        let _ = set_option(&udp, libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER_BYTES);
        let _ = set_option(&udp, libc::SOL_SOCKET, libc::SO_SNDBUF, BUFFER_BYTES);
        // Datagrams never exceed what crosses every path unfragmented; PROBE spares the kernel the choice of an IP id per packet.
        let _ = match local {
            SocketAddr::V4(_) => {
                set_option(&udp, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE as libc::c_int)
            }
            SocketAddr::V6(_) => {
                set_option(&udp, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE as libc::c_int)
            }
        };
        let any = local.ip().is_unspecified();
        if any {
            match local {
                SocketAddr::V4(_) => set_option(&udp, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
                SocketAddr::V6(_) => set_option(&udp, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
            }
        }
        // 0 is the default and means "no segmentation unless a message asks": only a kernel without GSO refuses it.
        let gso = set_option(&udp, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        Ok(Socket { udp, local, gso, any, runs: false })
    }

    /// From now on equal datagrams of one peer that came together may be read as one message (UDP GRO), by a [`Receiver::of_runs`]. A kernel without
    /// it goes on as before.
    pub fn take_runs(&mut self) {
        self.runs = set_option(&self.udp, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// False where the kernel has no UDP GSO, and after the first run that it refused.
    pub fn gso(&self) -> bool {
        self.gso
    }

    /// Sleeps until a datagram is there or `streams` is readable (unless `arrivals` is false), until `waker` is readable or until `timeout` has
    /// passed; true if it was not the last. A signal may end the sleep early.
    pub fn wait(
        &self,
        waker: &impl AsFd,
        streams: Option<BorrowedFd<'_>>,
        arrivals: bool,
        timeout: Option<Duration>,
    ) -> io::Result<bool> {
        let of = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // poll leaves negative descriptors out.
        let streams = streams.map_or(-1, |streams| streams.as_raw_fd());
        let mut fds = [of(waker.as_fd().as_raw_fd()), of(self.udp.as_raw_fd()), of(streams)];
        // Without interest the sockets are left out: poll reports POLLERR even where nothing was asked for.
        let watched = if arrivals { 3 } else { 1 };
        let limit = timeout.map(|t| libc::timespec {
            tv_sec: t.as_secs().min(3600) as libc::time_t,
            tv_nsec: libc::c_long::from(t.subsec_nanos() as i32),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `fds` holds at least `watched` entries and outlives the call; `limit` is null or points to a timespec that lives
        // in the shadowed variable until the end of this function; a null signal mask means "unchanged".
        let ready = unsafe { libc::ppoll(fds.as_mut_ptr(), watched, limit, std::ptr::null()) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(ready > 0)
    }
}

fn bind_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    Ok(UdpSocket::from(socket))
}

fn set_option(socket: &UdpSocket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the value is a c_int that outlives the call and
    // its true size is given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket address as the kernel writes it: one memory, three readings.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    storage: libc::sockaddr_storage,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Name {
    const fn empty() -> Name {
        // SAFETY: a sockaddr_storage is plain integers; all zero is a valid value (family AF_UNSPEC).
        Name { storage: unsafe { zeroed() } }
    }

    /// Writes `to` as a socket of `local`'s family wants it (an IPv6 socket reaches IPv4 by mapped addresses); returns its length.
    fn set(&mut self, to: SocketAddr, local: SocketAddr) -> libc::socklen_t {
        let to = match (to, local) {
            (SocketAddr::V4(v4), SocketAddr::V6(_)) => {
                SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
            }
            _ => to,
        };
        match to {
            SocketAddr::V4(v4) => {
                self.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(v6) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }

    /// `None` for an address that is no IP address. Mapped IPv4 comes back as IPv4.
    fn get(&self) -> Option<SocketAddr> {
        // SAFETY: `Name` starts zeroed and is only ever overwritten by `set` or by the kernel, so all bytes are initialised;
        // every reading consists of integers, for which any bits are valid. The family says which one was meant.
        unsafe {
            match libc::c_int::from(self.storage.ss_family) {
                libc::AF_INET => {
                    let ip = self.v4.sin_addr.s_addr.to_ne_bytes();
                    Some(SocketAddr::V4(SocketAddrV4::new(ip.into(), u16::from_be(self.v4.sin_port))))
                }
                libc::AF_INET6 => {
                    let ip = Ipv6Addr::from(self.v6.sin6_addr.s6_addr);
                    let port = u16::from_be(self.v6.sin6_port);
                    Some(match IpAddr::V6(ip).to_canonical() {
                        IpAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(v4, port)),
                        IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, self.v6.sin6_scope_id)),
                    })
                }
                _ => None,
            }
        }
    }
}

mod control;
use control::Control;

const NO_IOVEC: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

fn no_header() -> libc::mmsghdr {
    // SAFETY: an mmsghdr is integers and raw pointers; zero and null are valid values and mean "no name, no data, no control".
    unsafe { zeroed() }
}

/// The receive side's buffers. Made once per thread.
pub struct Receiver {
    bytes: Box<[u8]>,
    names: Box<[Name; BATCH]>,
    iovecs: Box<[libc::iovec; BATCH]>,
    controls: Box<[Control; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
    slot: usize,
    /// Headers from the first on that the kernel may have changed.
    used: usize,
    /// The headers ask for ancillary data.
    controlled: bool,
    filled: usize,
}

/// One slot of a batch.
pub enum Arrival<'a> {
    Datagram {
        from: SocketAddr,
        /// The address of this machine that it was sent to; known on a socket of the wildcard address.
        local: Option<IpAddr>,
        data: &'a mut [u8],
    },
    /// Longer than [`DATAGRAM_BYTES`], empty, or from a source that nobody can answer.
    Unusable,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    pub fn new() -> Self {
        Self::with_slots(SLOT)
    }

    /// For sockets that take runs, see [`Socket::take_runs`].
    pub fn of_runs() -> Self {
        Self::with_slots(RUN_SLOT)
    }

    fn with_slots(slot: usize) -> Self {
        Receiver {
            bytes: vec![0; slot * BATCH].into_boxed_slice(),
            names: Box::new([Name::empty(); BATCH]),
            iovecs: Box::new([NO_IOVEC; BATCH]),
            controls: Box::new([Control::empty(); BATCH]),
            headers: Box::new([no_header(); BATCH]),
            slot,
            used: BATCH,
            controlled: false,
            filled: 0,
        }
    }

    /// Reads what is there, at most [`BATCH`] messages; returns how many. 0 when the socket is empty.
    pub fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        let controlled = socket.any || socket.runs;
        if controlled != self.controlled {
            (self.controlled, self.used) = (controlled, BATCH);
        }
        self.filled = 0;
        for (at, slot) in self.bytes.chunks_exact_mut(self.slot).enumerate().take(self.used) {
            self.iovecs[at] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: self.slot };
            let header = &mut self.headers[at];
            header.msg_len = 0;
            header.msg_hdr.msg_name = (&raw mut self.names[at]).cast();
            header.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
            header.msg_hdr.msg_iov = &raw mut self.iovecs[at];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = (&raw mut self.controls[at]).cast();
            header.msg_hdr.msg_controllen = if controlled { size_of::<Control>() } else { 0 };
            header.msg_hdr.msg_flags = 0;
        }
        loop {
            // SAFETY: the descriptor is open while `socket` is borrowed. All BATCH headers point at name, iovec, control and byte slot of their own, each
            // with its true size: those that an earlier call may have changed were written just now, and all were before the first
            // call (`used` starts at BATCH). They live in boxes of `self`, which never move and are borrowed mutably here, so
            // nothing else reads them during the call. The timeout may be null.
            let got = unsafe {
                libc::recvmmsg(
                    socket.udp.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            };
            if got >= 0 {
                self.filled = (got as usize).min(BATCH);
                self.used = (self.filled + 1).min(BATCH);
                return Ok(self.filled);
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(0),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        }
    }

    /// The datagrams of the last [`Receiver::receive`], in the order of arrival.
    pub fn arrivals(&mut self) -> impl Iterator<Item = Arrival<'_>> {
        let slots = self.bytes.chunks_exact_mut(self.slot).zip(self.headers.iter());
        slots.zip(self.names.iter()).zip(self.controls.iter()).take(self.filled).flat_map(
            |(((slot, header), name), control)| {
                let (len, told) = ((header.msg_len as usize).min(slot.len()), header.msg_hdr.msg_controllen);
                let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0 && len > 0;
                // An answer to port 0 is an error of the kernel's.
                let from = name.get().filter(|from| from.port() != 0 && whole);
                let (local, segment) = (control.local(told), control.segment(told).unwrap_or(len));
                // What is empty or cut off is one arrival, too.
                slot[..len.max(1)].chunks_mut(segment.max(1)).map(move |data| match from {
                    Some(from) if data.len() <= DATAGRAM_BYTES => Arrival::Datagram { from, local, data },
                    _ => Arrival::Unusable,
                })
            },
        )
    }
}

/// What became of the datagrams given to [`Sender::send`]. Counters since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendFigures {
    pub datagrams: u64,
    pub bytes: u64,
    /// Messages given to the kernel; a GSO run is one.
    pub messages: u64,
    /// Datagrams dropped because the socket's buffer was full (`EAGAIN`, `ENOBUFS`).
    pub would_block: u64,
    /// Datagrams that the kernel refused for another reason (no route, a firewall, too long).
    pub failed: u64,
    /// Times that a socket gave up GSO.
    pub gso_fallbacks: u64,
}

/// The send side's buffers and counters. Made once per thread.
pub struct Sender {
    names: Box<[Name; BATCH]>,
    iovecs: Box<[libc::iovec; BATCH]>,
    controls: Box<[Control; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
    /// Per prepared message: the run it is of, its offset there, its bytes, its datagrams.
    messages: Vec<Message>,
    sources: Sources,
    figures: SendFigures,
}

#[derive(Clone, Copy)]
struct Message {
    run: usize,
    offset: usize,
    len: usize,
    datagrams: u64,
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    pub fn new() -> Self {
        Sender {
            names: Box::new([Name::empty(); BATCH]),
            iovecs: Box::new([NO_IOVEC; BATCH]),
            controls: Box::new([Control::empty(); BATCH]),
            headers: Box::new([no_header(); BATCH]),
            messages: Vec::with_capacity(BATCH),
            sources: Sources::default(),
            figures: SendFigures::default(),
        }
    }

    pub fn figures(&self) -> SendFigures {
        self.figures
    }

    /// Answers `peer` from `local`, the address that its datagram came to. Only checks need to be told.
    pub fn learn(&mut self, peer: SocketAddr, local: IpAddr) {
        self.sources.learn(peer, local);
    }

    /// Sends all `runs`, whose bytes lie in `bytes`, each from the address that its receiver checks (see [`Sender::learn`]).
    /// Never waits: what the kernel does not take is dropped and counted.
    pub fn send(&mut self, socket: &mut Socket, runs: &[Run], bytes: &[u8]) {
        let (mut run, mut offset) = (0, 0);
        while run < runs.len() {
            self.prepare(socket, runs, bytes, run, offset);
            let Some(&first) = self.messages.first() else { return };
            match self.call(socket) {
                Ok(sent) => {
                    for message in &self.messages[..sent] {
                        self.figures.datagrams += message.datagrams;
                        self.figures.bytes += message.len as u64;
                    }
                    self.figures.messages += sent as u64;
                    let last = self.messages[sent - 1];
                    (run, offset) = after(last, runs);
                }
                Err(error) => {
                    match error.raw_os_error() {
                        Some(libc::EINTR) => continue,
                        Some(libc::EAGAIN | libc::ENOBUFS) => self.figures.would_block += first.datagrams,
                        // A device without checksum offload refuses GSO with EIO, a segment beyond its MTU gives EINVAL. Both may be
                        // about this one destination, so the socket gives GSO up only when the same bytes go out without.
                        Some(libc::EIO | libc::EINVAL) if first.datagrams > 1 => {
                            socket.gso = false;
                            let before = self.figures.datagrams;
                            let at = runs[first.run];
                            let start = at.start + first.offset;
                            self.send_plain(socket, at, &bytes[start..start + first.len]);
                            if self.figures.datagrams > before {
                                self.figures.gso_fallbacks += 1;
                            } else {
                                socket.gso = true;
                            }
                        }
                        _ => self.figures.failed += first.datagrams,
                    }
                    (run, offset) = after(first, runs);
                }
            }
        }
    }

    /// Sends datagrams of `run` one by one.
    fn send_plain(&mut self, socket: &Socket, run: Run, bytes: &[u8]) {
        for datagram in bytes.chunks(run.segment) {
            self.messages.clear();
            self.push(socket, run.to, datagram, None);
            self.messages.push(Message { run: 0, offset: 0, len: datagram.len(), datagrams: 1 });
            match self.call(socket) {
                Ok(_) => {
                    self.figures.datagrams += 1;
                    self.figures.bytes += datagram.len() as u64;
                    self.figures.messages += 1;
                }
                Err(_) => self.figures.failed += 1,
            }
        }
    }

    /// Fills the headers with up to [`BATCH`] messages from `offset` of run `run` on: a message per run with GSO, else one per datagram.
    fn prepare(&mut self, socket: &Socket, runs: &[Run], bytes: &[u8], mut run: usize, mut offset: usize) {
        self.messages.clear();
        while run < runs.len() && self.messages.len() < BATCH {
            let at = runs[run];
            let rest = at.len - offset;
            let len = if socket.gso { rest } else { rest.min(at.segment) };
            let datagrams = len.div_ceil(at.segment);
            let data = &bytes[at.start + offset..at.start + offset + len];
            self.push(socket, at.to, data, (datagrams > 1).then_some(at.segment as u16));
            let message = Message { run, offset, len, datagrams: datagrams as u64 };
            self.messages.push(message);
            (run, offset) = after(message, runs);
        }
    }

    /// Writes the header at the place of the next message. The pointer into `data` is only followed by [`Sender::call`].
    fn push(&mut self, socket: &Socket, to: SocketAddr, data: &[u8], segment: Option<u16>) {
        let at = self.messages.len();
        self.iovecs[at] = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        let header = &mut self.headers[at].msg_hdr;
        header.msg_namelen = self.names[at].set(to, socket.local);
        header.msg_name = (&raw mut self.names[at]).cast();
        header.msg_iov = &raw mut self.iovecs[at];
        header.msg_iovlen = 1;
        let from = if socket.any { self.sources.of(to) } else { None };
        header.msg_controllen = self.controls[at].write(socket.local, from, segment);
        header.msg_control = (&raw mut self.controls[at]).cast();
    }

    /// One `sendmmsg` of the prepared messages: how many were taken (at least one), or why not even the first.
    fn call(&mut self, socket: &Socket) -> io::Result<usize> {
        // SAFETY: the first `messages.len()` headers were written by `push` in this very turn of `send` or `send_plain`: each points
        // at a name, an iovec and a control block of its own in boxes of `self` (borrowed mutably here), and its iovec at bytes
        // that the caller of `send` keeps borrowed; the kernel only reads those. Sizes given are the true ones.
        let sent = unsafe {
            libc::sendmmsg(
                socket.udp.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.messages.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        if sent > 0 { Ok((sent as usize).min(self.messages.len())) } else { Err(io::Error::last_os_error()) }
    }
}

/// Where the message after `message` starts.
fn after(message: Message, runs: &[Run]) -> (usize, usize) {
    let end = message.offset + message.len;
    if end < runs[message.run].len { (message.run, end) } else { (message.run + 1, 0) }
}

#[cfg(test)]
mod tests;
