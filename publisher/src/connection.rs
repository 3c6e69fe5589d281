//! One connection: offer, answer, tracks; and whether it still stands.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use media::message::Codec;
use pipeline::source::{Encoded, KeyframeHandle, Kind, TestPattern};
use rtc::interceptor::NackResponderBuilder;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::Slot;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_AV1, MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8, MIME_TYPE_VP9,
};
use rtc::peer_connection::transport::RTCDtlsTransportState;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpRtxParameters, RtpCodecKind,
};
use tokio::sync::watch;
use tokio::time::timeout;
use url::Url;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::transport::DtlsTransport;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit, RtpSender};

use crate::keyframes::{self, KeyframeRequests};
use crate::stream::{self, Start, Stream};
use crate::whip::{OfferError, Whip};
use crate::{PublishError, PublisherConfig};

const GATHER: Duration = Duration::from_secs(5);
/// ICE and DTLS together.
const CONNECT: Duration = Duration::from_secs(15);
/// Without an answer from the server for so long the connection is lost.
const SILENCE: Duration = Duration::from_secs(3);
const GIVE_UP: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(1);
/// Between looks at the state of DTLS, which tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(250);
/// Packets kept for retransmission; a power of two. Two seconds of 10 Mbit/s.
const RESENDABLE: u16 = 2048;

pub(crate) struct Connection {
    peer: Arc<dyn PeerConnection>,
    state: watch::Receiver<RTCPeerConnectionState>,
    dtls: Arc<dyn DtlsTransport>,
    session: Option<Url>,
    picture: Stream,
    sound: Option<Stream>,
}

#[derive(Clone)]
struct Handler {
    gathered: watch::Sender<bool>,
    state: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        tracing::debug!(%state, "connection");
        self.state.send_replace(state);
    }
}

impl Connection {
    /// Offers, waits for the answer and until media can flow.
    pub(crate) async fn open(
        whip: &Whip,
        config: &PublisherConfig,
        keyframes: KeyframeHandle,
    ) -> Result<Connection, OfferError> {
        let (gathered, mut is_gathered) = watch::channel(false);
        let (changed, state) = watch::channel(RTCPeerConnectionState::New);
        let handler = Handler { gathered, state: changed };
        let peer = build(whip.url(), &config.pattern, keyframes, handler).await.map_err(broken)?;
        match Self::negotiate(&peer, whip, config, &mut is_gathered, state).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                let _ = peer.close().await;
                Err(error)
            }
        }
    }

    async fn negotiate(
        peer: &Arc<dyn PeerConnection>,
        whip: &Whip,
        config: &PublisherConfig,
        is_gathered: &mut watch::Receiver<bool>,
        mut state: watch::Receiver<RTCPeerConnectionState>,
    ) -> Result<Connection, OfferError> {
        let picture = add(peer, config.pattern.codec).await.map_err(broken)?;
        let sound = match config.pattern.sound {
            true => Some(add(peer, Codec::Opus).await.map_err(broken)?),
            false => None,
        };
        let offer = peer.create_offer(None).await.map_err(broken)?;
        peer.set_local_description(offer).await.map_err(broken)?;
        if !matches!(timeout(GATHER, is_gathered.wait_for(|done| *done)).await, Ok(Ok(_))) {
            return Err(OfferError::Later("no local address was found".into()));
        }
        let offer = peer.local_description().await.ok_or_else(|| broken("no offer"))?;
        let answer = whip.offer(offer.sdp).await?;
        let session = answer.session.clone();
        let opened = async {
            let unusable =
                |error: webrtc::error::Error| OfferError::Later(format!("the answer is not usable: {error}"));
            let answer = RTCSessionDescription::answer(answer.sdp).map_err(unusable)?;
            peer.set_remote_description(answer).await.map_err(unusable)?;
            let connected = state.wait_for(|state| *state == RTCPeerConnectionState::Connected);
            if !matches!(timeout(CONNECT, connected).await, Ok(Ok(_))) {
                return Err(OfferError::Later("the server answered, but media did not connect".into()));
            }
            let dtls = picture.sender.transport().await.map_err(broken)?.ok_or_else(|| broken("no transport"))?;
            let sound = match sound {
                Some(sound) => Some(sound.into_stream(config.wrap_after).await?),
                None => None,
            };
            Ok((dtls, picture.into_stream(config.wrap_after).await?, sound))
        };
        match opened.await {
            Ok((dtls, picture, sound)) => {
                Ok(Connection { peer: Arc::clone(peer), state, dtls, session, picture, sound })
            }
            Err(error) => {
                if let Some(session) = &session {
                    whip.delete(session).await;
                }
                Err(error)
            }
        }
    }

    /// Sends one unit that stands for the wall clock `at`.
    pub(crate) async fn send(&mut self, unit: &Encoded, at: std::time::SystemTime) -> Result<(), String> {
        match (unit.kind, &mut self.sound) {
            (Kind::Picture, _) => self.picture.send(unit, at).await,
            (Kind::Sound, Some(sound)) => sound.send(unit, at).await,
            (Kind::Sound, None) => Ok(()),
        }
    }

    /// Returns when the connection is lost, and why.
    pub(crate) async fn lost(&self) -> String {
        let mut state = self.state.clone();
        let gone = |state: &RTCPeerConnectionState| {
            matches!(state, RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed)
        };
        tokio::select! {
            state = state.wait_for(gone) => state.map_or_else(|_| "the connection ended".into(), |state| state.to_string()),
            () = self.ended_by_server() => "the server ended the session".into(),
        }
    }

    /// The server's close_notify leaves the connection's own state as it is (W3C WebRTC §4.3.3), so DTLS is asked.
    async fn ended_by_server(&self) {
        while !matches!(self.dtls.state().await, Ok(RTCDtlsTransportState::Closed)) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the session at the server and then the connection.
    pub(crate) async fn end(self, whip: &Whip) {
        if let Some(session) = &self.session {
            whip.delete(session).await;
        }
        self.drop_it().await;
    }

    /// Ends the connection only: the server has lost it already.
    pub(crate) async fn drop_it(self) {
        if let Err(error) = self.peer.close().await {
            tracing::debug!(%error, "the connection was not closed in order");
        }
    }
}

