//! MP4 (ISO/IEC 14496-12 and -15): how tracks are described, access units as samples, and the index of a file.
//!
//! 1. [`Video`] and [`Sound`] say what a track carries; [`track`] writes its boxes, without samples.
//! 2. [`h264`] makes a sample of a unit as it was received; other codecs stand in a file as they are. [`opus`] knows how long a packet sounds.
//! 3. [`Layout`] lays out a file whose samples are known by time and size: the index that comes first, and the order of what follows it.
//!
//! Nothing here reads or writes a file, and no other room is named. Segments of a stream and their borders are `hls/`, and what becomes of a
//! recording is `pipeline/`.

mod entry;
mod format;
pub mod h264;
mod layout;
pub mod opus;

pub use entry::{sound_track, video_track};
pub use format::{
    Av1, Codec, Format, Kind, SOUND_CLOCK, SOUND_TRACK, Sound, Unsuitable, VIDEO_CLOCK, VIDEO_TRACK, Video, Vp9, ticks,
};
pub use layout::{Chunk, Layout, Media, Sample, Tracks};
