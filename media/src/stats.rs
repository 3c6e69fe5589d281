//! Every drop has a name and is counted. Names are stable: metrics and dashboards use them.

use std::time::Duration;

/// Why a datagram, a packet or a unit went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DropReason {
    /// Empty, or the first byte belongs to no protocol of RFC 7983.
    NotOurs,
    /// Larger than [`crate::limit::DATAGRAM_BYTES`].
    Oversized,
    /// No session has this address, and it is no STUN request with a user name of ours.
    UnknownAddress,
    /// STUN that does not parse or whose integrity check fails.
    BadStun,
    /// DTLS or SRTP from an address that no authenticated check validated.
    UnvalidatedAddress,
    /// DTLS that the endpoint refused.
    BadDtls,
    /// SRTP or SRTCP before the keys are known.
    NoKeys,
    /// SRTP or SRTCP whose tag is wrong.
    BadTag,
    /// SRTP or SRTCP index seen before.
    Replayed,
    /// RTP that does not parse.
    BadRtp,
    /// RTCP that does not parse.
    BadRtcp,
    /// RTP from a viewer.
    UnexpectedRtp,
    /// An SSRC or payload type that was not negotiated.
    UnknownStream,
    /// A repair packet for a stream or sequence number we do not know.
    BadRepair,
    /// A packet that the track already has.
    Duplicate,
    /// Older than the ring reaches.
    TooOld,
    /// An empty packet (padding only): bandwidth probes.
    Padding,
    /// A viewer without this track's codec in its answer.
    CodecNotNegotiated,
    /// A viewer waits for a keyframe.
    AwaitKeyframe,
    /// Of a temporal or spatial layer above what the viewer gets.
    Layer,
    /// A viewer that is not connected yet, or lost its address.
    NotConnected,
    /// The packet was overwritten in the ring before the viewer's turn, or passed over since the viewer's network did not take it in time.
    FellBehind,
    /// The send arena had no room.
    ArenaFull,
    /// Does not fit a datagram after the rewrite.
    TooLarge,
    /// The session could not encrypt.
    SealFailed,
    /// A NACK for a packet that was never sent, is no longer in the ring or was answered a moment ago.
    RepairNotFound,
    /// A NACK beyond the viewer's budget of repairs, or from a viewer without RTX.
    RepairRefused,
    /// A tap gave an access unit up: packets of it never came.
    TapLoss,
    /// Sound from before the first picture: a tap begins with a keyframe.
    TapBeforeZero,
    /// A tap skipped an access unit because it needs a keyframe first.
    TapAwaitKeyframe,
    /// A tap gave an access unit up: larger than [`crate::limit::ACCESS_UNIT_BYTES`] or not decodable as its codec.
    TapMalformed,
    /// The tap's reader was full.
    TapOverrun,
    /// The session was closed after a caught panic.
    Fault,
}

impl DropReason {
    pub const ALL: [DropReason; 33] = [
        Self::NotOurs,
        Self::Oversized,
        Self::UnknownAddress,
        Self::BadStun,
        Self::UnvalidatedAddress,
        Self::BadDtls,
        Self::NoKeys,
        Self::BadTag,
        Self::Replayed,
        Self::BadRtp,
        Self::BadRtcp,
        Self::UnexpectedRtp,
        Self::UnknownStream,
        Self::BadRepair,
        Self::Duplicate,
        Self::TooOld,
        Self::Padding,
        Self::CodecNotNegotiated,
        Self::AwaitKeyframe,
        Self::Layer,
        Self::NotConnected,
        Self::FellBehind,
        Self::ArenaFull,
        Self::TooLarge,
        Self::SealFailed,
        Self::RepairNotFound,
        Self::RepairRefused,
        Self::TapLoss,
        Self::TapBeforeZero,
        Self::TapAwaitKeyframe,
        Self::TapMalformed,
        Self::TapOverrun,
        Self::Fault,
    ];

