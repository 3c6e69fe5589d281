//! The relay's sockets and its clock: one socket that peers send to, one towards the server for each of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::link::{Conditions, Figures, Link};

/// Peers at a time. More: their datagrams are dropped and counted.
const FLOWS: usize = 512;
/// Datagrams on their way. More: dropped and counted.
const ON_THE_WAY: usize = 65_536;
/// Datagrams that were read from the server and wait for the loop.
const FROM_SERVER: usize = 4096;
const DATAGRAM_BYTES: usize = 2048;
/// Changes that wait for the loop.
const CHANGES: usize = 8;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where peers send to; this address is to be announced (PEER_HOST=address:port).
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The server's media address.
    #[arg(long)]
    to: SocketAddr,
    /// Every random decision comes from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Percent of datagrams lost, each way.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Milliseconds of delay, each way.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// Milliseconds that are added at random at most, each way.
    #[arg(long, default_value_t = 0)]
    jitter: u64,
    /// Percent of datagrams that others overtake.
    #[arg(long, default_value_t = 0.0)]
    reorder: f64,
    /// Percent of datagrams that arrive twice.
    #[arg(long, default_value_t = 0.0)]
    duplicate: f64,
    /// Kilobits per second to the server; 0: no limit.
    #[arg(long, default_value_t = 0)]
    up: u64,
    /// Kilobits per second from the server; 0: no limit.
    #[arg(long, default_value_t = 0)]
    down: u64,
}

/// A limit that changes while the relay runs, as a line of standard input says: `down 300`, in kilobits per second; 0: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    upwards: bool,
    kilobits: u64,
}

impl FromStr for Change {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let (direction, kilobits) = line.trim().split_once(' ').unwrap_or((line, ""));
        let upwards = match direction {
            "up" => true,
            "down" => false,
            other => bail!("a change begins with up or down, not with {other:?}"),
        };
        let kilobits = kilobits.trim().parse().with_context(|| format!("{kilobits:?} is no number of kilobits"))?;
        Ok(Self { upwards, kilobits })
    }
}

fn rate(kilobits: u64) -> Option<u64> {
    (kilobits > 0).then_some(kilobits * 1000)
}

impl Options {
    fn conditions(&self, kilobits: u64) -> Conditions {
        Conditions {
            loss: self.loss / 100.0,
            delay: Duration::from_millis(self.delay),
            jitter: Duration::from_millis(self.jitter),
            reorder: self.reorder / 100.0,
            duplicate: self.duplicate / 100.0,
            rate: rate(kilobits),
        }
    }
}

/// The line that is printed at the end.
#[derive(Debug, Serialize)]
pub struct Report {
    case: &'static str,
    seed: u64,
    flows: usize,
    refused: u64,
    up: Figures,
    down: Figures,
}

/// The line that is printed once the relay listens.
#[derive(Debug, Serialize)]
struct Ready {
    case: &'static str,
    listening: SocketAddr,
}

struct Flow {
    peer: SocketAddr,
    server: Arc<UdpSocket>,
    up: Link,
    down: Link,
}

/// A datagram on its way: when it is due, a number that keeps the order of equals, its flow, whether it goes to the server, its bytes.
type Flight = Reverse<(Instant, u64, usize, bool, Vec<u8>)>;

/// A flow and what the server sent to it.
type FromServer = (usize, Vec<u8>);

/// A bound relay that carries nothing yet.
pub struct Relay {
    options: Options,
    front: UdpSocket,
    by_peer: HashMap<SocketAddr, usize>,
    flows: Vec<Flow>,
    flights: BinaryHeap<Flight>,
    sent: u64,
    refused: u64,
    heard: (mpsc::Sender<FromServer>, mpsc::Receiver<FromServer>),
    changes: (mpsc::Sender<Change>, mpsc::Receiver<Change>),
}

/// Prints where it listens, then relays until standard input ends. Its lines are [`Change`]s.
///
/// # Errors
/// When a socket fails.
pub async fn run(options: Options) -> Result<Report> {
    let mut relay = Relay::bind(options).await?;
    let ready = Ready { case: "relay", listening: relay.address()? };
    println!("{}", serde_json::to_string(&ready)?);
    let changes = relay.changes();
    let end = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match line.parse() {
                // The loop that takes them ends after this one.
                Ok(change) => drop(changes.send(change).await),
                Err(error) => eprintln!("{error:#}"),
            }
        }
    };
    relay.carry_until(end).await?;
    Ok(relay.report())
}

