//! The certificate of this process and what DTLS derives from it, shared by all sessions.

use std::sync::Arc;

use ring::digest;
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto_provider::{self, RTCCryptoProvider};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use crate::message::SrtpProfile;

/// A self-signed ECDSA P-256 certificate. Cloning is cheap.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

struct Inner {
    provider: Arc<dyn RTCCryptoProvider>,
    gcm: Arc<HandshakeConfig>,
    cm: Arc<HandshakeConfig>,
    fingerprint: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[error("no DTLS certificate: {0}")]
pub struct CertificateError(String);

impl Certificate {
    /// Makes key and certificate, once per process.
    ///
    /// # Errors
    /// When the crypto library cannot make or use a P-256 key.
    pub fn generate() -> Result<Self, CertificateError> {
        let fail = |error: &dyn std::fmt::Display| CertificateError(error.to_string());
        let provider = crypto_provider::default_provider().map_err(|e| fail(&e))?;
        let certificate =
            rtc_dtls::crypto::Certificate::generate_self_signed(vec!["oxbow".to_owned()], provider.crypto())
                .map_err(|e| fail(&e))?;
        let der = certificate.certificate.first().ok_or_else(|| fail(&"an empty chain"))?;
        let fingerprint = fingerprint(der);
        let config = |profile| {
            ConfigBuilder::default()
                .with_crypto_provider(provider.clone())
                .with_certificates(vec![certificate.clone()])
                .with_cipher_suites(vec![
                    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
                    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
                    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha,
                ])
                .with_srtp_protection_profiles(vec![profile])
                // Peers are known by the fingerprint in their SDP, not by an authority. The peer still proves that it holds the key.
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_insecure_skip_verify(true)
                .build(false, None)
                .map(Arc::new)
                .map_err(|e| fail(&e))
        };
        let gcm = config(SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm)?;
        let cm = config(SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80)?;
        Ok(Self { inner: Arc::new(Inner { provider, gcm, cm, fingerprint }) })
    }

    /// Value of `a=fingerprint`: `sha-256 AB:CD:…`.
    pub fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    pub(super) fn provider(&self) -> &dyn RTCCryptoProvider {
        &*self.inner.provider
    }

    pub(super) fn shared_provider(&self) -> Arc<dyn RTCCryptoProvider> {
        self.inner.provider.clone()
    }

    /// A server that offers this one profile.
    pub(super) fn server(&self, profile: SrtpProfile) -> Arc<HandshakeConfig> {
        match profile {
            SrtpProfile::AeadAes128Gcm => self.inner.gcm.clone(),
            SrtpProfile::Aes128CmSha1_80 => self.inner.cm.clone(),
        }
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.inner.fingerprint).finish_non_exhaustive()
    }
}

/// `sha-256` and the hash of `der` in upper-case hex with colons (RFC 8122 §5).
fn fingerprint(der: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, der);
    let hex: Vec<String> = hash.as_ref().iter().map(|b| format!("{b:02X}")).collect();
    format!("sha-256 {}", hex.join(":"))
}
