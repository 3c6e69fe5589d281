//! TURN servers that somebody runs beside this server, and credentials for them that end by themselves.
//!
//! The scheme is the one that TURN servers know as "REST API" (draft-uberti-behave-turn-rest-00): the user name is the UTC second of its end and
//! a name, the password its HMAC-SHA1 under a secret shared with the TURN server. Whether somebody may watch is decided elsewhere.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use ring::hmac;
use serde::Serialize;
use storage::Secret;
use ts_rs::TS;

/// How long credentials are good: a page that stays open longer gets new ones when its socket reconnects.
const GOOD_FOR: Duration = Duration::from_secs(12 * 3600);

/// What was configured.
#[derive(Clone, Debug)]
pub struct Turn {
    urls: Vec<String>,
    secret: Secret,
}

/// As `RTCPeerConnection` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct IceServer {
    pub urls: Vec<String>,
    pub username: String,
    pub credential: String,
}

impl Turn {
    /// `None` when an address is no TURN URI (RFC 7065), or when there is none.
    pub fn new(urls: Vec<String>, secret: Secret) -> Option<Self> {
        (!urls.is_empty() && urls.iter().all(|url| is_turn_uri(url))).then_some(Self { urls, secret })
    }

    /// For those who must keep it out of logs.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The servers with credentials that are good from now on for twelve hours.
    pub fn server(&self) -> IceServer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.server_until((now + GOOD_FOR).as_secs(), &hex::encode(rand::random::<[u8; 6]>()))
    }

    fn server_until(&self, second: u64, name: &str) -> IceServer {
        let username = format!("{second}:{name}");
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.expose().as_bytes());
        let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        IceServer { urls: self.urls.clone(), username, credential }
    }
}

impl IceServer {
    /// One `Link` header for each address (RFC 9725 §4.6).
    pub fn links(&self) -> impl Iterator<Item = HeaderValue> {
        self.urls.iter().filter_map(|url| {
            let (user, password) = (&self.username, &self.credential);
            let link = format!(
                "<{url}>; rel=\"ice-server\"; username=\"{user}\"; credential=\"{password}\"; credential-type=\"password\""
            );
            let mut value = HeaderValue::from_str(&link).ok()?;
            value.set_sensitive(true);
            Some(value)
        })
    }
}

/// `turn:host[:port][?transport=udp|tcp]`, or `turns:` (RFC 7065 §3.1).
fn is_turn_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let good_place = url::Url::parse(&format!("http://{place}/"))
        .is_ok_and(|url| url.has_host() && url.path() == "/" && url.username().is_empty() && url.password().is_none());
    matches!(scheme, "turn" | "turns")
        && good_place
        && place.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
        && matches!(query, None | Some("transport=udp" | "transport=tcp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(urls: &[&str]) -> Option<Turn> {
        Turn::new(urls.iter().map(|url| (*url).to_owned()).collect(), Secret::new("shared-secret"))
    }

    #[test]
    fn addresses_are_turn_uris() {
        for url in ["turn:turn.example", "turn:192.0.2.1:3478?transport=udp", "turns:[2001:db8::1]:5349?transport=tcp"]
        {
            assert!(turn(&[url]).is_some(), "{url}");
        }
        for url in [
            "turn.example",
            "http://turn.example",
            "stun:stun.example",
            "turn:",
            "turn:a b",
            "turn:a/b",
            "turn:user@a",
            "turn:a:99999",
            "turn:a?transport=sctp",
            "turn:a\"; rel=\"next",
        ] {
            assert!(turn(&["turn:good.example", url]).is_none(), "{url}");
        }
        assert!(turn(&[]).is_none());
    }

    #[test]
    fn credentials_are_what_a_turn_server_computes() {
        // printf 1700000000:viewer | openssl dgst -sha1 -hmac shared-secret -binary | base64
        let server = turn(&["turn:a.example"]).unwrap().server_until(1_700_000_000, "viewer");
        assert_eq!(server.username, "1700000000:viewer");
        assert_eq!(server.credential, "b7a6RabH/BaOBYRB/VJoGzzmW78=");
    }

    #[test]
    fn links_name_each_server_and_are_not_printed() {
        let server = turn(&["turn:a.example", "turns:b.example:5349?transport=tcp"]).unwrap().server();
        let links: Vec<HeaderValue> = server.links().collect();
        assert_eq!(links.len(), 2);
        let text = links[1].to_str().unwrap();
        assert!(text.starts_with("<turns:b.example:5349?transport=tcp>; rel=\"ice-server\"; username=\""), "{text}");
        assert!(text.ends_with("; credential-type=\"password\""), "{text}");
        assert_eq!(format!("{:?}", links[1]), "Sensitive");
        assert!(!format!("{:?}", turn(&["turn:a.example"])).contains("shared-secret"));
    }
}
