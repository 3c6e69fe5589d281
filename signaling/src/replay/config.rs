//! From what a journal says of a track to what a segment's file says of it.

use std::collections::HashMap;

use hls::{Av1, Format, Kind, Sound, Video, Vp9};
use media::message::{Codec, CodecConfig};
use media::rtp::codec::av1::SequenceHeader;
use media::rtp::codec::vp9::KeyHeader;

/// A track's format, or the name of a codec that cannot be put into segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Config {
    Video(Video),
    Sound(Sound),
    Unsuitable(&'static str),
}

impl Config {
    pub(super) fn kind(&self) -> Kind {
        if matches!(self, Config::Sound(_)) { Kind::Sound } else { Kind::Video }
    }

    /// What is known of a track from its configuration. `None`: its first keyframe is needed ([`Config::of_vp9`]).
    pub(super) fn of(config: &CodecConfig, quarters: u8) -> Option<Self> {
        let video = |codec| Video { codec, width: config.width, height: config.height, quarters };
        let built = match config.codec {
            Codec::Opus => return Some(Config::Sound(Sound { channels: config.channels.clamp(1, 2) })),
            Codec::Vp8 => return Some(Config::Unsuitable("VP8")),
            Codec::Vp9 => return None,
            Codec::H264 => video(hls::Codec::H264 { parameter_sets: config.parameter_sets.clone() }),
            Codec::Av1 => match av1(config) {
                Some(header) => video(hls::Codec::Av1(header)),
                None => return Some(Config::Unsuitable("AV1 without a sequence header")),
            },
        };
        let usable = hls::init(&Format { video: Some(built.clone()), sound: None }).is_ok();
        Some(if usable { Config::Video(built) } else { Config::Unsuitable("H.264 without parameter sets") })
    }

    pub(super) fn of_vp9(config: &CodecConfig, quarters: u8, keyframe: &[u8]) -> Self {
        let Some(header) = KeyHeader::parse(keyframe) else { return Config::Unsuitable("VP9 that is damaged") };
        let codec = hls::Codec::Vp9(Vp9 {
            profile: header.profile,
            bit_depth: header.bit_depth,
            subsampling: header.subsampling,
            full_range: header.full_range,
        });
        Config::Video(Video { codec, width: config.width, height: config.height, quarters })
    }
}

/// The sequence header is an OBU with its size field, which takes one byte: it is shorter than 128.
fn av1(config: &CodecConfig) -> Option<Av1> {
    let obu = &config.parameter_sets;
    let head = if obu.first()? & 0x04 != 0 { 2 } else { 1 };
    let length = usize::from(*obu.get(head)?);
    let header = SequenceHeader::parse(obu.get(head + 1..).filter(|payload| payload.len() == length)?)?;
    Some(Av1 {
        profile: header.profile,
        level: header.level,
        tier: header.tier,
        bit_depth: header.bit_depth,
        monochrome: header.monochrome,
        subsampling: header.subsampling,
        chroma_position: header.chroma_position,
        sequence_header: obu.clone(),
    })
}

/// The formats of a broadcast; each has a number, equal ones the same.
#[derive(Debug, Default)]
pub(super) struct Configs {
    numbers: HashMap<Config, u32>,
    configs: Vec<Config>,
}

impl Configs {
    pub(super) fn number(&mut self, config: Config) -> u32 {
        let next = self.configs.len() as u32;
        *self.numbers.entry(config).or_insert_with_key(|config| {
            self.configs.push(config.clone());
            next
        })
    }

    /// The tracks of a segment, or the codec that cannot be put into one.
    pub(super) fn format(&self, segment: &hls::Segment) -> Result<Format, &'static str> {
        let mut format = Format::default();
        for (_, number) in segment.video.iter().chain(&segment.sound) {
            match self.configs.get(*number as usize) {
                Some(Config::Video(video)) => format.video = Some(video.clone()),
                Some(Config::Sound(sound)) => format.sound = Some(*sound),
                Some(Config::Unsuitable(codec)) => return Err(codec),
                None => return Err("a track without a configuration"),
            }
        }
        Ok(format)
    }
}
