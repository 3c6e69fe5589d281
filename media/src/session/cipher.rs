//! SRTP transforms in place: AEAD_AES_128_GCM (RFC 7714) by ring, AES128_CM_HMAC_SHA1_80 (RFC 3711) by the primitives of the WebRTC crates.
//!
//! A cipher knows neither rollover nor replay; `srtp` does.

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rtc_dtls::crypto_provider::{
    BlockCipherAlgorithm, HmacAlgorithm, Mac, RTCCrypto, StreamCipher, StreamCipherAlgorithm,
};

use crate::message::SrtpProfile;

/// Which of the keys of RFC 3711 §4.3.2 a cipher has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Rtp,
    Rtcp,
}

/// Session keys of one direction and usage.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are GCM, whose key is read for every packet and better lies here"
)]
pub(super) enum Cipher {
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    Cm { stream: Box<dyn StreamCipher>, mac: Box<dyn Mac>, salt: [u8; 14] },
}

/// Why a transform did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CipherError {
    #[error("the tag is wrong or the packet too short for one")]
    Tag,
    #[error("the slot is too small for the tag")]
    Room,
    #[error("the crypto library refused")]
    Library,
}

const GCM_TAG: usize = 16;
const CM_TAG: usize = 10;
/// RTCP header and SSRC, sent in clear.
const RTCP_CLEAR: usize = 8;
/// E bit and SRTCP index.
const RTCP_INDEX: usize = 4;

