//! What the tracks of a file are: all that their description depends on.

use bytes::Bytes;

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Video,
    Sound,
}

/// The tracks of a file. One that has neither cannot be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Format {
    pub video: Option<Video>,
    pub sound: Option<Sound>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Video {
    pub codec: Codec,
    /// Pixels, as they are coded.
    pub width: u16,
    pub height: u16,
    /// Quarter turns clockwise that a player has to make, 0 to 3.
    pub quarters: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// SPS and PPS as Annex B; samples are without them.
    H264 {
        parameter_sets: Bytes,
    },
    /// Likewise, but samples have their own as well, which replace these.
    H264InBand {
        parameter_sets: Bytes,
    },
    Vp9(Vp9),
    Av1(Av1),
}

/// What the header of a VP9 keyframe says (VP9 bitstream specification §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vp9 {
    pub profile: u8,
    pub bit_depth: u8,
    /// Chroma has half the columns, half the rows.
    pub subsampling: (bool, bool),
    pub full_range: bool,
}

/// What an AV1 sequence header says (AV1 §5.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Av1 {
    pub profile: u8,
    pub level: u8,
    pub tier: bool,
    pub bit_depth: u8,
    pub monochrome: bool,
    /// Chroma has half the columns, half the rows.
    pub subsampling: (bool, bool),
    pub chroma_position: u8,
    /// The OBU with its size field.
    pub sequence_header: Bytes,
}

/// Opus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sound {
    /// 1 or 2.
    pub channels: u8,
}

/// Why something cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    #[error("H.264 without usable parameter sets")]
    NoParameterSets,
    #[error("neither picture nor sound")]
    Empty,
    #[error("the boxes cannot be written: {0}")]
    Boxes(String),
}

impl From<mp4_atom::Error> for Unsuitable {
    fn from(error: mp4_atom::Error) -> Self {
        Self::Boxes(error.to_string())
    }
}

/// Of pictures, in Hz.
pub const VIDEO_CLOCK: u64 = 90_000;
/// Of sound, in Hz.
pub const SOUND_CLOCK: u64 = 48_000;

/// Track numbers in the file.
pub const VIDEO_TRACK: u32 = 1;
pub const SOUND_TRACK: u32 = 2;

/// Nanoseconds in ticks of a clock, to the nearest.
#[must_use]
pub fn ticks(ns: u64, clock: u64) -> u64 {
    ((u128::from(ns) * u128::from(clock) + 500_000_000) / 1_000_000_000) as u64
}
