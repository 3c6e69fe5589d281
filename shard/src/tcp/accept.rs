//! Accepts ICE-TCP connections and hands each on when its first check has come.
//!
//! On a thread of its own, so that floods of connections cost the media threads nothing. Whether the check is
//! authentic is decided where the session is; here it only has to look like one, in time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use media::framing::{Frames, LONGEST};
use media::limit::{TCP_FIRST_CHECK, TCP_WAITING, TCP_WAITING_PER_ADDRESS};
use media::stun_user;
use rustix::event::{Timespec, epoll};

const LISTENER: u64 = 0;
const STOP: u64 = 1;
const FIRST: u64 = 2;
/// Connections accepted between two looks at those that wait.
const ACCEPTED_AT_ONCE: usize = 64;
/// After the system refused to accept (out of descriptors): what waits stays in the kernel's queue.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection whose first check has come.
pub struct Handed {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    /// What was read so far: a whole frame, and perhaps more.
    pub bytes: Vec<u8>,
}

impl Handed {
    /// Whom the first check names.
    pub fn user(&mut self) -> Option<String> {
        let mut frames = Frames::of(&mut self.bytes);
        frames.next_packet().and_then(|packet| stun_user(packet)).map(str::to_owned)
    }
}

/// Connections that were closed before they were anybody's. Counters since start.
#[derive(Debug, Default)]
pub struct Refusals {
    /// No check in [`TCP_FIRST_CHECK`], or pushed out by newer ones.
    pub late: AtomicU64,
    /// What came first was no check.
    pub malformed: AtomicU64,
    /// The shard could not take it.
    pub refused: AtomicU64,
}

/// The thread ends when this is dropped.
pub struct Acceptor {
    _stop: UnixStream,
}

impl Acceptor {
    /// `hand_over` gives back false when the connection was not taken.
    ///
    /// # Errors
    /// When the system has no more descriptors or threads.
    pub fn start(
        listener: TcpListener,
        figures: Arc<Refusals>,
        hand_over: impl Fn(Handed) -> bool + Send + 'static,
    ) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        let (_stop, stopped) = UnixStream::pair()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        epoll::add(&epoll, &stopped, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        let queue = Queue { epoll, waiting: VecDeque::new(), next: FIRST, figures, hand_over };
        let run = move || {
            if let Err(error) = queue.run(&listener, &stopped) {
                tracing::error!(%error, "ICE-TCP connections are no longer accepted");
            }
        };
        std::thread::Builder::new().name("oxbow-tcp".into()).spawn(run)?;
        Ok(Acceptor { _stop })
    }
}

struct Queue<F> {
    epoll: OwnedFd,
    /// Oldest first.
    waiting: VecDeque<Newcomer>,
    next: u64,
    figures: Arc<Refusals>,
    hand_over: F,
}

struct Newcomer {
    number: u64,
    stream: TcpStream,
    peer: SocketAddr,
    bytes: Vec<u8>,
    until: Instant,
}

/// What became of a look at a newcomer.
enum Look {
    Waits,
    Handed,
    Gone,
    Malformed,
}

