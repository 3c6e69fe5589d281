//! A WHIP server of a few lines with a receiving peer of the `webrtc` crate behind it.
#![allow(dead_code, reason = "each test uses its part")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rtc::interceptor::{Interceptor, NackGeneratorBuilder, Packet, StreamInfo, TaggedPacket};
use rtc::peer_connection::configuration::interceptor_registry::Slot;
use rtc::rtcp::sender_report::SenderReport;
use rtc::sansio::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCSessionDescription, Registry, SettingEngineBuilder,
};

pub const KEY: &str = "a-key-for-tests";
pub const A_WHILE: Duration = Duration::from_secs(30);

/// One packet as it arrived, and which track it is of.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub video: bool,
    pub packet: rtc::rtp::Packet,
}

#[derive(Clone, Default)]
pub struct Received {
    pub packets: Arc<Mutex<Vec<Arrived>>>,
    pub reports: Arc<Mutex<Vec<SenderReport>>>,
    /// Every n-th video packet does not arrive the first time; 0: all do.
    pub lose_every: usize,
}

pub struct Server {
    pub address: SocketAddr,
    pub received: Received,
    /// Request lines, in order.
    pub requests: Arc<Mutex<Vec<String>>>,
    pub offers: Arc<Mutex<Vec<String>>>,
    /// Status for the next offers; 201 answers them.
    pub status: watch::Sender<u16>,
    peers: Peers,
    task: tokio::task::JoinHandle<()>,
}

type Peers = Arc<Mutex<Vec<(Arc<dyn PeerConnection>, Tracks)>>>;
type Tracks = Arc<Mutex<Vec<Arc<dyn TrackRemote>>>>;

impl Server {
    pub async fn start(received: Received) -> Server {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), received).await
    }

    pub async fn start_at(address: SocketAddr, received: Received) -> Server {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (status, statuses) = watch::channel(201);
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let offers = Arc::<Mutex<Vec<String>>>::default();
        let peers = Peers::default();
        let task = tokio::spawn({
            let (requests, offers, peers, received) =
                (Arc::clone(&requests), Arc::clone(&offers), Arc::clone(&peers), received.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let status = *statuses.borrow();
                    if let Some((line, offer, stream)) = request(stream).await {
                        requests.lock().unwrap().push(line.clone());
                        if line.starts_with("DELETE") {
                            respond(stream, 200, "", "").await;
                        } else if status == 201 {
                            offers.lock().unwrap().push(offer.clone());
                            let (peer, tracks, answer) = answer(offer, received.clone()).await;
                            peers.lock().unwrap().push((peer, tracks));
                            respond(stream, 201, "Location: /whip/main/session-1\r\n", &answer).await;
                        } else {
                            respond(stream, status, "", r#"{"detail":"not today"}"#).await;
                        }
                    }
                }
            }
        });
        Server { address, received, requests, offers, status, peers, task }
    }

    pub fn url(&self) -> url::Url {
        format!("http://{}/whip/main", self.address).parse().unwrap()
    }

    pub fn tracks(&self) -> Vec<Arc<dyn TrackRemote>> {
        self.peers.lock().unwrap().iter().flat_map(|(_, tracks)| tracks.lock().unwrap().clone()).collect()
    }

    /// Gone without a word to anyone but the peer's DTLS.
    pub async fn vanish(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        let peers = std::mem::take(&mut *self.peers.lock().unwrap());
        for (peer, _) in peers {
            peer.close().await.unwrap();
        }
        self.address
    }

    /// Waits until `reached` says yes to the packets so far.
    pub async fn until(&self, what: &str, reached: impl Fn(&[Arrived]) -> bool) {
        let waiting = async {
            while !reached(&self.received.packets.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(A_WHILE, waiting).await.is_ok(), "never: {what}");
    }
}

async fn request(mut stream: TcpStream) -> Option<(String, String, TcpStream)> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.ok()?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                head.lines()
                    .find_map(|line| line.to_lowercase().strip_prefix(name).map(|value| value.trim().to_owned()))
            };
            let length = header("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                assert_eq!(header("authorization:").as_deref(), Some(&*format!("bearer {KEY}")));
                return Some((head.lines().next()?.to_owned(), body.to_owned(), stream));
            }
        }
        if read == 0 {
            return None;
        }
    }
}

async fn respond(mut stream: TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _ = stream.write_all(text.as_bytes()).await;
}

struct Handler {
    gathered: watch::Sender<bool>,
    tracks: Tracks,
    received: Received,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.send_replace(state == RTCIceGatheringState::Complete);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.tracks.lock().unwrap().push(Arc::clone(&track));
        let received = self.received.clone();
        tokio::spawn(async move {
            let video = track.kind().await == rtc::rtp_transceiver::rtp_sender::RtpCodecKind::Video;
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    received.packets.lock().unwrap().push(Arrived { video, packet });
                }
            }
        });
    }
}

async fn answer(offer: String, received: Received) -> (Arc<dyn PeerConnection>, Tracks, String) {
    let (gathered, mut is_gathered) = watch::channel(false);
    let tracks = Tracks::default();
    let handler = Handler { gathered, tracks: Arc::clone(&tracks), received: received.clone() };
    let mut engine = MediaEngine::default();
    engine.register_default_codecs().unwrap();
    let registry = Registry::new()
        .with(Slot::from(500), Wire { received, seen: 0, inbound: Default::default(), outbound: Default::default() })
        .with(Slot::NackGenerator, NackGeneratorBuilder::new().build());
    let settings = SettingEngineBuilder::new().with_include_loopback_candidate(true).build();
    let peer = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .with_handler(Arc::new(handler))
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build()
        .await
        .unwrap();
    peer.set_remote_description(RTCSessionDescription::offer(offer).unwrap()).await.unwrap();
    let answer = peer.create_answer(None).await.unwrap();
    peer.set_local_description(answer).await.unwrap();
    is_gathered.wait_for(|done| *done).await.unwrap();
    let sdp = peer.local_description().await.unwrap().sdp;
    (Arc::new(peer), tracks, sdp)
}

/// Next to the wire: loses packets, and keeps the sender reports that nobody else would show.
struct Wire {
    received: Received,
    seen: usize,
    inbound: std::collections::VecDeque<TaggedPacket>,
    outbound: std::collections::VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Wire {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = std::time::Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        match &packet.message.packet {
            Packet::Rtp(rtp) if self.received.lose_every > 0 && matches!(rtp.header.payload_type, 96 | 102) => {
                self.seen += 1;
                if self.seen.is_multiple_of(self.received.lose_every) {
                    return Ok(());
                }
            }
            Packet::Rtcp(packets) => {
                let reports = packets.iter().filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>());
                self.received.reports.lock().unwrap().extend(reports.cloned());
            }
            _ => {}
        }
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        self.outbound.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }
}

impl Interceptor for Wire {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
