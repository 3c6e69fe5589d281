//! Fragments of SDP about ICE alone (RFC 8840 §9): what a peer says after its offer, and our answer to its restart.

use std::net::SocketAddr;

use super::answer::{line, write_candidates};
use super::{Kind, Negotiated};
use crate::limit;
use crate::message::Refusal;

/// What matters of a peer's fragment. Its candidates do not: a lite agent only answers checks.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::session) struct Fragment {
    pub ufrag: Option<Box<str>>,
}

/// # Errors
/// [`Refusal::MalformedFragment`] names the problem.
pub(in crate::session) fn parse(text: &str) -> Result<Fragment, Refusal> {
    let malformed = |problem: &str| Err(Refusal::MalformedFragment(problem.to_owned()));
    if text.len() > limit::FRAGMENT_BYTES {
        return malformed("it is too long");
    }
    let (mut ufrag, mut password, mut speaks_of_ice) = (None, None, false);
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let Some((kind, value)) = line.split_once('=').filter(|(kind, _)| kind.len() == 1) else {
            return malformed("a line is not of the form <letter>=<value>");
        };
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        match (kind, name) {
            ("a", "ice-ufrag") if (4..=limit::ICE_TEXT_BYTES).contains(&value.len()) && is_ice_text(value) => {
                ufrag.get_or_insert_with(|| value.into());
            }
            ("a", "ice-pwd") if (22..=limit::ICE_TEXT_BYTES).contains(&value.len()) && is_ice_text(value) => {
                password = Some(())
            }
            ("a", "ice-ufrag" | "ice-pwd") => return malformed("credentials that are none"),
            ("a", "candidate" | "end-of-candidates") => speaks_of_ice = true,
            _ => {}
        }
    }
    match (&ufrag, password) {
        (Some(_), None) | (None, Some(())) => malformed("a=ice-ufrag and a=ice-pwd belong together"),
        (None, None) if !speaks_of_ice => malformed("it has neither credentials nor candidates"),
        _ => Ok(Fragment { ufrag }),
    }
}

/// RFC 8839 §5.4.
fn is_ice_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// Our new credentials with all candidates, on the section that carries the transport of the bundle (RFC 9725 §4.3.2).
pub(in crate::session) fn write(media: &Negotiated, announce: &[SocketAddr], ufrag: &str, password: &str) -> String {
    let mut out = String::with_capacity(1024);
    let mids: Vec<&str> = media.sections.iter().map(|section| &*section.mid).filter(|mid| !mid.is_empty()).collect();
    line(&mut out, format_args!("a=ice-lite"));
    if !mids.is_empty() {
        line(&mut out, format_args!("a=group:BUNDLE {}", mids.join(" ")));
    }
    let kind = if media.sections.first().is_some_and(|first| first.kind == Kind::Video) { "video" } else { "audio" };
    line(&mut out, format_args!("m={kind} 9 UDP/TLS/RTP/SAVPF 0"));
    if let Some(mid) = mids.first() {
        line(&mut out, format_args!("a=mid:{mid}"));
    }
    line(&mut out, format_args!("a=ice-ufrag:{ufrag}"));
    line(&mut out, format_args!("a=ice-pwd:{password}"));
    write_candidates(&mut out, announce);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n";

    #[test]
    fn restarts_and_trickled_candidates_are_read() {
        let of = |ufrag: Option<&str>| Ok(Fragment { ufrag: ufrag.map(Into::into) });
        let section = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
        // mDNS names, TCP, and what else a browser may gather.
        let candidates = "a=candidate:1387637174 1 udp 2122260223 3f6c1d2e-8a4b-4f0e-9d7a-1b2c3d4e5f60.local 61764 typ host generation 0\r\n\
                          a=candidate:3471623853 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\n";
        assert_eq!(parse(&format!("{CREDENTIALS}{section}{candidates}")), of(Some("EsAw")));
        assert_eq!(parse(&format!("{section}{CREDENTIALS}a=end-of-candidates\r\n")), of(Some("EsAw")));
        assert_eq!(parse(candidates), of(None));
        assert_eq!(parse("a=end-of-candidates"), of(None));
        assert_eq!(parse(&CREDENTIALS.replace("\r\n", "\n")), of(Some("EsAw")));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let long = format!("{CREDENTIALS}{}", "a=x\r\n".repeat(limit::FRAGMENT_BYTES));
        for (text, problem) in [
            ("", "neither credentials"),
            ("a=mid:0\r\n", "neither credentials"),
            ("rubbish", "<letter>=<value>"),
            ("=x", "<letter>=<value>"),
            ("a=ice-ufrag:EsAw", "belong together"),
            ("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "belong together"),
            ("a=ice-ufrag:E\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "that are none"),
            ("a=ice-ufrag:EsAw\r\na=ice-pwd:short", "that are none"),
            ("a=ice-ufrag:Es w\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "that are none"),
            (&long, "too long"),
        ] {
            let Err(Refusal::MalformedFragment(told)) = parse(text) else { panic!("{text:.40}") };
            assert!(told.contains(problem), "{text:.40}: {told}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[a=\\r\\n:ice-ufragpwd \\PC]{0,120}") {
            let _ = parse(&text);
        }
    }
}
