//! The bytes of a journal: layout of header and records, and nothing about files.
//!
//! All integers are little endian.
//!
//! ```text
//! header   magic 8 "OXBOWJ1\n" · version u16 · header length u16 (crc included) · part u32 · broadcast u128 · clip u128
//!          · media zero, UTC microseconds u64 · opened, UTC microseconds u64 · channel length u8 · channel · crc32 u32
//! record   marker u32 "OXR\x1e" · data length u32 · type u8 · track u8 (255: none) · flags u16 (bit 0: keyframe)
//!          · pts ns u64 · dts ns u64 · UTC microseconds u64 · first seq u64 · last seq u64 · data · crc32 u32
//! ```
//!
//! The checksum (CRC-32, IEEE) covers everything before it, marker included; that of a record goes on from the checksum of the
//! header ([`Salt`]), so that nothing but a record of this very file is taken for one: no block of another journal that a disk
//! left in it, and no bytes of a picture. In version 1 records began anew. What a type does not use is zero:
//!
//! ```text
//! 1 access unit    all fields; data: the unit as `media::message::AccessUnit` describes it
//! 2 codec config   data: codec u8 (1 VP8, 2 H.264, 3 VP9, 4 AV1, 16 Opus) · channels u8 · width u16 · height u16 · parameter sets
//! 3 gap            pts: from · dts: to · flags: reason (1 disconnected, 2 loss, 3 overrun, 4 damage)
//! 4 clock          UTC, first seq: extended RTP timestamp of a sender report
//! 5 cut            pts: everything at or after it belongs to the next part · flags: cause
//! 6 end            UTC · flags: cause. The part was closed in order; nothing follows.
//! 7 orientation    pts: of the first picture that it holds for · flags: as `media::message::Orientation::to_byte`
//! 8 count          first seq: number of the next unit of this track, counted from 0 since the broadcast began · flags: 1 when the
//!                  disk did not take the units before it
//! ```
//!
//! A reader skips types it does not know; a change that an old reader must not skip raises the version.

use std::fmt;
use std::str::FromStr;

use bytes::{Buf, BufMut, Bytes};
use media::id::{BroadcastId, ChannelName, IdError, TrackId};
use media::message::{AccessUnit, Codec, CodecConfig, GapReason, Orientation};

use crate::skim::UnitHead;

pub const MAGIC: [u8; 8] = *b"OXBOWJ1\n";
pub const VERSION: u16 = 2;
/// The last version whose records were not salted.
const UNSALTED: u16 = 1;
/// First bytes of every record.
pub const MARKER: u32 = u32::from_le_bytes(*b"OXR\x1e");
/// Bytes of a record before its data.
pub const RECORD_HEAD: usize = 52;
/// Bytes of the checksum behind the data.
pub const RECORD_TAIL: usize = 4;
/// Largest data of one record; the tap's largest unit with room to spare. Larger: refused by the appender, and
/// taken for damage by the reader.
pub const DATA_BYTES: usize = media::limit::ACCESS_UNIT_BYTES + 64 * 1024;
/// Header without channel and checksum.
pub(crate) const HEADER_FIXED: usize = 65;
/// Longest possible header: a channel has at most 32 bytes, and a later version may add some.
pub const HEADER_BYTES: usize = 1024;

const NO_TRACK: u8 = 255;
const FLAG_KEY: u16 = 1;
const FLAG_GIVEN_UP: u16 = 1;

const UNIT: u8 = 1;
const CONFIG: u8 = 2;
const GAP: u8 = 3;
const CLOCK: u8 = 4;
const CUT: u8 = 5;
const END: u8 = 6;
const ORIENTATION: u8 = 7;
const COUNT: u8 = 8;

/// The clip that a part becomes; chosen when the part is opened. Written like a [`BroadcastId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClipId(pub u128);

impl fmt::Display for ClipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&BroadcastId(self.0), f)
    }
}

impl FromStr for ClipId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse::<BroadcastId>().map(|id| Self(id.0))
    }
}

/// Whose media a file holds and how its timeline maps to wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub broadcast: BroadcastId,
    /// 0 for the first part of a broadcast.
    pub part: u32,
    pub clip: ClipId,
    pub channel: ChannelName,
    /// Wall clock of pts 0, microseconds since the Unix epoch.
    pub media_zero_utc_us: u64,
    /// When this part was opened, microseconds since the Unix epoch.
    pub opened_utc_us: u64,
}

