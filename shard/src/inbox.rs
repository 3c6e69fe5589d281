//! The way into a shard: a bounded channel of requests and a waker for the thread that sleeps on its socket.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use media::message::{Command, Refusal, Reply};
use tokio::sync::{mpsc, oneshot};

use crate::tcp::Handed;

/// Requests that wait for a shard. More: refused as full.
const REQUESTS: usize = 4096;

pub type ReplySender = oneshot::Sender<Result<Reply, Refusal>>;

pub enum Request {
    Command {
        command: Command,
        reply: ReplySender,
    },
    /// An ICE-TCP connection with its first check.
    Connection(Handed),
    /// End everything, then the thread.
    Shutdown,
    /// As a broken invariant would do.
    #[cfg(test)]
    Panic,
}

/// The handle's end. Its drop wakes the shard too: the channel closes first, then the bell rings.
pub struct Outside {
    requests: mpsc::Sender<Request>,
    bell: Bell,
}

/// Wakes a shard that sleeps on its socket, also when it is dropped.
#[derive(Clone)]
pub struct Bell(Arc<UnixStream>);

impl Bell {
    pub fn ring(&self) {
        // A full pipe rings already; a closed one has nobody to wake.
        let _ = (&*self.0).write(&[1]);
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.ring();
    }
}

/// The shard's end.
pub struct Inbox {
    requests: mpsc::Receiver<Request>,
    bell: UnixStream,
}

/// What [`Inbox::next`] found.
pub enum Next {
    Request(Request),
    Empty,
    /// All handles are gone.
    Abandoned,
}

pub fn inbox() -> io::Result<(Outside, Inbox)> {
    let (ring, bell) = UnixStream::pair()?;
    ring.set_nonblocking(true)?;
    bell.set_nonblocking(true)?;
    let (sender, receiver) = mpsc::channel(REQUESTS);
    Ok((Outside { requests: sender, bell: Bell(Arc::new(ring)) }, Inbox { requests: receiver, bell }))
}

impl Outside {
    /// # Errors
    /// [`Refusal::Full`] when too many requests wait, [`Refusal::ShuttingDown`] when the shard is gone.
    pub async fn command(&self, command: Command) -> Result<Reply, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(Request::Command { command, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Full("too many requests wait for the media plane"),
            mpsc::error::TrySendError::Closed(_) => Refusal::ShuttingDown,
        })?;
        self.bell.ring();
        // Without an answer the shard stopped or failed while it held the request.
        answer.await.unwrap_or(Err(Refusal::ShuttingDown))
    }

    /// False when too many requests wait or the shard is gone: the connection is closed then.
    pub fn hand_over(&self, connection: Handed) -> bool {
        let sent = self.requests.try_send(Request::Connection(connection)).is_ok();
        self.bell.ring();
        sent
    }

    #[cfg(test)]
    pub async fn panic(&self) {
        assert!(self.requests.send(Request::Panic).await.is_ok(), "the shard runs");
        self.bell.ring();
    }

    /// Waits for room; a shard that is already gone needs no shutdown.
    pub async fn shutdown(&self) {
        if self.requests.send(Request::Shutdown).await.is_ok() {
            self.bell.ring();
        }
    }

    /// For whoever else has something for this shard.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }
}

impl Inbox {
    /// Forgets the rings so far. Call it before [`Inbox::next`]: a request sent after it rings again.
    pub fn silence(&self) {
        let mut rings = [0; 256];
        while matches!((&self.bell).read(&mut rings), Ok(n) if n == rings.len()) {}
    }

    pub fn next(&mut self) -> Next {
        match self.requests.try_recv() {
            Ok(request) => Next::Request(request),
            Err(mpsc::error::TryRecvError::Empty) => Next::Empty,
            Err(mpsc::error::TryRecvError::Disconnected) => Next::Abandoned,
        }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
