//! A recording as HTTP Live Streaming (RFC 8216 and its second edition): fragmented MP4 of access units, and the playlist that names the pieces.
//!
//! 1. Tell [`Segmenter`] what a part of a recording holds, in the order in which it was written. It gives [`Segment`]s: which units belong together, and
//!    from when to when they last. Borders are a function of the part alone, so a segment that is made again later is the same, byte by byte.
//! 2. [`init`] writes what a player needs before the segments of one [`Format`], [`media`] one segment.
//! 3. [`playlist`] names them in order.
//!
//! Nothing here reads a file, a clock or a socket, and of other rooms only `mp4/` is named: times are nanoseconds on the broadcast's timeline.
//! What may be watched by whom, and how long segments are kept in memory, does not belong here.

mod cut;
mod fragment;
mod header;
mod playlist;

pub use cut::{Segment, Segmenter, Unit};
pub use fragment::{Sample, media};
pub use header::init;
pub use mp4::{Av1, Codec, Format, Kind, Sound, Unsuitable, Video, Vp9};
pub use playlist::{Entry, Playlist, TARGET_DURATION, playlist};