/// Why a part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Size,
    Length,
    /// Somebody asked for a clip.
    Request,
    /// The codec or the orientation of a track changed, or a track came that the running file cannot take.
    Format,
    /// The broadcast ended in order.
    End,
    /// The streamer dropped and did not come back.
    Interrupted,
}

/// One record, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Unit(AccessUnit),
    /// Opens an epoch of its track.
    Config {
        track: TrackId,
        config: CodecConfig,
    },
    Gap {
        track: Option<TrackId>,
        from_ns: u64,
        to_ns: u64,
        reason: GapReason,
    },
    Clock {
        track: TrackId,
        rtp: u64,
        utc_us: u64,
    },
    /// Units at or after `at_ns` in this file were copied to the next part and do not count here.
    Cut {
        at_ns: u64,
        cause: Cause,
    },
    End {
        utc_us: u64,
        cause: Cause,
    },
    /// From this picture on. A track without such a record is upright.
    Orientation {
        track: TrackId,
        from_ns: u64,
        orientation: Orientation,
    },
    /// The next unit of the track in this file is the one with this number; those after it count on. Stands before the first
    /// unit of each track, and wherever numbers were left out.
    Count {
        track: TrackId,
        /// Counted from 0 since the broadcast began.
        number: u64,
        /// The units that are missing before it were given up, since the disk did not take them.
        given_up: bool,
    },
    /// Of a later writer. Skipped by everyone.
    Unknown {
        kind: u8,
    },
}

impl Record {
    /// Bytes this record takes in a file.
    #[must_use]
    pub fn size(&self) -> usize {
        let data = match self {
            Record::Unit(unit) => unit.data.len(),
            Record::Config { config, .. } => 6 + config.parameter_sets.len(),
            _ => 0,
        };
        RECORD_HEAD + data + RECORD_TAIL
    }
}

/// A record ready for `writev`: head, data, checksum.
#[derive(Clone, Debug)]
pub struct Encoded {
    pub head: [u8; RECORD_HEAD],
    pub data: Bytes,
    pub tail: [u8; RECORD_TAIL],
}

impl Encoded {
    /// Bytes in the file.
    #[must_use]
    pub fn size(&self) -> usize {
        RECORD_HEAD + self.data.len() + RECORD_TAIL
    }
}

/// Why a header is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("not a journal")]
    NotAJournal,
    #[error("journal version {0} is newer than this program")]
    Version(u16),
    #[error("the header is damaged or cut off")]
    Damaged,
}

/// The first bytes of a file.
#[must_use]
pub fn encode_header(header: &Header) -> Vec<u8> {
    let channel = header.channel.as_str().as_bytes();
    let mut out = Vec::with_capacity(HEADER_FIXED + channel.len() + 4);
    out.put_slice(&MAGIC);
    out.put_u16_le(VERSION);
    out.put_u16_le((HEADER_FIXED + channel.len() + 4) as u16);
    out.put_u32_le(header.part);
    out.put_u128_le(header.broadcast.0);
    out.put_u128_le(header.clip.0);
    out.put_u64_le(header.media_zero_utc_us);
    out.put_u64_le(header.opened_utc_us);
    out.put_u8(channel.len() as u8);
    out.put_slice(channel);
    let crc = crc32fast::hash(&out);
    out.put_u32_le(crc);
    out
}

/// What the checksums of a file's records begin with: the checksum of its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salt(pub(crate) u32);

impl Salt {
    /// Of a file that begins with these bytes, as [`encode_header`] gives them.
    #[must_use]
    pub fn of(header: &[u8]) -> Self {
        let version = header.get(MAGIC.len()..MAGIC.len() + 2).map(|mut bytes| bytes.get_u16_le());
        let tail = header.len().checked_sub(4).and_then(|at| header.get(at..));
        tail.filter(|_| version > Some(UNSALTED)).map_or(Self::default(), |mut crc| Self(crc.get_u32_le()))
    }

    pub(crate) fn checksum(self, head: &[u8; RECORD_HEAD], data: &[u8]) -> [u8; RECORD_TAIL] {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(head);
        hasher.update(data);
        hasher.finalize().to_le_bytes()
    }
}