impl Relay {
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(options: Options) -> Result<Self> {
        let front = UdpSocket::bind(options.listen).await.with_context(|| format!("cannot bind {}", options.listen))?;
        Ok(Self {
            options,
            front,
            by_peer: HashMap::new(),
            flows: Vec::new(),
            flights: BinaryHeap::new(),
            sent: 0,
            refused: 0,
            heard: mpsc::channel(FROM_SERVER),
            changes: mpsc::channel(CHANGES),
        })
    }

    /// # Errors
    /// When the socket has none.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.front.local_addr()
    }

    /// Where limits are changed while it carries.
    #[must_use]
    pub fn changes(&self) -> mpsc::Sender<Change> {
        self.changes.0.clone()
    }

    fn change(&mut self, Change { upwards, kilobits }: Change) {
        let limit = if upwards { &mut self.options.up } else { &mut self.options.down };
        *limit = kilobits;
        for flow in &mut self.flows {
            let link = if upwards { &mut flow.up } else { &mut flow.down };
            link.set_rate(rate(kilobits));
        }
    }

    /// # Errors
    /// When a socket fails.
    pub async fn carry_until(&mut self, end: impl Future<Output = ()>) -> Result<()> {
        tokio::pin!(end);
        let mut buffer = vec![0; DATAGRAM_BYTES];
        loop {
            let due = self.flights.peek().map(|Reverse((at, ..))| *at);
            let wake = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut end => return Ok(()),
                () = wake => {}
                read = self.front.recv_from(&mut buffer) => {
                    let (len, peer) = read.context("cannot read from peers")?;
                    if let Some(flow) = self.flow_of(peer).await? {
                        self.take_off(flow, true, &buffer[..len]);
                    }
                }
                Some(change) = self.changes.1.recv() => self.change(change),
                Some((flow, data)) = self.heard.1.recv() => self.take_off(flow, false, &data),
            }
            self.land().await;
        }
    }

    async fn flow_of(&mut self, peer: SocketAddr) -> Result<Option<usize>> {
        if let Some(flow) = self.by_peer.get(&peer) {
            return Ok(Some(*flow));
        }
        if self.flows.len() == FLOWS {
            self.refused += 1;
            return Ok(None);
        }
        let any = if self.options.to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let server = Arc::new(UdpSocket::bind(any).await.context("cannot open a socket towards the server")?);
        server.connect(self.options.to).await.with_context(|| format!("cannot reach {}", self.options.to))?;
        let at = self.flows.len();
        tokio::spawn(listen(server.clone(), at, self.heard.0.clone()));
        let link = |kilobits, number| Link::new(self.options.conditions(kilobits), self.options.seed, number);
        let (up, down) = (link(self.options.up, 2 * at as u64), link(self.options.down, 2 * at as u64 + 1));
        self.flows.push(Flow { peer, server, up, down });
        self.by_peer.insert(peer, at);
        Ok(Some(at))
    }

    fn take_off(&mut self, at: usize, upwards: bool, data: &[u8]) {
        let flow = &mut self.flows[at];
        let link = if upwards { &mut flow.up } else { &mut flow.down };
        for due in link.carry(Instant::now(), data.len()).into_iter().flatten() {
            if self.flights.len() == ON_THE_WAY {
                self.refused += 1;
                continue;
            }
            self.sent += 1;
            self.flights.push(Reverse((due, self.sent, at, upwards, data.to_vec())));
        }
    }

    /// Delivers what is due. A peer or server that is gone is what a network without a listener looks like.
    async fn land(&mut self) {
        let now = Instant::now();
        while self.flights.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, _, at, upwards, data))) = self.flights.pop() else { return };
            let flow = &self.flows[at];
            let _ = if upwards { flow.server.send(&data).await } else { self.front.send_to(&data, flow.peer).await };
        }
    }

    #[must_use]
    pub fn report(&self) -> Report {
        let sum =
            |figures: fn(&Flow) -> Figures| self.flows.iter().map(figures).fold(Figures::default(), Figures::plus);
        Report {
            case: "relay",
            seed: self.options.seed,
            flows: self.flows.len(),
            refused: self.refused,
            up: sum(|flow| flow.up.figures),
            down: sum(|flow| flow.down.figures),
        }
    }
}