impl Cipher {
    /// Derives session keys (RFC 3711 §4.3, key derivation rate 0).
    pub fn derive(
        profile: SrtpProfile,
        usage: Usage,
        (key, salt): (&[u8], &[u8]),
        crypto: &dyn RTCCrypto,
    ) -> Result<Self, CipherError> {
        let label = match usage {
            Usage::Rtp => 0,
            Usage::Rtcp => 3,
        };
        let derive = |label: u8, out: &mut [u8]| derive(crypto, key, salt, label, out);
        let mut session_key = [0; 16];
        derive(label, &mut session_key)?;
        match profile {
            SrtpProfile::AeadAes128Gcm => {
                let mut salt = [0; 12];
                derive(label + 2, &mut salt)?;
                let key = UnboundKey::new(&aead::AES_128_GCM, &session_key).map_err(|_| CipherError::Library)?;
                Ok(Self::Gcm { key: LessSafeKey::new(key), salt })
            }
            SrtpProfile::Aes128CmSha1_80 => {
                let (mut salt, mut mac_key) = ([0; 14], [0; 20]);
                derive(label + 2, &mut salt)?;
                derive(label + 1, &mut mac_key)?;
                let stream = crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &session_key);
                let mac = crypto.new_hmac(HmacAlgorithm::Sha1, &mac_key);
                match (stream, mac) {
                    (Ok(stream), Ok(mac)) => Ok(Self::Cm { stream, mac, salt }),
                    _ => Err(CipherError::Library),
                }
            }
        }
    }

    /// Encrypts `packet[header_len..len]`, appends the tag and returns the new length. `index` is ROC << 16 | SEQ.
    pub fn seal_rtp(
        &mut self,
        ssrc: u32,
        index: u64,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
    ) -> Result<usize, CipherError> {
        match self {
            Self::Gcm { key, salt } => {
                let (header, rest) = packet.get_mut(..len + GCM_TAG).ok_or(CipherError::Room)?.split_at_mut(header_len);
                let (payload, tag) = rest.split_at_mut(len - header_len);
                let sealed = key
                    .seal_in_place_separate_tag(rtp_nonce(salt, ssrc, index), Aad::from(&*header), payload)
                    .map_err(|_| CipherError::Library)?;
                tag.copy_from_slice(sealed.as_ref());
                Ok(len + GCM_TAG)
            }
            Self::Cm { stream, mac, salt } => {
                let (body, tag) = packet.get_mut(..len + CM_TAG).ok_or(CipherError::Room)?.split_at_mut(len);
                stream
                    .apply_keystream(&counter(salt, ssrc, index), &mut body[header_len..])
                    .map_err(|_| CipherError::Library)?;
                tag.copy_from_slice(&cm_tag(mac, &[body, &rollover(index)])?);
                Ok(len + CM_TAG)
            }
        }
    }

    /// Verifies and decrypts in place; returns the length of header and payload.
    pub fn open_rtp(
        &mut self,
        ssrc: u32,
        index: u64,
        packet: &mut [u8],
        header_len: usize,
    ) -> Result<usize, CipherError> {
        match self {
            Self::Gcm { key, salt } => {
                let len = packet.len().checked_sub(GCM_TAG).filter(|len| *len >= header_len).ok_or(CipherError::Tag)?;
                let (header, rest) = packet.split_at_mut(header_len);
                key.open_in_place(rtp_nonce(salt, ssrc, index), Aad::from(&*header), rest)
                    .map_err(|_| CipherError::Tag)?;
                Ok(len)
            }
            Self::Cm { stream, mac, salt } => {
                let len = packet.len().checked_sub(CM_TAG).filter(|len| *len >= header_len).ok_or(CipherError::Tag)?;
                let (body, tag) = packet.split_at_mut(len);
                if !equal(&cm_tag(mac, &[body, &rollover(index)])?, tag) {
                    return Err(CipherError::Tag);
                }
                stream
                    .apply_keystream(&counter(salt, ssrc, index), &mut body[header_len..])
                    .map_err(|_| CipherError::Library)?;
                Ok(len)
            }
        }
    }

    /// Encrypts the compound packet in `packet[..len]`, appends tag and index in the order of the profile and returns the new length.
    pub fn seal_rtcp(&mut self, index: u32, packet: &mut [u8], len: usize) -> Result<usize, CipherError> {
        let ssrc = rtcp_ssrc(packet).filter(|_| len >= RTCP_CLEAR).ok_or(CipherError::Room)?;
        let word = (index | 1 << 31).to_be_bytes();
        match self {
            Self::Gcm { key, salt } => {
                let slot = packet.get_mut(..len + GCM_TAG + RTCP_INDEX).ok_or(CipherError::Room)?;
                let aad = rtcp_aad(slot, word);
                let (body, tail) = slot.split_at_mut(len);
                let tag = key
                    .seal_in_place_separate_tag(rtcp_nonce(salt, ssrc, index), Aad::from(aad), &mut body[RTCP_CLEAR..])
                    .map_err(|_| CipherError::Library)?;
                tail[..GCM_TAG].copy_from_slice(tag.as_ref());
                tail[GCM_TAG..].copy_from_slice(&word);
                Ok(len + GCM_TAG + RTCP_INDEX)
            }
            Self::Cm { stream, mac, salt } => {
                let slot = packet.get_mut(..len + RTCP_INDEX + CM_TAG).ok_or(CipherError::Room)?;
                let counter = counter(salt, ssrc, u64::from(index));
                stream.apply_keystream(&counter, &mut slot[RTCP_CLEAR..len]).map_err(|_| CipherError::Library)?;
                slot[len..len + RTCP_INDEX].copy_from_slice(&word);
                let tag = cm_tag(mac, &[&slot[..len + RTCP_INDEX]])?;
                slot[len + RTCP_INDEX..].copy_from_slice(&tag);
                Ok(len + RTCP_INDEX + CM_TAG)
            }
        }
    }

    /// Verifies and decrypts in place; returns the length of the compound packet.
    pub fn open_rtcp(&mut self, index: u32, packet: &mut [u8]) -> Result<usize, CipherError> {
        let ssrc = rtcp_ssrc(packet).ok_or(CipherError::Tag)?;
        match self {
            Self::Gcm { key, salt } => {
                let len = packet
                    .len()
                    .checked_sub(GCM_TAG + RTCP_INDEX)
                    .filter(|len| *len >= RTCP_CLEAR)
                    .ok_or(CipherError::Tag)?;
                let aad = rtcp_aad(packet, (index | 1 << 31).to_be_bytes());
                key.open_in_place(
                    rtcp_nonce(salt, ssrc, index),
                    Aad::from(aad),
                    &mut packet[RTCP_CLEAR..len + GCM_TAG],
                )
                .map_err(|_| CipherError::Tag)?;
                Ok(len)
            }
            Self::Cm { stream, mac, salt } => {
                let len = packet
                    .len()
                    .checked_sub(RTCP_INDEX + CM_TAG)
                    .filter(|len| *len >= RTCP_CLEAR)
                    .ok_or(CipherError::Tag)?;
                let (signed, tag) = packet.split_at_mut(len + RTCP_INDEX);
                if !equal(&cm_tag(mac, &[signed])?, tag) {
                    return Err(CipherError::Tag);
                }
                let counter = counter(salt, ssrc, u64::from(index));
                stream.apply_keystream(&counter, &mut signed[RTCP_CLEAR..len]).map_err(|_| CipherError::Library)?;
                Ok(len)
            }
        }
    }

    /// The SRTCP index of an encrypted packet; `None` if the packet is too short or says that it is not encrypted.
    pub fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Gcm { .. } => 0,
            Self::Cm { .. } => CM_TAG,
        };
        let end = packet.len().checked_sub(behind)?;
        let word = u32::from_be_bytes(packet.get(end.checked_sub(RTCP_INDEX)?..end)?.try_into().ok()?);
        (word >> 31 == 1).then_some(word & 0x7fff_ffff)
    }
}

