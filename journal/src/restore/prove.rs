//! Which header has a checksum: of what is left of it and what is known from elsewhere, whatever fits.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use media::id::ChannelName;

use super::Hints;
use crate::format::{self, HEADER_FIXED, Header, MAGIC, Salt, VERSION};

/// Tried for each pair of what may be the two times: a checksum of 32 bits stands by accident for one in a thousand of them.
const TRIES: u64 = 1 << 22;
/// Where the times stand, and the length of the channel's name.
const MEDIA_ZERO: usize = 48;
const OPENED: usize = 56;
const CHANNEL_LENGTH: usize = 64;

/// The header and its bytes. `left`: what the file begins with now.
pub(super) fn header(salt: Salt, left: &[u8], hints: &Hints) -> Option<(Header, Vec<u8>)> {
    let bytes = with_few_bits_flipped(salt, left, hints).or_else(|| from_hints(salt, left, hints))?;
    let (header, length) = format::decode_header(&bytes).ok()?;
    (length == bytes.len() && Salt::of(&bytes) == salt).then_some((header, bytes))
}

/// A header without its checksum.
fn body(hints: &Hints, channel: &[u8], media_zero_utc_us: u64, opened_utc_us: u64) -> Vec<u8> {
    let mut body = MAGIC.to_vec();
    body.extend(VERSION.to_le_bytes());
    body.extend(((HEADER_FIXED + channel.len() + 4) as u16).to_le_bytes());
    body.extend(hints.part.to_le_bytes());
    body.extend(hints.broadcast.0.to_le_bytes());
    body.extend(hints.clip.0.to_le_bytes());
    body.extend(media_zero_utc_us.to_le_bytes());
    body.extend(opened_utc_us.to_le_bytes());
    body.push(channel.len() as u8);
    body.extend(channel);
    body
}

/// With its checksum, if that is the one.
fn sealed(mut body: Vec<u8>, salt: Salt) -> Option<Vec<u8>> {
    let crc = crc32fast::hash(&body);
    body.extend(crc.to_le_bytes());
    (Salt(crc) == salt).then_some(body)
}

fn number(left: &[u8], at: usize) -> Option<u64> {
    left.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn channel_left(left: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*left.get(CHANNEL_LENGTH)?);
    (1..=32).contains(&length).then(|| left.get(HEADER_FIXED..HEADER_FIXED + length)).flatten()
}

/// The times as they stand there, and the channel as it does or is known; of all these up to two bits are flipped.
fn with_few_bits_flipped(salt: Salt, left: &[u8], hints: &Hints) -> Option<Vec<u8>> {
    let (media_zero, opened) = (number(left, MEDIA_ZERO)?, number(left, OPENED)?);
    let known = hints.channels.iter().map(|channel| channel.as_str().as_bytes());
    known.chain(channel_left(left)).find_map(|channel| flip(body(hints, channel, media_zero, opened), salt))
}

fn flip(mut body: Vec<u8>, salt: Salt) -> Option<Vec<u8>> {
    let crc = crc32fast::hash(&body);
    let wanted = crc ^ salt.0;
    let places = (MEDIA_ZERO * 8..CHANNEL_LENGTH * 8).chain(HEADER_FIXED * 8..body.len() * 8);
    let mut seen: HashMap<u32, Option<usize>> = HashMap::from([(0, None)]);
    for place in places {
        body[place / 8] ^= 1 << (place % 8);
        let change = crc32fast::hash(&body) ^ crc;
        if let Some(other) = seen.get(&(change ^ wanted)).copied() {
            if let Some(other) = other {
                body[other / 8] ^= 1 << (other % 8);
            }
            break;
        }
        body[place / 8] ^= 1 << (place % 8);
        seen.insert(change, Some(place));
    }
    sealed(body, salt).filter(|bytes| format::decode_header(bytes).is_ok())
}

/// Every channel with every pair of times that are known, the most exact ones first.
fn from_hints(salt: Salt, left: &[u8], hints: &Hints) -> Option<Vec<u8>> {
    let own = channel_left(left).and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
    let channels: Vec<ChannelName> = hints.channels.iter().cloned().chain(own).collect();
    let with = |known: &[RangeInclusive<u64>], at: usize| {
        let own = number(left, at).map(|time| time..=time);
        known.iter().cloned().chain(own).collect::<Vec<_>>()
    };
    let mut opened = with(&hints.opened_utc_us, OPENED);
    opened.push(clip_began(hints));
    let zeroes = with(&hints.media_zero_utc_us, MEDIA_ZERO);
    let mut pairs: Vec<_> = zeroes.iter().flat_map(|zero| opened.iter().map(move |opened| (zero, opened))).collect();
    let tries = |(zero, opened): &(&RangeInclusive<u64>, &RangeInclusive<u64>)| size(zero).saturating_mul(size(opened));
    pairs.retain(|pair| tries(pair) <= TRIES);
    pairs.sort_by_key(tries);
    pairs.into_iter().find_map(|(zero, opened)| {
        channels.iter().find_map(|channel| within(salt, hints, channel.as_str().as_bytes(), zero, opened))
    })
}