/// Reads what the server sends to one peer, until the relay is gone.
async fn listen(server: Arc<UdpSocket>, flow: usize, heard: mpsc::Sender<FromServer>) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        // An error is the ICMP of a server that is not there at the moment.
        let Ok(len) = server.recv(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if heard.is_closed() {
                return;
            }
            continue;
        };
        if heard.send((flow, buffer[..len].to_vec())).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(to: SocketAddr) -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            to,
            seed: 7,
            loss: 0.0,
            delay: 0,
            jitter: 0,
            reorder: 0.0,
            duplicate: 0.0,
            up: 0,
            down: 0,
        }
    }

    /// Two peers talk to a server that answers what it is told; each gets its own answers and nobody else's.
    #[tokio::test]
    async fn peers_reach_the_server_and_hear_only_their_own_answers() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut relay = Relay::bind(options(server.local_addr().unwrap())).await.unwrap();
        let address = relay.address().unwrap();
        let echo = tokio::spawn(async move {
            let mut buffer = [0; 64];
            loop {
                let (len, from) = server.recv_from(&mut buffer).await.unwrap();
                server.send_to(&buffer[..len], from).await.unwrap();
            }
        });
        let talk = async {
            let (a, b) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let mut buffer = [0; 64];
            for (peer, word) in [(&a, b"from a".as_slice()), (&b, b"from b"), (&a, b"again a")] {
                peer.send_to(word, address).await.unwrap();
                let (len, from) = peer.recv_from(&mut buffer).await.unwrap();
                assert_eq!((&buffer[..len], from), (word, address));
            }
        };
        relay.carry_until(talk).await.unwrap();
        echo.abort();
        let report = relay.report();
        assert_eq!((report.flows, report.up.datagrams, report.down.datagrams), (2, 3, 3));
    }

    #[test]
    fn a_change_is_a_direction_and_a_limit() {
        assert_eq!("down 300".parse::<Change>().unwrap(), Change { upwards: false, kilobits: 300 });
        assert_eq!(" up 0\n".parse::<Change>().unwrap(), Change { upwards: true, kilobits: 0 });
        for line in ["", "down", "sideways 3", "down much", "up -1"] {
            assert!(line.parse::<Change>().is_err(), "{line:?}");
        }
    }

    /// Both of flows that stand and of those to come.
    #[tokio::test]
    async fn a_limit_changes_while_it_carries() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut relay = Relay::bind(options(server.local_addr().unwrap())).await.unwrap();
        let (address, changes) = (relay.address().unwrap(), relay.changes());
        let talk = async {
            let mut buffer = [0; 64];
            for word in [b"one", b"two"] {
                let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                peer.send_to(word, address).await.unwrap();
                server.recv_from(&mut buffer).await.unwrap();
                changes.send("down 300".parse().unwrap()).await.unwrap();
                // Taken by the time that a later word is carried.
                while changes.capacity() < CHANGES {
                    tokio::task::yield_now().await;
                }
                peer.send_to(word, address).await.unwrap();
                server.recv_from(&mut buffer).await.unwrap();
            }
        };
        relay.carry_until(talk).await.unwrap();
        let limits: Vec<_> = relay.flows.iter().map(|flow| (flow.up.rate(), flow.down.rate())).collect();
        assert_eq!(limits, [(None, Some(300_000)); 2]);
    }

    #[tokio::test]
    async fn what_is_lost_does_not_arrive_and_is_counted() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut relay = Relay::bind(Options { loss: 100.0, ..options(server.local_addr().unwrap()) }).await.unwrap();
        let address = relay.address().unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut sent = 0;
        // Turns of the loop and not time: each datagram that was read was counted.
        while relay.report().up.lost < 5 {
            peer.send_to(b"word", address).await.unwrap();
            sent += 1;
            relay.carry_until(tokio::task::yield_now()).await.unwrap();
        }
        assert!(sent >= 5);
        assert_eq!(server.try_recv(&mut [0; 64]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
