//! A client peer for tests and load: full ICE (as far as a lite server needs it), a DTLS client, SRTP both ways. It shares no code with the server.
//!
//! Without sockets and clocks: datagrams go in by [`Peer::receive`] and come out of [`Peer::poll`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rtc_dtls::config::{ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto_provider::{self, RTCCryptoProvider};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, is_stun_message};

/// A browser's order: AES-CM before GCM.
pub const BROWSER_PROFILES: [SrtpProtectionProfile; 2] =
    [SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80, SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm];

/// Key and certificate of peers; making one takes longer than a handshake, so many peers may share it.
#[derive(Clone)]
pub struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    config: Arc<HandshakeConfig>,
    /// Value of `a=fingerprint`.
    pub fingerprint: String,
}

impl Identity {
    /// `profiles` in the order of the ClientHello; empty: no use_srtp.
    pub fn new(profiles: &[SrtpProtectionProfile]) -> Self {
        let provider = crypto_provider::default_provider().expect("a crypto provider");
        let certificate =
            rtc_dtls::crypto::Certificate::generate_self_signed(vec!["peer".to_owned()], provider.crypto())
                .expect("a certificate");
        let hash = ring::digest::digest(&ring::digest::SHA256, &certificate.certificate[0]);
        let hex: Vec<String> = hash.as_ref().iter().map(|b| format!("{b:02X}")).collect();
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider.clone())
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(profiles.to_vec())
            .with_insecure_skip_verify(true)
            .with_server_name("peer".to_owned())
            .build(true, None)
            .expect("a client configuration");
        Self { provider, config: Arc::new(config), fingerprint: format!("sha-256 {}", hex.join(":")) }
    }
}

/// What a datagram told the peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    StunSuccess,
    StunError(u16),
    /// DTLS done.
    Connected(SrtpProtectionProfile),
    Rtp(Vec<u8>),
    Rtcp(Vec<u8>),
    /// close_notify.
    Closed,
    /// DTLS went on, or failed.
    Handshake,
    /// Did not decrypt.
    Undecryptable,
}

pub struct Peer {
    pub identity: Identity,
    pub ufrag: String,
    pub password: String,
    /// The server's, from its answer.
    pub remote_ufrag: String,
    pub remote_password: String,
    endpoint: Endpoint,
    outbox: VecDeque<Vec<u8>>,
    srtp: Option<(Context, Context)>,
    transactions: u64,
}

/// The server as the endpoint knows it; the real address is the caller's business.
fn server() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 2))
}