/// RFC 3711 §4.3.1 and §4.3.3: AES in counter mode over salt XOR label.
fn derive(crypto: &dyn RTCCrypto, key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) -> Result<(), CipherError> {
    let mut start = [0; 16];
    start[..salt.len()].copy_from_slice(salt);
    start[7] ^= label;
    for (at, chunk) in out.chunks_mut(16).enumerate() {
        let mut block = start;
        block[15] = at as u8;
        crypto.block_encrypt(BlockCipherAlgorithm::Aes128, key, &mut block).map_err(|_| CipherError::Library)?;
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    Ok(())
}

/// RFC 7714 §8.1.
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    xor(&mut nonce, salt);
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 7714 §9.1.
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    xor(&mut nonce, salt);
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 3711 §4.1.1.
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut counter = [0; 16];
    counter[4..8].copy_from_slice(&ssrc.to_be_bytes());
    counter[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    xor(&mut counter[..14], salt);
    counter
}

fn xor(into: &mut [u8], with: &[u8]) {
    for (a, b) in into.iter_mut().zip(with) {
        *a ^= b;
    }
}

/// RFC 7714 §9.2: the clear header and the index word.
fn rtcp_aad(packet: &[u8], word: [u8; 4]) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(&packet[..8]);
    aad[8..].copy_from_slice(&word);
    aad
}

fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(packet.get(4..8)?.try_into().ok()?))
}

fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn cm_tag(mac: &mut Box<dyn Mac>, input: &[&[u8]]) -> Result<[u8; CM_TAG], CipherError> {
    let mut full = [0; 20];
    mac.sign(input, &mut full).map_err(|_| CipherError::Library)?;
    Ok(full[..CM_TAG].try_into().expect("20 bytes have 10"))
}

