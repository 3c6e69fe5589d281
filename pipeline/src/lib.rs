//! Media processing with GStreamer. No other crate names it.
//!
//! - [`Workers`] supervises child processes (`oxbow worker`, [`worker_main`]) that turn ranges of journals into files. A
//!   muxer that crashes or hangs costs one job, never a live.
//! - [`source`] makes encoded test pictures and sound for `oxbow publish`, [`number`] is the frame number burnt into them.
//! - [`inspect`] reads a finished file back: frame numbers, times, the offset between picture and sound.
//!
//! Not here: what is recorded and when (recorder), the file format of journals (journal), where files go (storage).
//!
//! # Debian packages
//!
//! To build: `libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev`. To run:
//!
//! | package | for |
//! |---|---|
//! | `gstreamer1.0-plugins-base` | appsrc, appsink, videoconvert, videoscale, opusenc, opusdec, decodebin |
//! | `gstreamer1.0-plugins-good` | mp4mux, webmmux, qtdemux, matroskademux, vp8enc, vp8dec, jpegenc |
//! | `gstreamer1.0-plugins-ugly` | x264enc (exact starts, H.264 from other codecs, the test source) |
//! | `gstreamer1.0-libav` | avdec_h264 (posters, exact starts, [`inspect`]); openh264dec of `-bad` serves as well. avenc_aac, avdec_aac. avdec_opus (waveforms); opusdec takes three times as long |
//! | `gstreamer1.0-plugins-bad` | openh264enc and openh264dec, used where the two above are missing |

mod export;
mod gst;
pub mod inspect;
mod inspection;
mod job;
pub mod number;
mod protocol;
pub mod source;
mod supervisor;
mod worker;

pub use inspection::{Finding, InspectJob, Inspected, Poster, Storyboard, Trouble};
pub use job::{
    Border, Container, ExportError, ExportJob, Exported, ExportedPiece, ExportedTrack, Format, Lane, Piece, Precision,
};
pub use supervisor::{Workers, WorkersConfig};
pub use worker::worker_main;