impl Peer {
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            ufrag: "peer".into(),
            password: "peerpasswordpeerpassword".into(),
            remote_ufrag: String::new(),
            remote_password: String::new(),
            endpoint: Endpoint::new(SocketAddr::from(([127, 0, 0, 1], 3)), TransportProtocol::UDP, None),
            outbox: VecDeque::new(),
            srtp: None,
            transactions: 0,
        }
    }

    /// A minimal offer with VP8, H.264, VP9, AV1, Opus and repair; `direction` is `sendonly` (publish) or `recvonly` (watch).
    pub fn offer(&self, direction: &str) -> String {
        let transport = format!(
            "c=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:actpass\r\na={direction}\r\n",
            self.ufrag, self.password, self.identity.fingerprint
        );
        let twcc = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
        let mut sdp = String::from("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n");
        sdp += "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n";
        sdp += &transport;
        sdp += "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
        sdp += &format!(
            "a=extmap:3 {twcc}\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
        );
        if direction == "sendonly" {
            sdp += "a=ssrc:1001 cname:peer\r\n";
        }
        sdp += "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 98 99 104 105\r\na=mid:1\r\n";
        sdp += &transport;
        sdp += &format!("a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:3 {twcc}\r\n");
        let id = if direction == "sendonly" { 7 } else { 8 };
        sdp += &format!("a=extmap:{id} http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time\r\n");
        let id = if direction == "sendonly" { 9 } else { 10 };
        sdp += &format!("a=extmap:{id} urn:3gpp:video-orientation\r\n");
        sdp += "a=extmap:11 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n";
        for (pt, rtx, name) in [(96, 97, "VP8"), (102, 103, "H264"), (98, 99, "VP9"), (104, 105, "AV1")] {
            sdp += &format!("a=rtpmap:{pt} {name}/90000\r\na=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={pt}\r\n");
            for feedback in ["transport-cc", "ccm fir", "nack", "nack pli"] {
                sdp += &format!("a=rtcp-fb:{pt} {feedback}\r\n");
            }
        }
        sdp += "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";
        if direction == "sendonly" {
            sdp += "a=ssrc-group:FID 2001 2002\r\na=ssrc:2001 cname:peer\r\na=ssrc:2002 cname:peer\r\n";
        }
        sdp
    }

    /// Reads the credentials of an answer.
    pub fn answered(&mut self, answer: &str) {
        let value = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned());
        self.remote_ufrag = value("a=ice-ufrag:").expect("a ufrag");
        self.remote_password = value("a=ice-pwd:").expect("a password");
    }

    /// A connectivity check.
    pub fn check(&mut self, nominate: bool) -> Vec<u8> {
        let controlling = (ATTR_ICE_CONTROLLING, vec![0, 0, 0, 0, 0, 0, 0, 7]);
        let mut attributes = vec![controlling];
        if nominate {
            attributes.push((ATTR_USE_CANDIDATE, Vec::new()));
        }
        self.check_with(&attributes)
    }

    /// A check with these attributes besides user name and priority.
    pub fn check_with(&mut self, attributes: &[(rtc_stun::attributes::AttrType, Vec<u8>)]) -> Vec<u8> {
        let mut message = Message::new();
        message.typ = BINDING_REQUEST;
        self.transactions += 1;
        message.transaction_id.0[4..].copy_from_slice(&self.transactions.to_be_bytes());
        message.write_header();
        message.add(ATTR_USERNAME, format!("{}:{}", self.remote_ufrag, self.ufrag).as_bytes());
        message.add(ATTR_PRIORITY, &[0x7e, 0, 0, 1]);
        for (kind, value) in attributes {
            message.add(*kind, value);
        }
        let key = self.remote_password.as_bytes();
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(key, self.identity.provider.crypto());
        integrity.add_to(&mut message).expect("integrity");
        FINGERPRINT.add_to(&mut message).expect("fingerprint");
        message.raw
    }

    /// Queues the ClientHello.
    pub fn start_dtls(&mut self, now: Instant) {
        self.endpoint.connect(now, server(), self.identity.config.clone(), None).expect("a client may connect");
        self.collect();
    }

    /// The next datagram to send.
    pub fn poll(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// Repeats lost flights of the handshake.
    pub fn tick(&mut self, now: Instant) {
        let _ = self.endpoint.handle_timeout(server(), now);
        self.collect();
    }

    pub fn is_connected(&self) -> bool {
        self.srtp.is_some()
    }

    pub fn receive(&mut self, now: Instant, data: &[u8]) -> Heard {
        match data.first() {
            Some(0..=3) if is_stun_message(data) => self.stun(data),
            Some(20..=63) => self.dtls(now, data),
            _ => self.media(data),
        }
    }

    fn stun(&mut self, data: &[u8]) -> Heard {
        let mut message = Message::new();
        message.unmarshal_binary(data).expect("a STUN response");
        FINGERPRINT.check(&message).expect("a fingerprint");
        MessageIntegrity::check(&mut message, self.remote_password.as_bytes(), self.identity.provider.crypto())
            .expect("an authenticated response");
        if message.typ == BINDING_SUCCESS {
            return Heard::StunSuccess;
        }
        let code = message.get(rtc_stun::attributes::ATTR_ERROR_CODE).expect("an error code");
        Heard::StunError(u16::from(code[2]) * 100 + u16::from(code[3]))
    }

    fn dtls(&mut self, now: Instant, data: &[u8]) -> Heard {
        let events = self.endpoint.read(now, server(), None, data.into()).unwrap_or_default();
        self.collect();
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => return self.connected(),
                EndpointEvent::PeerClosed => return Heard::Closed,
                _ => {}
            }
        }
        Heard::Handshake
    }

    fn connected(&mut self) -> Heard {
        let state = self.endpoint.get_connection_state(server()).expect("a connection");
        let (profile, salt) = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => (ProtectionProfile::AeadAes128Gcm, 12),
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => (ProtectionProfile::Aes128CmHmacSha1_80, 14),
            _ => return Heard::Handshake,
        };
        let material = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], 2 * (16 + salt)).expect("keys");
        let bytes = material.as_ref();
        let context = |key: usize, salt_at: usize| {
            let (key, salt) = (&bytes[key..key + 16], &bytes[salt_at..salt_at + salt]);
            Context::new(key, salt, profile, None, None, self.identity.provider.crypto()).expect("a context")
        };
        let heard = Heard::Connected(state.srtp_protection_profile());
        self.srtp = Some((context(0, 32), context(16, 32 + salt)));
        heard
    }

    fn media(&mut self, data: &[u8]) -> Heard {
        // It overtook the end of the handshake: browsers drop it too.
        let Some((_, inbound)) = &mut self.srtp else { return Heard::Handshake };
        let is_rtcp = data.get(1).is_some_and(|kind| (192..=223).contains(kind));
        let clear = if is_rtcp { inbound.decrypt_rtcp(data) } else { inbound.decrypt_rtp(data) };
        match clear {
            Ok(clear) if is_rtcp => Heard::Rtcp(clear.to_vec()),
            Ok(clear) => Heard::Rtp(clear.to_vec()),
            Err(_) => Heard::Undecryptable,
        }
    }

    /// Encrypts an RTP packet.
    pub fn seal_rtp(&mut self, packet: &[u8]) -> Vec<u8> {
        self.try_seal_rtp(packet).expect("an RTP packet of a connected peer")
    }

    /// Encrypts a compound RTCP packet.
    pub fn seal_rtcp(&mut self, compound: &[u8]) -> Vec<u8> {
        self.try_seal_rtcp(compound).expect("an RTCP packet of a connected peer")
    }

    /// `None` for what SRTP does not take for a packet.
    pub fn try_seal_rtp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        Some(self.srtp.as_mut()?.0.encrypt_rtp(packet).ok()?.to_vec())
    }

    /// `None` for what SRTCP does not take for a packet.
    pub fn try_seal_rtcp(&mut self, compound: &[u8]) -> Option<Vec<u8>> {
        Some(self.srtp.as_mut()?.0.encrypt_rtcp(compound).ok()?.to_vec())
    }

    /// Queues close_notify.
    pub fn close(&mut self, now: Instant) {
        let _ = self.endpoint.close(now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.outbox.push_back(transmit.message.to_vec());
        }
    }
}