fn equal(left: &[u8], right: &[u8]) -> bool {
    rtc_dtls::crypto_provider::constant_time_eq(left, right)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_dtls::crypto_provider::default_provider;
    use rtc_srtp::context::Context;
    use rtc_srtp::protection_profile::ProtectionProfile;

    use super::*;

    const PROFILES: [(SrtpProfile, ProtectionProfile, usize); 2] = [
        (SrtpProfile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm, 12),
        (SrtpProfile::Aes128CmSha1_80, ProtectionProfile::Aes128CmHmacSha1_80, 14),
    ];

    fn ours(profile: SrtpProfile, usage: Usage, key: &[u8], salt: &[u8]) -> Cipher {
        Cipher::derive(profile, usage, (key, salt), default_provider().unwrap().crypto()).unwrap()
    }

    fn theirs(profile: ProtectionProfile, key: &[u8], salt: &[u8]) -> Context {
        Context::new(key, salt, profile, None, None, default_provider().unwrap().crypto()).unwrap()
    }

    /// The vectors of RFC 3711 appendix B.3.
    #[test]
    fn keys_are_derived_as_the_rfc_shows() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let provider = default_provider().unwrap();
        let derived = |label, len| {
            let mut out = vec![0; len];
            derive(provider.crypto(), &key, &salt, label, &mut out).unwrap();
            out
        };
        assert_eq!(derived(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derived(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(derived(1, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn short_packets_are_refused() {
        for (profile, _, salt) in PROFILES {
            let (mut rtp, mut rtcp) = (
                ours(profile, Usage::Rtp, &[1; 16], &[2; 14][..salt]),
                ours(profile, Usage::Rtcp, &[1; 16], &[2; 14][..salt]),
            );
            for len in 0..32 {
                let mut packet = vec![0x80; len];
                if len >= 12 {
                    assert_eq!(rtp.open_rtp(1, 1, &mut packet, 12), Err(CipherError::Tag), "{len}");
                }
                let index = rtcp.rtcp_index(&packet);
                assert_eq!(rtcp.open_rtcp(index.unwrap_or(1), &mut packet), Err(CipherError::Tag), "{len}");
            }
            assert_eq!(rtp.seal_rtp(1, 1, &mut [0; 21], 12, 12), Err(CipherError::Room));
            assert_eq!(rtcp.seal_rtcp(1, &mut [0; 21], 8), Err(CipherError::Room));
            assert_eq!(rtcp.seal_rtcp(1, &mut [0; 40], 7), Err(CipherError::Room));
        }
    }

    proptest! {
        #[test]
        fn an_independent_context_opens_what_we_seal_and_the_reverse(
            key: [u8; 16],
            salt: [u8; 14],
            ssrc: u32,
            start in 0u16..0x8000,
            steps in prop::collection::vec((1u16..9_000, 0usize..4, prop::collection::vec(any::<u8>(), 0..60)), 1..30),
        ) {
            for (profile, their_profile, salt_len) in PROFILES {
                let salt = &salt[..salt_len];
                let mut cipher = ours(profile, Usage::Rtp, &key, salt);
                let (mut sender, mut receiver) = (theirs(their_profile, &key, salt), theirs(their_profile, &key, salt));
                let mut index = u64::from(start);
                for (step, csrcs, payload) in &steps {
                    // With CSRCs the header is longer; all of it stays in clear.
                    let mut clear = vec![0x80 | *csrcs as u8, 96];
                    clear.extend_from_slice(&(index as u16).to_be_bytes());
                    clear.extend_from_slice(&[0; 4]);
                    clear.extend_from_slice(&ssrc.to_be_bytes());
                    clear.extend(std::iter::repeat_n(7, csrcs * 4));
                    let header_len = clear.len();
                    clear.extend_from_slice(payload);

                    let mut slot = clear.clone();
                    slot.resize(clear.len() + 16, 0);
                    let len = cipher.seal_rtp(ssrc, index, &mut slot, header_len, clear.len()).unwrap();
                    prop_assert_eq!(&receiver.decrypt_rtp(&slot[..len]).unwrap()[..], &clear[..]);

                    let mut sealed = sender.encrypt_rtp(&clear).unwrap().to_vec();
                    prop_assert_eq!(&sealed[..], &slot[..len]);
                    let len = cipher.open_rtp(ssrc, index, &mut sealed, header_len).unwrap();
                    prop_assert_eq!(&sealed[..len], &clear[..]);
                    index += u64::from(*step);
                }
            }
        }

        #[test]
        fn an_independent_context_opens_our_rtcp_and_the_reverse(key: [u8; 16], salt: [u8; 14], words in prop::collection::vec(any::<u32>(), 1..20)) {
            for (profile, their_profile, salt_len) in PROFILES {
                let salt = &salt[..salt_len];
                let mut cipher = ours(profile, Usage::Rtcp, &key, salt);
                let (mut sender, mut receiver) = (theirs(their_profile, &key, salt), theirs(their_profile, &key, salt));
                let mut clear = vec![0x80, 201, 0, words.len() as u8];
                clear.extend(words.iter().flat_map(|w| w.to_be_bytes()));
                for index in 1..4 {
                    let mut slot = clear.clone();
                    slot.resize(clear.len() + 20, 0);
                    let len = cipher.seal_rtcp(index, &mut slot, clear.len()).unwrap();
                    prop_assert_eq!(&receiver.decrypt_rtcp(&slot[..len]).unwrap()[..], &clear[..]);

                    let mut sealed = sender.encrypt_rtcp(&clear).unwrap().to_vec();
                    prop_assert_eq!(cipher.rtcp_index(&sealed), Some(index));
                    let len = cipher.open_rtcp(index, &mut sealed).unwrap();
                    prop_assert_eq!(&sealed[..len], &clear[..]);
                }
            }
        }
    }
}