    /// In snake case, as metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::Oversized => "oversized",
            Self::UnknownAddress => "unknown_address",
            Self::BadStun => "bad_stun",
            Self::UnvalidatedAddress => "unvalidated_address",
            Self::BadDtls => "bad_dtls",
            Self::NoKeys => "no_keys",
            Self::BadTag => "bad_tag",
            Self::Replayed => "replayed",
            Self::BadRtp => "bad_rtp",
            Self::BadRtcp => "bad_rtcp",
            Self::UnexpectedRtp => "unexpected_rtp",
            Self::UnknownStream => "unknown_stream",
            Self::BadRepair => "bad_repair",
            Self::Duplicate => "duplicate",
            Self::TooOld => "too_old",
            Self::Padding => "padding",
            Self::CodecNotNegotiated => "codec_not_negotiated",
            Self::AwaitKeyframe => "await_keyframe",
            Self::Layer => "layer",
            Self::NotConnected => "not_connected",
            Self::FellBehind => "fell_behind",
            Self::ArenaFull => "arena_full",
            Self::TooLarge => "too_large",
            Self::SealFailed => "seal_failed",
            Self::RepairNotFound => "repair_not_found",
            Self::RepairRefused => "repair_refused",
            Self::TapLoss => "tap_loss",
            Self::TapBeforeZero => "tap_before_zero",
            Self::TapAwaitKeyframe => "tap_await_keyframe",
            Self::TapMalformed => "tap_malformed",
            Self::TapOverrun => "tap_overrun",
            Self::Fault => "fault",
        }
    }
}

/// Counters of one shard since its start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub nacks_in: u64,
    pub nacks_out: u64,
    pub retransmitted: u64,
    pub plis_in: u64,
    pub plis_out: u64,
    /// Viewers that went from one layer to another.
    pub layer_switches: u64,
    /// Times that a viewer's network carried only the sound.
    pub picture_pauses: u64,
    /// From the request of a session to its finished handshake.
    pub join: Spans,
    /// From a viewer's request to the first packet of its first picture.
    pub first_picture: Spans,
    drops: Tally,
    /// Drops since somebody asked whose they are.
    news: Tally,
    has_news: bool,
}

/// A number for each reason.
#[derive(Clone, Debug)]
struct Tally([u64; DropReason::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

/// How long something took, counted in classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// One more than [`Spans::BOUNDS_US`]: the last has no bound.
    pub classes: [u64; Spans::BOUNDS_US.len() + 1],
}

impl Spans {
    /// Upper bounds of the classes in microseconds, included.
    pub const BOUNDS_US: [u64; 19] = [
        250, 500, 1000, 2000, 3000, 5000, 10_000, 25_000, 50_000, 100_000, 150_000, 200_000, 300_000, 500_000,
        1_000_000, 2_000_000, 5_000_000, 10_000_000, 30_000_000,
    ];

    pub fn note(&mut self, span: Duration) {
        let at = Self::BOUNDS_US.iter().position(|bound| span <= Duration::from_micros(*bound));
        self.classes[at.unwrap_or(Self::BOUNDS_US.len())] += 1;
    }
}

impl Counters {
    pub fn drop(&mut self, reason: DropReason) {
        self.drop_many(reason, 1);
    }

    pub fn drop_many(&mut self, reason: DropReason, count: u64) {
        self.drops.0[reason as usize] += count;
        self.news.0[reason as usize] += count;
        self.has_news = true;
    }

    /// What was dropped since the last call, or since [`Counters::forget_news`].
    pub fn take_news(&mut self, mut each: impl FnMut(DropReason, u64)) {
        if std::mem::take(&mut self.has_news) {
            for reason in DropReason::ALL {
                let count = std::mem::take(&mut self.news.0[reason as usize]);
                if count > 0 {
                    each(reason, count);
                }
            }
        }
    }

    pub fn forget_news(&mut self) {
        self.take_news(|_, _| {});
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.0[reason as usize]
    }

    /// Reasons that occurred, with their counts.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        DropReason::ALL.iter().map(|reason| (reason.name(), self.dropped(*reason))).filter(|(_, n)| *n > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_told_once() {
        let mut counters = Counters::default();
        let mut told = Vec::new();
        counters.drop(DropReason::BadStun);
        counters.forget_news();
        counters.drop_many(DropReason::BadRtp, 3);
        counters.take_news(|reason, count| told.push((reason, count)));
        counters.take_news(|reason, count| told.push((reason, count)));
        assert_eq!(told, [(DropReason::BadRtp, 3)]);
        assert_eq!(counters.dropped(DropReason::BadStun), 1);
    }

    #[test]
    fn spans_fall_into_their_classes() {
        let mut spans = Spans::default();
        for us in [0, 250, 251, 30_000_000, 30_000_001, 99_000_000] {
            spans.note(Duration::from_micros(us));
        }
        assert_eq!((spans.classes[0], spans.classes[1], spans.classes[18], spans.classes[19]), (2, 1, 1, 2));
    }

    #[test]
    fn every_reason_has_its_own_counter_and_name() {
        let mut counters = Counters::default();
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
            counters.drop_many(reason, index as u64 + 1);
        }
        let mut names: Vec<_> = counters.drops().into_iter().map(|(name, _)| name).collect();
        assert_eq!(counters.drops().iter().map(|(_, n)| n).sum::<u64>(), (1..=names.len() as u64).sum::<u64>());
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
