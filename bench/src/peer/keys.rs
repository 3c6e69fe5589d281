//! Who a peer is (DTLS certificate) and what the handshake gives it (SRTP keys).

use std::sync::Arc;

use bytes::BytesMut;
use ring::digest;
use rtc_dtls::config::{ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::crypto_provider::{self, RTCCrypto, RTCCryptoProvider};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile as DtlsProfile;
use rtc_dtls::state::State;
use rtc_srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

const REPLAY_WINDOW: usize = 1024;

/// The SRTP profiles that a ClientHello lists, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// AES-CM first, then AES-GCM: Chromium's order. A server that follows the client's order pays for it.
    LikeChromium,
    OnlyAesCm,
}

/// A certificate and the DTLS settings made of it, shared by the peers of a run.
pub struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    client: Arc<HandshakeConfig>,
    fingerprint: String,
}

impl Identity {
    /// # Panics
    /// When the crypto library cannot make a P-256 key: nothing can be measured then.
    pub fn generate(offered: Offered) -> Arc<Identity> {
        let provider = crypto_provider::default_provider().expect("a crypto provider is built in");
        let certificate = Certificate::generate_self_signed(vec!["bench".to_owned()], provider.crypto())
            .expect("a self-signed certificate");
        let fingerprint = fingerprint(&certificate.certificate[0]);
        let profiles = match offered {
            Offered::LikeChromium => {
                vec![DtlsProfile::Srtp_Aes128_Cm_Hmac_Sha1_80, DtlsProfile::Srtp_Aead_Aes_128_Gcm]
            }
            Offered::OnlyAesCm => vec![DtlsProfile::Srtp_Aes128_Cm_Hmac_Sha1_80],
        };
        let client = ConfigBuilder::default()
            .with_crypto_provider(provider.clone())
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(profiles)
            // The server is known by the fingerprint in its answer, which `keys` compares.
            .with_insecure_skip_verify(true)
            .build(true, None)
            .expect("valid DTLS client settings");
        Arc::new(Identity { provider, client: Arc::new(client), fingerprint })
    }

    /// Value of `a=fingerprint`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn client(&self) -> Arc<HandshakeConfig> {
        self.client.clone()
    }

    pub(super) fn crypto(&self) -> &dyn RTCCrypto {
        self.provider.crypto()
    }

    /// Checks the server's certificate and derives the SRTP keys.
    pub(super) fn keys(&self, state: &State, expected: &str) -> Result<Keys, &'static str> {
        let shown = state.peer_certificates.first().map(|der| fingerprint(der));
        if shown.is_none_or(|shown| !shown.eq_ignore_ascii_case(expected)) {
            return Err("the certificate is not the one of the answer");
        }
        let profile = match state.srtp_protection_profile() {
            DtlsProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            DtlsProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            _ => return Err("an SRTP profile that was not offered"),
        };
        let mut config = Config { profile, ..Config::default() };
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())
            .map_err(|_| "no keying material")?;
        config
            .set_session_keys_from_keying_material(material.as_ref(), true)
            .map_err(|_| "keying material of the wrong length")?;
        let keys = &config.keys;
        let local = Context::new(&keys.local_master_key, &keys.local_master_salt, profile, None, None, self.crypto());
        let remote = Context::new(
            &keys.remote_master_key,
            &keys.remote_master_salt,
            profile,
            Some(srtp_replay_protection(REPLAY_WINDOW)),
            Some(srtcp_replay_protection(REPLAY_WINDOW)),
            self.crypto(),
        );
        match (local, remote) {
            (Ok(local), Ok(remote)) => Ok(Keys { local, remote, profile }),
            _ => Err("SRTP keys that do not work"),
        }
    }
}

/// SRTP in both directions.
pub struct Keys {
    local: Context,
    remote: Context,
    profile: ProtectionProfile,
}

impl Keys {
    pub fn profile(&self) -> &'static str {
        match self.profile {
            ProtectionProfile::AeadAes128Gcm => "AEAD_AES_128_GCM",
            _ => "AES128_CM_SHA1_80",
        }
    }

    pub(super) fn seal_rtp(&mut self, packet: &[u8]) -> BytesMut {
        self.local.encrypt_rtp(packet).expect("our own packets are well formed")
    }

    pub(super) fn seal_rtcp(&mut self, packet: &[u8]) -> BytesMut {
        self.local.encrypt_rtcp(packet).expect("our own packets are well formed")
    }

    pub(super) fn open_rtp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.remote.decrypt_rtp(packet).ok()
    }

    pub(super) fn open_rtcp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.remote.decrypt_rtcp(packet).ok()
    }
}

/// `sha-256` and the hash in upper-case hex with colons (RFC 8122 §5).
fn fingerprint(der: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, der);
    let hex: Vec<String> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    format!("sha-256 {}", hex.join(":"))
}
