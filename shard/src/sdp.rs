//! Offers and answers of the newest sessions, for whoever has to find out why one did not work. Secrets are taken out before they are kept.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use media::id::SessionId;

/// Sessions whose texts are kept: 6 to 16 KB each. More: the oldest texts go.
const KEPT: usize = 256;

/// What was negotiated, without `a=ice-pwd` and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp {
    pub offer: String,
    pub answer: String,
}

#[derive(Default)]
pub struct SdpLog(Mutex<VecDeque<(SessionId, Sdp)>>);

impl SdpLog {
    pub fn keep(&self, session: SessionId, offer: &str, answer: &str) {
        let sdp = Sdp { offer: redacted(offer), answer: redacted(answer) };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((session, sdp));
    }

    pub fn of(&self, session: SessionId) -> Option<Sdp> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().find(|(of, _)| *of == session).map(|(_, sdp)| sdp.clone())
    }
}

/// Whoever has the password of a session can move its media to another address; `a=crypto` and `k=` would be keys.
fn redacted(sdp: &str) -> String {
    let secrets = ["a=ice-pwd:", "a=crypto:", "k="];
    let lines = sdp.lines().map(|line| {
        let secret = secrets
            .iter()
            .find(|secret| line.get(..secret.len()).is_some_and(|head| head.eq_ignore_ascii_case(secret)));
        secret.map_or_else(|| line.to_owned(), |secret| format!("{secret}(redacted)"))
    });
    lines.map(|line| line + "\r\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::id::ShardId;

    #[test]
    fn secrets_are_not_kept() {
        let log = SdpLog::default();
        let id = SessionId::new(ShardId(0), 1);
        let offer = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:verysecretpassword\r\nA=ICE-PWD:other\r\na=crypto:1 AES inline:key\r\nk=clear:key\r\n";
        log.keep(id, offer, "a=ice-pwd:ours\n");
        let kept = log.of(id).unwrap();
        assert_eq!(
            kept.offer,
            "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:(redacted)\r\na=ice-pwd:(redacted)\r\na=crypto:(redacted)\r\nk=(redacted)\r\n"
        );
        assert_eq!(kept.answer, "a=ice-pwd:(redacted)\r\n");
    }

    #[test]
    fn the_oldest_texts_go() {
        let log = SdpLog::default();
        for n in 0..=KEPT as u64 {
            log.keep(SessionId::new(ShardId(0), n), "o", "a");
        }
        assert_eq!(log.of(SessionId::new(ShardId(0), 0)), None);
        assert!(log.of(SessionId::new(ShardId(0), KEPT as u64)).is_some());
    }
}