/// Its id was made from the time at which the part was opened.
fn clip_began(hints: &Hints) -> RangeInclusive<u64> {
    let ms = (hints.clip.0 >> 80) as u64;
    ms * 1000..=ms * 1000 + 999
}

fn size(range: &RangeInclusive<u64>) -> u64 {
    range.end().saturating_sub(*range.start()).saturating_add(1)
}

/// What each time adds to the checksum does not depend on the other, so that none of their pairs need be tried.
fn within(
    salt: Salt,
    hints: &Hints,
    channel: &[u8],
    zero: &RangeInclusive<u64>,
    opened: &RangeInclusive<u64>,
) -> Option<Vec<u8>> {
    let crc = |zero: u64, opened: u64| crc32fast::hash(&body(hints, channel, zero, opened));
    let neither = crc(0, 0);
    let by_crc: HashMap<u32, u64> = opened.clone().map(|opened| (crc(0, opened), opened)).collect();
    zero.clone().find_map(|zero| {
        let opened = by_crc.get(&(crc(zero, 0) ^ neither ^ salt.0))?;
        sealed(body(hints, channel, zero, *opened), salt)
    })
}

#[cfg(test)]
mod tests {
    use media::id::BroadcastId;

    use super::*;
    use crate::ClipId;

    fn true_header() -> Header {
        Header {
            broadcast: BroadcastId::new(1_700_000_000_000, 7),
            part: 3,
            clip: ClipId(BroadcastId::new(1_700_000_030_000, 9).0),
            channel: "morning-show".parse().expect("a channel"),
            media_zero_utc_us: 1_700_000_000_123_456,
            opened_utc_us: 1_700_000_030_000_777,
        }
    }

    fn nothing_known() -> Hints {
        let Header { broadcast, part, clip, .. } = true_header();
        let (media_zero_utc_us, opened_utc_us) = (Vec::new(), Vec::new());
        Hints { broadcast, part, clip, channels: Vec::new(), media_zero_utc_us, opened_utc_us }
    }

    fn all_known() -> Hints {
        let channels = ["evening".parse().expect("a channel"), true_header().channel].to_vec();
        Hints { channels, media_zero_utc_us: vec![1_700_000_000_123_000..=1_700_000_000_123_999], ..nothing_known() }
    }

    fn found(left: &[u8], hints: &Hints) -> Option<Header> {
        let bytes = format::encode_header(&true_header());
        let found = header(Salt::of(&bytes), left, hints)?;
        assert_eq!(found, (true_header(), bytes));
        Some(found.0)
    }

    #[test]
    fn with_nothing_left_of_it_a_header_follows_from_what_is_known() {
        assert!(found(&[], &all_known()).is_some());
        assert!(found(&[0; 4096], &all_known()).is_some());
        assert!(found(&[0xff; 70], &all_known()).is_some());
        assert!(found(&[], &nothing_known()).is_none());
        let elsewhere = Hints { media_zero_utc_us: vec![5..=5_000], ..all_known() };
        assert!(found(&[], &elsewhere).is_none(), "what does not fit is not taken");
        let unbounded = Hints { media_zero_utc_us: vec![0..=u64::MAX], ..all_known() };
        assert!(found(&[], &unbounded).is_none());
    }

    #[test]
    fn what_is_left_of_it_is_used() {
        let whole = format::encode_header(&true_header());
        for (from, to) in [(0, 48), (0, 16), (CHANNEL_LENGTH + 13, whole.len())] {
            let mut left = whole.clone();
            left[from..to].fill(0xaa);
            assert!(found(&left, &nothing_known()).is_some(), "{from} to {to}");
        }
        // the one time from the header, the other from the clip's id
        let mut left = whole.clone();
        left[OPENED..CHANNEL_LENGTH].fill(0);
        assert!(found(&left, &nothing_known()).is_some());
        // the channel is known, the time is not
        let mut left = whole;
        left[CHANNEL_LENGTH..].fill(0);
        left[MEDIA_ZERO] ^= 0x41;
        let hints = Hints { media_zero_utc_us: Vec::new(), ..all_known() };
        assert!(found(&left, &hints).is_some() && found(&left, &nothing_known()).is_none());
    }

    #[test]
    fn up_to_two_flipped_bits_are_found_without_help() {
        let whole = format::encode_header(&true_header());
        let places = || (MEDIA_ZERO * 8..CHANNEL_LENGTH * 8).chain(HEADER_FIXED * 8..(whole.len() - 4) * 8);
        for one in places() {
            for other in places().step_by(41) {
                let mut left = whole.clone();
                left[one / 8] ^= 1 << (one % 8);
                if one != other {
                    left[other / 8] ^= 1 << (other % 8);
                }
                left[3] ^= 1; // what is known of it need not be whole
                assert!(found(&left, &nothing_known()).is_some(), "bits {one} and {other}");
            }
        }
    }
}