/// Reads a header from the first bytes of a file and says how long it is.
///
/// # Errors
/// [`HeaderError`]; never panics, whatever the bytes are.
pub fn decode_header(bytes: &[u8]) -> Result<(Header, usize), HeaderError> {
    if bytes.len() < MAGIC.len() || bytes[..MAGIC.len()] != MAGIC {
        return Err(HeaderError::NotAJournal);
    }
    if bytes.len() < HEADER_FIXED + 4 {
        return Err(HeaderError::Damaged);
    }
    let mut at = &bytes[MAGIC.len()..];
    let version = at.get_u16_le();
    if version > VERSION {
        return Err(HeaderError::Version(version));
    }
    let length = usize::from(at.get_u16_le());
    if !(HEADER_FIXED + 4..=HEADER_BYTES).contains(&length) || bytes.len() < length {
        return Err(HeaderError::Damaged);
    }
    let (body, crc) = bytes[..length].split_at(length - 4);
    if crc32fast::hash(body).to_le_bytes() != *crc {
        return Err(HeaderError::Damaged);
    }
    let part = at.get_u32_le();
    let broadcast = BroadcastId(at.get_u128_le());
    let clip = ClipId(at.get_u128_le());
    let media_zero_utc_us = at.get_u64_le();
    let opened_utc_us = at.get_u64_le();
    let channel_length = usize::from(at.get_u8());
    let channel = body.get(HEADER_FIXED..HEADER_FIXED + channel_length).ok_or(HeaderError::Damaged)?;
    let channel = std::str::from_utf8(channel)
        .ok()
        .and_then(|text| text.parse::<ChannelName>().ok())
        .ok_or(HeaderError::Damaged)?;
    Ok((Header { broadcast, part, clip, channel, media_zero_utc_us, opened_utc_us }, length))
}

/// The bytes of one record.
#[must_use]
pub fn encode(record: &Record, salt: Salt) -> Encoded {
    let mut fields = Fields { track: NO_TRACK, ..Fields::default() };
    match record {
        Record::Unit(unit) => {
            fields.kind = UNIT;
            fields.track = unit.track.0;
            fields.flags = if unit.key { FLAG_KEY } else { 0 };
            fields.pts = unit.pts_ns;
            fields.dts = unit.dts_ns;
            fields.utc = unit.utc_us;
            fields.first = unit.first_seq;
            fields.last = unit.last_seq;
            fields.data = unit.data.clone();
        }
        Record::Config { track, config } => {
            fields.kind = CONFIG;
            fields.track = track.0;
            let mut data = Vec::with_capacity(6 + config.parameter_sets.len());
            data.put_u8(codec_number(config.codec));
            data.put_u8(config.channels);
            data.put_u16_le(config.width);
            data.put_u16_le(config.height);
            data.put_slice(&config.parameter_sets);
            fields.data = data.into();
        }
        Record::Gap { track, from_ns, to_ns, reason } => {
            fields.kind = GAP;
            fields.track = track.map_or(NO_TRACK, |t| t.0);
            fields.flags = gap_number(*reason);
            fields.pts = *from_ns;
            fields.dts = *to_ns;
        }
        Record::Clock { track, rtp, utc_us } => {
            fields.kind = CLOCK;
            fields.track = track.0;
            fields.first = *rtp;
            fields.utc = *utc_us;
        }
        Record::Cut { at_ns, cause } => {
            fields.kind = CUT;
            fields.pts = *at_ns;
            fields.flags = cause_number(*cause);
        }
        Record::End { utc_us, cause } => {
            fields.kind = END;
            fields.utc = *utc_us;
            fields.flags = cause_number(*cause);
        }
        Record::Orientation { track, from_ns, orientation } => {
            fields.kind = ORIENTATION;
            fields.track = track.0;
            fields.pts = *from_ns;
            fields.flags = u16::from(orientation.to_byte());
        }
        Record::Count { track, number, given_up } => {
            fields.kind = COUNT;
            fields.track = track.0;
            fields.first = *number;
            fields.flags = if *given_up { FLAG_GIVEN_UP } else { 0 };
        }
        Record::Unknown { kind } => fields.kind = *kind,
    }
    fields.encode(salt)
}

/// The head of a record, its data length checked. `None`: not a record of ours.
pub(crate) fn data_length(head: &[u8; RECORD_HEAD]) -> Option<usize> {
    let mut at = &head[..];
    let (marker, length) = (at.get_u32_le(), at.get_u32_le() as usize);
    (marker == MARKER && length <= DATA_BYTES).then_some(length)
}