fn broken(error: impl ToString) -> OfferError {
    OfferError::Never(PublishError::Peer(error.to_string()))
}

async fn build(
    url: &Url,
    pattern: &TestPattern,
    keyframes: KeyframeHandle,
    handler: Handler,
) -> Result<Arc<dyn PeerConnection>, webrtc::error::Error> {
    let mut engine = MediaEngine::default();
    for parameters in parameters(pattern.codec) {
        engine.register_codec(parameters, RtpCodecKind::Video)?;
    }
    if pattern.sound {
        for parameters in parameters(Codec::Opus) {
            engine.register_codec(parameters, RtpCodecKind::Audio)?;
        }
    }
    let registry = Registry::new()
        .with(Slot::NackResponder, NackResponderBuilder::new().with_size(RESENDABLE).build())
        .with(Slot::from(keyframes::SLOT), KeyframeRequests::new(keyframes));
    let settings = SettingEngineBuilder::new()
        .with_ice_timeouts(Some(SILENCE), Some(GIVE_UP), Some(KEEPALIVE))
        .with_include_loopback_candidate(true)
        .build();
    let peer = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .with_handler(Arc::new(handler))
        .with_udp_addrs(local_addresses(url).await)
        .build()
        .await?;
    Ok(Arc::new(peer))
}

/// Addresses to send from: those that lead to the HTTP server, and when they are only loopbacks, the IPv4 loopback and all others
/// too. (A socket on a loopback reaches nothing else, and media may be announced elsewhere.)
async fn local_addresses(url: &Url) -> Vec<SocketAddr> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let (Some(host), port) = (url.host_str(), url.port_or_known_default().unwrap_or(80)) else { return vec![any] };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let Ok(targets) = tokio::net::lookup_host((host, port)).await else { return vec![any] };
    let mut addresses: BTreeSet<SocketAddr> =
        targets.filter_map(source_of).map(|source| SocketAddr::from((source, 0))).collect();
    if addresses.iter().all(|address| address.ip().is_loopback()) {
        addresses.insert(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        // TEST-NET-1 (RFC 5737): nothing is sent, the kernel is only asked whether there is a way out.
        if source_of(SocketAddr::from(([192, 0, 2, 1], 9))).is_some() {
            addresses.insert(any);
        }
    }
    addresses.into_iter().collect()
}

