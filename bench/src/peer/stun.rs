//! Connectivity checks of a controlling agent with one candidate pair (RFC 8445 §7.2), USE-CANDIDATE on every one.

use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::crypto::RTCCrypto;
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};

/// Peer-reflexive, first component (RFC 8445 §5.1.2).
const PRIORITY: u32 = (110 << 24) | (0xffff << 8) | 255;

pub struct Checks {
    ufrag: String,
    password: String,
    remote_ufrag: String,
    remote_password: String,
    tie_breaker: u64,
    /// Of the latest check; late answers to earlier ones do not count.
    transaction: [u8; 12],
}

impl Checks {
    pub fn new() -> Self {
        Checks {
            ufrag: text(8),
            password: text(24),
            remote_ufrag: String::new(),
            remote_password: String::new(),
            tie_breaker: rand::random(),
            transaction: [0; 12],
        }
    }

    /// New credentials of ours.
    pub fn renew(&mut self) {
        (self.ufrag, self.password) = (text(8), text(24));
    }

    pub fn local_ufrag(&self) -> &str {
        &self.ufrag
    }

    pub fn local_password(&self) -> &str {
        &self.password
    }

    pub fn set_remote(&mut self, ufrag: &str, password: &str) {
        self.remote_ufrag = ufrag.to_owned();
        self.remote_password = password.to_owned();
    }

    pub fn request(&mut self, crypto: &dyn RTCCrypto) -> Vec<u8> {
        self.transaction = rand::random();
        let mut message = Message::new();
        message.typ = BINDING_REQUEST;
        message.transaction_id.0 = self.transaction;
        message.write_header();
        message.add(ATTR_USERNAME, format!("{}:{}", self.remote_ufrag, self.ufrag).as_bytes());
        message.add(ATTR_ICE_CONTROLLING, &self.tie_breaker.to_be_bytes());
        message.add(ATTR_USE_CANDIDATE, &[]);
        message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(self.remote_password.as_bytes(), crypto);
        integrity.add_to(&mut message).expect("HMAC-SHA1 is always there");
        FINGERPRINT.add_to(&mut message).expect("a CRC cannot fail");
        message.raw
    }

    pub fn is_answer(&self, data: &[u8], crypto: &dyn RTCCrypto) -> bool {
        let mut message = Message::new();
        message.unmarshal_binary(data).is_ok()
            && message.typ == BINDING_SUCCESS
            && message.transaction_id.0 == self.transaction
            && FINGERPRINT.check(&message).is_ok()
            && MessageIntegrity::check(&mut message, self.remote_password.as_bytes(), crypto).is_ok()
    }
}

/// Random ice-chars (RFC 8839 §5.4).
fn text(chars: usize) -> String {
    const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..chars).map(|_| char::from(ICE_CHARS[usize::from(rand::random::<u8>() & 63)])).collect()
}