/// What the head of a unit's record says; `None` for other records. Not checked: the checksum stands behind the data.
pub(crate) fn unit_head(head: &[u8; RECORD_HEAD], size: usize) -> Option<UnitHead> {
    let mut at = &head[8..];
    let (kind, track, flags) = (at.get_u8(), at.get_u8(), at.get_u16_le());
    let (pts_ns, dts_ns) = (at.get_u64_le(), at.get_u64_le());
    let (track, key, size) = (TrackId(track), flags & FLAG_KEY != 0, size as u32);
    (kind == UNIT).then_some(UnitHead { track, key, pts_ns, dts_ns, size })
}

/// `None` when the checksum is wrong or the content of a known type makes no sense.
pub(crate) fn decode(head: &[u8; RECORD_HEAD], data: Bytes, tail: [u8; RECORD_TAIL], salt: Salt) -> Option<Record> {
    (salt.checksum(head, &data) == tail).then(|| parse(head, data))?
}

/// `None` when the content of a known type makes no sense. The checksum was looked at.
pub(crate) fn parse(head: &[u8; RECORD_HEAD], data: Bytes) -> Option<Record> {
    let mut at = &head[8..];
    let kind = at.get_u8();
    let track = at.get_u8();
    let flags = at.get_u16_le();
    let pts_ns = at.get_u64_le();
    let dts_ns = at.get_u64_le();
    let utc_us = at.get_u64_le();
    let (first_seq, last_seq) = (at.get_u64_le(), at.get_u64_le());
    Some(match kind {
        UNIT => Record::Unit(AccessUnit {
            track: TrackId(track),
            key: flags & FLAG_KEY != 0,
            pts_ns,
            dts_ns,
            utc_us,
            first_seq,
            last_seq,
            data,
        }),
        CONFIG => {
            let mut at = data;
            if at.len() < 6 {
                return None;
            }
            let codec = codec_of(at.get_u8())?;
            let channels = at.get_u8();
            let width = at.get_u16_le();
            let height = at.get_u16_le();
            let config = CodecConfig { codec, width, height, channels, parameter_sets: at };
            Record::Config { track: TrackId(track), config }
        }
        GAP => {
            let track = (track != NO_TRACK).then_some(TrackId(track));
            Record::Gap { track, from_ns: pts_ns, to_ns: dts_ns, reason: gap_of(flags)? }
        }
        CLOCK => Record::Clock { track: TrackId(track), rtp: first_seq, utc_us },
        CUT => Record::Cut { at_ns: pts_ns, cause: cause_of(flags)? },
        END => Record::End { utc_us, cause: cause_of(flags)? },
        ORIENTATION => {
            let orientation = Orientation::from_byte(flags as u8);
            Record::Orientation { track: TrackId(track), from_ns: pts_ns, orientation }
        }
        COUNT => Record::Count { track: TrackId(track), number: first_seq, given_up: flags & FLAG_GIVEN_UP != 0 },
        kind => Record::Unknown { kind },
    })
}

#[derive(Default)]
struct Fields {
    kind: u8,
    track: u8,
    flags: u16,
    pts: u64,
    dts: u64,
    utc: u64,
    first: u64,
    last: u64,
    data: Bytes,
}

impl Fields {
    fn encode(self, salt: Salt) -> Encoded {
        let mut head = [0; RECORD_HEAD];
        let mut at = &mut head[..];
        at.put_u32_le(MARKER);
        at.put_u32_le(self.data.len() as u32);
        at.put_u8(self.kind);
        at.put_u8(self.track);
        at.put_u16_le(self.flags);
        for value in [self.pts, self.dts, self.utc, self.first, self.last] {
            at.put_u64_le(value);
        }
        let tail = salt.checksum(&head, &self.data);
        Encoded { head, data: self.data, tail }
    }
}

fn codec_number(codec: Codec) -> u8 {
    match codec {
        Codec::Vp8 => 1,
        Codec::H264 => 2,
        Codec::Vp9 => 3,
        Codec::Av1 => 4,
        Codec::Opus => 16,
    }
}

fn codec_of(number: u8) -> Option<Codec> {
    Some(match number {
        1 => Codec::Vp8,
        2 => Codec::H264,
        3 => Codec::Vp9,
        4 => Codec::Av1,
        16 => Codec::Opus,
        _ => return None,
    })
}