impl<F: Fn(Handed) -> bool> Queue<F> {
    fn run(mut self, listener: &TcpListener, _stopped: &UnixStream) -> io::Result<()> {
        let mut events = Vec::with_capacity(TCP_WAITING);
        loop {
            let patience = self.waiting.front().map(|oldest| oldest.until.saturating_duration_since(Instant::now()));
            // The kernel counts whole milliseconds: one more, so that it does not wake just before.
            let patience = patience
                .map(|rest| rest + Duration::from_millis(1))
                .map(|rest| Timespec { tv_sec: rest.as_secs() as _, tv_nsec: rest.subsec_nanos() as _ });
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), patience.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let data = event.data;
                match data.u64() {
                    LISTENER => self.accept(listener),
                    STOP => return Ok(()),
                    number => self.look(number),
                }
            }
            self.expire();
        }
    }

    fn accept(&mut self, listener: &TcpListener) {
        for _ in 0..ACCEPTED_AT_ONCE {
            match listener.accept() {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The peer went before it was accepted.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    tracing::warn!(%error, "an ICE-TCP connection could not be accepted");
                    std::thread::sleep(PAUSE);
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr) {
        let number = self.next;
        self.next += 1;
        let data = epoll::EventData::new_u64(number);
        let watched = stream
            .set_nonblocking(true)
            .and_then(|()| Ok(epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?));
        if watched.is_err() {
            count(&self.figures.refused);
            return;
        }
        // Whoever means it sends its check at once: the oldest is the likeliest to mean nothing. An address pushes out its own first.
        let mut own = self.waiting.iter().enumerate().filter(|(_, other)| source(other.peer) == source(peer));
        let crowding = own.clone().count() >= TCP_WAITING_PER_ADDRESS;
        let oldest = if crowding { own.next().map(|(at, _)| at) } else { Some(0) };
        if crowding || self.waiting.len() >= TCP_WAITING {
            // counted first: whoever notices its end finds it counted
            count(&self.figures.late);
            oldest.map(|at| self.waiting.remove(at));
        }
        let until = Instant::now() + TCP_FIRST_CHECK;
        self.waiting.push_back(Newcomer { number, stream, peer, bytes: Vec::new(), until });
    }

    fn look(&mut self, number: u64) {
        // Numbers rise along the queue.
        let Ok(at) = self.waiting.binary_search_by_key(&number, |newcomer| newcomer.number) else { return };
        let look = self.waiting[at].read();
        if matches!(look, Look::Waits) {
            return;
        }
        let Some(newcomer) = self.waiting.remove(at) else { return };
        match look {
            Look::Handed => self.pass_on(newcomer),
            Look::Malformed => count(&self.figures.malformed),
            Look::Waits | Look::Gone => {}
        }
    }

    fn pass_on(&self, newcomer: Newcomer) {
        let Newcomer { stream, peer, bytes, .. } = newcomer;
        // The shard watches it with an instance of its own.
        let taken = epoll::delete(&self.epoll, &stream).is_ok() && (self.hand_over)(Handed { stream, peer, bytes });
        if !taken {
            count(&self.figures.refused);
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|oldest| oldest.until <= now) {
            count(&self.figures.late);
            self.waiting.pop_front();
        }
    }
}

/// Who counts as one: an IPv4 address, or what one customer is given of IPv6.
fn source(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

impl Newcomer {
    fn read(&mut self) -> Look {
        let mut buffer = [0; LONGEST];
        let room = LONGEST - self.bytes.len();
        match self.stream.read(&mut buffer[..room]) {
            Ok(0) => return Look::Gone,
            Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Look::Waits,
            Err(_) => return Look::Gone,
        }
        let mut frames = Frames::of(&mut self.bytes);
        match frames.next_packet().map(|packet| stun_user(packet).is_some()) {
            Some(true) => Look::Handed,
            Some(false) => Look::Malformed,
            None if frames.rest().is_none() => Look::Malformed,
            None => Look::Waits,
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_pushes_out_its_own_oldest_and_nobody_else() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let figures = Arc::new(Refusals::default());
        let _acceptor = Acceptor::start(listener, figures.clone(), |_| true).unwrap();
        let connect = |address: &str| TcpStream::connect((address, port)).unwrap();
        let other = connect("::1");
        let mut own: VecDeque<_> = (0..TCP_WAITING_PER_ADDRESS).map(|_| connect("127.0.0.1")).collect();
        for pushed_out in 1..=3 {
            own.push_back(connect("127.0.0.1"));
            let mut oldest = own.pop_front().unwrap();
            assert_eq!(oldest.read(&mut [0]).unwrap(), 0, "the oldest is closed");
            assert_eq!(figures.late.load(Ordering::Relaxed), pushed_out);
        }
        for mut open in own.into_iter().chain([other]) {
            open.set_nonblocking(true).unwrap();
            assert_eq!(open.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "it still waits");
        }
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("[::ffff:192.0.2.1]:5"), of("192.0.2.1:6"));
        assert_ne!(of("[::ffff:192.0.2.1]:5"), of("[::ffff:192.0.2.2]:5"));
        assert_eq!(of("[2001:db8:0:1::1]:5"), of("[2001:db8:0:1:ffff::2]:6"));
        assert_ne!(of("[2001:db8:0:1::1]:5"), of("[2001:db8:0:2::1]:5"));
    }
}
