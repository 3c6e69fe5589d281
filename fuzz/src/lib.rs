//! Every parser of ours under hostile bytes: one function per target, two ways to drive it.
//!
//! - `cargo test -p fuzz` runs each target over its corpus and a fixed number of seeded mutations of it: the same bytes on every machine.
//! - `make fuzz` drives the same functions by libFuzzer with coverage. That works on stable Rust: the instrumentation is LLVM's and asks for no
//!   sanitizer; in safe code a panic is the finding.
//!
//! A target panics when it found something. `corpus/<target>/` holds inputs worth keeping: real messages, and every finding that was
//! fixed. What a parser means by its bytes does not belong here.

mod bytes;
pub mod mutate;
#[path = "../../media/tests/support/peer.rs"]
pub mod peer;
mod target;

/// One parser and how to run it.
pub struct Target {
    /// Its folder under `corpus/`.
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Mutations of the short run; dearer targets get fewer.
    pub mutations: u32,
    /// Largest input in bytes.
    pub max_len: usize,
    /// Words that mutations put in, for formats of text.
    pub words: &'static [&'static str],
}

const fn binary(name: &'static str, run: fn(&[u8]), mutations: u32) -> Target {
    Target { name, run, mutations, max_len: 1500, words: &[] }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    binary("rtp", target::rtp::packet, 20_000),
    binary("vp8", target::rtp::vp8, 20_000),
    binary("vp9", target::rtp::vp9, 20_000),
    binary("av1", target::rtp::av1, 20_000),
    binary("h264", target::rtp::h264, 20_000),
    binary("sps", target::rtp::sps, 20_000),
    binary("red", target::rtp::red, 20_000),
    binary("dependency", target::rtp::dependency, 20_000),
    binary("rtcp", target::rtcp::compound, 20_000),
    binary("twcc", target::rtcp::arrivals, 2_000),
    binary("nack", target::rtcp::missing, 5_000),
    Target { max_len: 8000, ..binary("framing", target::framing::stream, 20_000) },
    binary("stun", target::session::stun, 1_000),
    Target { max_len: 6000, ..binary("dtls", target::session::dtls, 400) },
    Target { max_len: 16 * 1024, words: target::session::SDP, ..binary("offer", target::session::offer, 600) },
    Target { words: target::session::SDP, ..binary("fragment", target::session::fragment, 600) },
    Target { max_len: 8000, ..binary("journal", target::journal::part, 2_000) },
    Target { max_len: 8000, ..binary("units", target::units::table, 20_000) },
    Target { max_len: 4000, ..binary("live", target::live::run, 60) },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