/// The local address from which the kernel would send there.
fn source_of(target: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// What is offered for a codec: itself and, for pictures, its retransmission (RFC 4588).
fn parameters(codec: Codec) -> Vec<RTCRtpCodecParameters> {
    let make = |payload_type, mime: &str, fmtp: &str, feedback: &[(&str, &str)]| RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: mime.into(),
            clock_rate: codec.clock_rate(),
            channels: if codec.is_video() { 0 } else { 2 },
            sdp_fmtp_line: fmtp.into(),
            rtcp_feedback: feedback
                .iter()
                .map(|(typ, parameter)| RTCPFeedback { typ: (*typ).into(), parameter: (*parameter).into() })
                .collect(),
        },
        payload_type,
    };
    const FEEDBACK: &[(&str, &str)] = &[("nack", ""), ("nack", "pli"), ("ccm", "fir")];
    match codec {
        Codec::Vp8 => vec![make(96, MIME_TYPE_VP8, "", FEEDBACK), make(97, MIME_TYPE_RTX, "apt=96", &[])],
        Codec::Vp9 => {
            vec![make(98, MIME_TYPE_VP9, "profile-id=0", FEEDBACK), make(99, MIME_TYPE_RTX, "apt=98", &[])]
        }
        Codec::H264 => {
            let fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
            vec![make(102, MIME_TYPE_H264, fmtp, FEEDBACK), make(103, MIME_TYPE_RTX, "apt=102", &[])]
        }
        Codec::Av1 => {
            let fmtp = "level-idx=5;profile=0;tier=0";
            vec![make(45, MIME_TYPE_AV1, fmtp, FEEDBACK), make(46, MIME_TYPE_RTX, "apt=45", &[])]
        }
        Codec::Opus => vec![make(111, MIME_TYPE_OPUS, "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1", &[])],
    }
}

/// A track that is offered but not yet negotiated.
struct Offered {
    codec: Codec,
    ssrc: u32,
    track: Arc<TrackLocalStaticRTP>,
    sender: Arc<dyn RtpSender>,
}

async fn add(peer: &Arc<dyn PeerConnection>, codec: Codec) -> Result<Offered, webrtc::error::Error> {
    let (kind, name) = if codec.is_video() { (RtpCodecKind::Video, "picture") } else { (RtpCodecKind::Audio, "sound") };
    let ssrc = rand::random();
    let parameters = parameters(codec);
    let coding = RTCRtpCodingParameters {
        ssrc: Some(ssrc),
        rtx: codec.is_video().then(|| RTCRtpRtxParameters { ssrc: rand::random() }),
        ..RTCRtpCodingParameters::default()
    };
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: coding,
        active: true,
        codec: parameters.into_iter().next().map(|first| first.rtp_codec).unwrap_or_default(),
        ..RTCRtpEncodingParameters::default()
    };
    let track = MediaStreamTrack::new(stream::CNAME.into(), name.into(), name.into(), kind, vec![encoding]);
    let track = Arc::new(TrackLocalStaticRTP::new(track));
    let init =
        RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Sendonly, ..RTCRtpTransceiverInit::default() };
    let transceiver = peer.add_transceiver_from_track(Arc::clone(&track) as Arc<dyn TrackLocal>, Some(init)).await?;
    let sender = transceiver.sender().await?.ok_or(webrtc::error::Error::ErrRTPSenderNotExisted)?;
    Ok(Offered { codec, ssrc, track, sender })
}

impl Offered {
    /// With the payload type of the answer.
    async fn into_stream(self, wrap_after: Option<Duration>) -> Result<Stream, OfferError> {
        let parameters = self.sender.get_parameters().await.map_err(broken)?;
        let payload_type =
            parameters.rtp_parameters.codecs.first().map(|codec| codec.payload_type).ok_or_else(|| {
                OfferError::Never(PublishError::Refused {
                    status: 201,
                    detail: format!("the answer takes no {:?}", self.codec),
                })
            })?;
        let start =
            wrap_after.map_or_else(|| Start::random(rand::random()), |after| Start::before_wrap(self.codec, after));
        Ok(Stream::new(self.track, self.codec, self.ssrc, payload_type, start))
    }
}
