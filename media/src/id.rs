//! Names of things. Each is a type of its own, so that two of them cannot be swapped.

use std::fmt;
use std::str::FromStr;

/// A shard of the media plane: one thread, one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ShardId(pub u16);

/// One peer connection, for the life of the process. The shard that owns it is in its upper bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    pub fn new(shard: ShardId, counter: u64) -> Self {
        Self((u64::from(shard.0) << 48) | (counter & 0xffff_ffff_ffff))
    }

    pub fn shard(self) -> ShardId {
        ShardId((self.0 >> 48) as u16)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}-{}", self.shard().0, self.0 & 0xffff_ffff_ffff)
    }
}

impl FromStr for SessionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let numbers = text.strip_prefix('s').and_then(|rest| rest.split_once('-'));
        let (shard, counter) = numbers.ok_or(IdError::Session)?;
        let id =
            shard.parse().ok().zip(counter.parse().ok()).map(|(shard, counter)| Self::new(ShardId(shard), counter));
        // One text for each id.
        id.filter(|id| id.to_string() == text).ok_or(IdError::Session)
    }
}

/// A track within its broadcast. It keeps its number when the streamer reconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u8);

/// One live from start to end, across reconnects. Written as 26 characters of Crockford base 32 (the
/// ULID layout: 48 bits of UTC milliseconds, 80 random bits), so ids sort by start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BroadcastId(pub u128);

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl BroadcastId {
    /// `utc_ms` is the start, `random` any 80 unpredictable bits (upper bits are ignored).
    pub fn new(utc_ms: u64, random: u128) -> Self {
        Self((u128::from(utc_ms & 0xffff_ffff_ffff) << 80) | (random & ((1 << 80) - 1)))
    }

    /// UTC milliseconds of the start.
    pub fn utc_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }
}

impl fmt::Display for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = (0..26).rev().map(|i| char::from(CROCKFORD[(self.0 >> (i * 5)) as usize & 31])).collect();
        f.write_str(&text)
    }
}

impl fmt::Debug for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no id or name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("an id is 26 characters of 0-9 and a-z without i, l, o, u")]
    Malformed,
    #[error("a session is named s, the number of its shard, a hyphen and a number")]
    Session,
    #[error("a channel name is 1 to 32 characters of a-z, 0-9 and '-'")]
    ChannelName,
}

impl FromStr for BroadcastId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 26 {
            return Err(IdError::Malformed);
        }
        let mut value: u128 = 0;
        for (at, byte) in text.bytes().enumerate() {
            let digit = CROCKFORD.iter().position(|c| *c == byte).ok_or(IdError::Malformed)?;
            if at == 0 && digit > 7 {
                return Err(IdError::Malformed); // 26 * 5 = 130 bits; the top two must be clear
            }
            value = (value << 5) | digit as u128;
        }
        Ok(Self(value))
    }
}

/// A channel's name, `[a-z0-9-]{1,32}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(std::sync::Arc<str>);

impl ChannelName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ChannelName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.into())) } else { Err(IdError::ChannelName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcast_ids_survive_text_and_sort_by_start() {
        let early = BroadcastId::new(1_700_000_000_000, 1 << 79);
        let late = BroadcastId::new(1_700_000_000_001, 0);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(early.utc_ms(), 1_700_000_000_000);
        assert!(early.to_string() < late.to_string());
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in ["", "x", "zzzzzzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000000u", "../../../../../../etc/passw"]
        {
            assert_eq!(text.parse::<BroadcastId>(), Err(IdError::Malformed), "{text}");
        }
    }

    #[test]
    fn channel_names_are_plain() {
        assert!("main-2".parse::<ChannelName>().is_ok());
        for text in ["", "Main", "a/b", "a b", "é", &"a".repeat(33)] {
            assert_eq!(text.parse::<ChannelName>(), Err(IdError::ChannelName), "{text}");
        }
    }

    #[test]
    fn session_ids_carry_their_shard() {
        let id = SessionId::new(ShardId(3), 17);
        assert_eq!(id.shard(), ShardId(3));
        assert_eq!(id.to_string(), "s3-17");
        assert_eq!("s3-17".parse(), Ok(id));
        for text in ["", "s3", "3-17", "s3-", "s03-17", "s3-+17", "s70000-1", "s3-999999999999999999"] {
            assert_eq!(text.parse::<SessionId>(), Err(IdError::Session), "{text}");
        }
    }
}