fn gap_number(reason: GapReason) -> u16 {
    match reason {
        GapReason::Disconnected => 1,
        GapReason::Loss => 2,
        GapReason::Overrun => 3,
        GapReason::Damage => 4,
    }
}

fn gap_of(number: u16) -> Option<GapReason> {
    Some(match number {
        1 => GapReason::Disconnected,
        2 => GapReason::Loss,
        3 => GapReason::Overrun,
        4 => GapReason::Damage,
        _ => return None,
    })
}

fn cause_number(cause: Cause) -> u16 {
    match cause {
        Cause::Size => 1,
        Cause::Length => 2,
        Cause::Request => 3,
        Cause::Format => 4,
        Cause::End => 5,
        Cause::Interrupted => 6,
    }
}

fn cause_of(number: u16) -> Option<Cause> {
    Some(match number {
        1 => Cause::Size,
        2 => Cause::Length,
        3 => Cause::Request,
        4 => Cause::Format,
        5 => Cause::End,
        6 => Cause::Interrupted,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            broadcast: BroadcastId::new(1_700_000_000_000, 7),
            part: 3,
            clip: ClipId(BroadcastId::new(1_700_000_000_500, 9).0),
            channel: "main".parse().expect("a channel"),
            media_zero_utc_us: 1_700_000_000_000_000,
            opened_utc_us: 1_700_000_030_000_000,
        }
    }

    #[test]
    fn the_header_survives_and_damage_is_seen() {
        let bytes = encode_header(&header());
        assert_eq!(decode_header(&bytes), Ok((header(), bytes.len())));
        assert_eq!(decode_header(b"RIFF----AVI "), Err(HeaderError::NotAJournal));
        assert_eq!(decode_header(&bytes[..bytes.len() - 1]), Err(HeaderError::Damaged));
        for at in 12..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(decode_header(&flipped).is_err(), "bit flip at {at}");
        }
        let mut newer = bytes;
        newer[8] = 9;
        assert_eq!(decode_header(&newer), Err(HeaderError::Version(9)));
    }

    #[test]
    fn records_are_sealed_by_their_file_but_not_those_of_the_first_version() {
        let bytes = encode_header(&header());
        let other = encode_header(&Header { opened_utc_us: 1, ..header() });
        assert_ne!(Salt::of(&bytes), Salt::of(&other));
        assert_ne!(Salt::of(&bytes), Salt::default());
        let mut first = bytes;
        first[8] = 1;
        assert_eq!(Salt::of(&first), Salt::default());
        assert_eq!(Salt::of(b"OX"), Salt::default());
    }

    #[test]
    fn every_record_survives() {
        let unit = AccessUnit {
            track: TrackId(1),
            key: true,
            pts_ns: 5,
            dts_ns: 4,
            utc_us: 3,
            first_seq: 2,
            last_seq: 9,
            data: Bytes::from_static(b"picture"),
        };
        let config = CodecConfig {
            codec: Codec::H264,
            width: 640,
            height: 360,
            channels: 0,
            parameter_sets: Bytes::from_static(b"\0\0\0\x01g"),
        };
        let records = [
            Record::Unit(unit),
            Record::Config { track: TrackId(0), config },
            Record::Gap { track: None, from_ns: 1, to_ns: 2, reason: GapReason::Overrun },
            Record::Gap { track: Some(TrackId(2)), from_ns: 1, to_ns: 2, reason: GapReason::Loss },
            Record::Clock { track: TrackId(0), rtp: 1 << 40, utc_us: 8 },
            Record::Orientation { track: TrackId(0), from_ns: 76, orientation: Orientation::from_byte(0x0b) },
            Record::Cut { at_ns: 77, cause: Cause::Size },
            Record::End { utc_us: 78, cause: Cause::Interrupted },
            Record::Count { track: TrackId(3), number: 1 << 33, given_up: true },
            Record::Count { track: TrackId(0), number: 0, given_up: false },
            Record::Unknown { kind: 99 },
        ];
        for record in records {
            let (salt, other) = (Salt(7), Salt(8));
            let encoded = encode(&record, salt);
            assert_eq!(encoded.size(), record.size());
            assert_eq!(data_length(&encoded.head), Some(encoded.data.len()));
            assert_eq!(decode(&encoded.head, encoded.data.clone(), encoded.tail, other), None, "of another file");
            assert_eq!(decode(&encoded.head, encoded.data, encoded.tail, salt), Some(record));
        }
    }
}
