//! Encoded test media for the publisher and for tests: numbered pictures at a fixed rate, a beep on every second.
//!
//! Nothing here waits or paces. The caller takes the units as fast as it wants and sends them when their time has come.

mod canvas;
mod encoder;
mod picture;
pub mod sound;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use media::message::Codec;

use self::encoder::Encoder;
pub use self::picture::Picture;
use crate::number;

const SOUND_NS: u64 = 20_000_000;

/// What is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPattern {
    /// Of the pictures.
    pub codec: Codec,
    /// Pixels, even, at least [`number::SMALLEST`].
    pub width: u16,
    pub height: u16,
    /// Pictures per second, 1 to 120.
    pub fps: u32,
    /// Of the picture, bits per second, 50,000 to 50,000,000.
    pub bitrate: u32,
    /// With Opus, stereo, 20 ms a packet.
    pub sound: bool,
}

impl Default for TestPattern {
    fn default() -> Self {
        Self { codec: Codec::Vp8, width: 640, height: 360, fps: 30, bitrate: 1_200_000, sound: true }
    }
}

/// A codec whose broadcasts can be rewound: H.264, which plays everywhere, where this machine can encode it; else VP9.
#[must_use]
pub fn rewindable() -> Codec {
    if encoder::has_h264() { Codec::H264 } else { Codec::Vp9 }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("this test pattern cannot be made: {0}")]
    Pattern(String),
    #[error("encoder: {0}")]
    Encoder(String),
}

/// One encoded picture or packet of sound.
#[derive(Clone, Debug)]
pub struct Encoded {
    pub kind: Kind,
    /// Pictures and packets count from 0, each on their own. A picture has this number burnt in, modulo [`number::NUMBERS`].
    pub number: u64,
    /// Sound is always true.
    pub key: bool,
    /// Nanoseconds since picture 0.
    pub pts_ns: u64,
    pub duration_ns: u64,
    /// VP8 and VP9: one frame. H.264: Annex B, keyframes with SPS and PPS. AV1: one temporal unit without its delimiter. Opus: one packet.
    pub data: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Picture,
    Sound,
}

impl TestPattern {
    /// Whether it can be made.
    ///
    /// # Errors
    /// [`SourceError::Pattern`] names what is out of bounds.
    pub fn check(&self) -> Result<(), SourceError> {
        let refuse = |what: &str| Err(SourceError::Pattern(what.into()));
        if !self.codec.is_video() {
            return refuse("the codec is one of pictures");
        }
        if (self.width | self.height) & 1 == 1 || self.width > 4096 || self.height > 4096 {
            return refuse("both sides are even and at most 4096 pixels");
        }
        if self.width < number::SMALLEST.0 || self.height < number::SMALLEST.1 {
            return refuse("the picture has at least 384x192 pixels, so that its number can be read");
        }
        if !(1..=120).contains(&self.fps) {
            return refuse("the rate is 1 to 120 pictures per second");
        }
        if !(50_000..=50_000_000).contains(&self.bitrate) {
            return refuse("the bitrate is 50,000 to 50,000,000 bits per second");
        }
        Ok(())
    }

    /// A painter of its raw pictures, for files that something else encodes.
    ///
    /// # Errors
    /// As [`TestPattern::check`].
    pub fn painter(&self) -> Result<Picture, SourceError> {
        self.check()?;
        Ok(Picture::new(self.width, self.height, self.fps))
    }

    /// Starts the encoders.
    ///
    /// # Errors
    /// As [`TestPattern::check`], or [`SourceError::Encoder`] when an encoder is missing.
    pub fn start(&self) -> Result<Source, SourceError> {
        crate::gst::init().map_err(SourceError::Encoder)?;
        let painter = self.painter()?;
        Ok(Source {
            pattern: self.clone(),
            fps: u64::from(self.fps),
            painter,
            pictures: Encoder::picture(self)?,
            sounds: if self.sound { Some(Encoder::sound()?) } else { None },
            next_picture: 0,
            next_sound: 0,
            key_wanted: Arc::default(),
        })
    }
}

/// Makes the units of a [`TestPattern`] in order of time. Blocking: one picture takes a few milliseconds.
pub struct Source {
    pattern: TestPattern,
    fps: u64,
    painter: Picture,
    pictures: Encoder,
    sounds: Option<Encoder>,
    next_picture: u64,
    next_sound: u64,
    key_wanted: Arc<AtomicBool>,
}

/// Asks a [`Source`] for a keyframe, from anywhere. Requests before the next picture count as one.
#[derive(Clone)]
pub struct KeyframeHandle(Arc<AtomicBool>);

impl KeyframeHandle {
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Source {
    pub fn keyframes(&self) -> KeyframeHandle {
        KeyframeHandle(Arc::clone(&self.key_wanted))
    }

    /// From the next picture on, which is a keyframe, pictures have another size.
    ///
    /// # Errors
    /// As [`TestPattern::start`]; the source goes on as it was.
    pub fn resize(&mut self, width: u16, height: u16) -> Result<(), SourceError> {
        let pattern = TestPattern { width, height, ..self.pattern.clone() };
        (self.painter, self.pictures) = (pattern.painter()?, Encoder::picture(&pattern)?);
        self.pattern = pattern;
        Ok(())
    }

    /// Time of the next picture, nanoseconds since picture 0.
    #[must_use]
    pub fn next_picture_ns(&self) -> u64 {
        self.picture_ns(self.next_picture)
    }

    /// The next unit; the first picture is a keyframe.
    ///
    /// # Errors
    /// [`SourceError::Encoder`]; the source is of no use after it.
    pub fn next_unit(&mut self) -> Result<Encoded, SourceError> {
        let picture_ns = self.picture_ns(self.next_picture);
        let sound_ns = self.next_sound * SOUND_NS;
        match &self.sounds {
            Some(encoder) if sound_ns < picture_ns => {
                let number = self.next_sound;
                self.next_sound += 1;
                let raw = sound::packet(number).into_iter().flat_map(i16::to_le_bytes).collect();
                let unit = encoder.encode(raw, sound_ns, SOUND_NS)?;
                Ok(Encoded {
                    kind: Kind::Sound,
                    number,
                    key: true,
                    pts_ns: sound_ns,
                    duration_ns: SOUND_NS,
                    data: unit.data,
                })
            }
            _ => self.next_picture(picture_ns),
        }
    }

    fn next_picture(&mut self, pts_ns: u64) -> Result<Encoded, SourceError> {
        let number = self.next_picture;
        self.next_picture += 1;
        if self.key_wanted.swap(false, Ordering::Relaxed) {
            self.pictures.force_key()?;
        }
        let raw = self.painter.draw((number % u64::from(number::NUMBERS)) as u32).to_vec();
        let duration_ns = self.picture_ns(number + 1) - pts_ns;
        let unit = self.pictures.encode(raw, pts_ns, duration_ns)?;
        Ok(Encoded { kind: Kind::Picture, number, key: unit.key, pts_ns, duration_ns, data: unit.data })
    }

    /// Time of a picture. Multiplied before it is divided, so that nothing drifts.
    fn picture_ns(&self, number: u64) -> u64 {
        number * 1_000_000_000 / self.fps
    }
}
