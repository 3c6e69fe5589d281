//! Packets of one track, in order, become access units.

use bytes::Bytes;

use crate::buffer::cache::Packet;
use crate::message::{Codec, CodecConfig, Orientation};
use crate::rtp::codec::{Assemble, Malformed, av1, h264, vp8, vp9};

/// A complete picture or sound packet, not yet on the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub key: bool,
    pub timestamp: u64,
    pub first_index: u64,
    pub last_index: u64,
    pub data: Bytes,
    /// Keyframes and sound: the format from here on.
    pub config: Option<CodecConfig>,
    pub orientation: Orientation,
    /// Which sender of the track it came from.
    pub source: u32,
    /// Units before it are missing.
    pub after_loss: bool,
}

#[derive(Clone, Copy, Debug)]
struct Building {
    timestamp: u64,
    first_index: u64,
    last_index: u64,
    orientation: Orientation,
}

/// Of one codec. It is fed without holes: the caller discards where one is.
#[derive(Debug)]
pub struct Units {
    codec: Codec,
    building: Option<Building>,
    joint: Joint,
    config: Option<CodecConfig>,
}

/// The payloads of the unit in work.
#[derive(Debug)]
enum Joint {
    Vp8(Vec<u8>),
    Vp9(vp9::Assembler),
    H264(h264::Assembler),
    Av1(av1::Assembler),
    Opus(Vec<u8>),
}

impl Units {
    pub fn new(codec: Codec) -> Self {
        let joint = match codec {
            Codec::Vp8 => Joint::Vp8(Vec::new()),
            Codec::Vp9 => Joint::Vp9(vp9::Assembler::default()),
            Codec::H264 => Joint::H264(h264::Assembler::default()),
            Codec::Av1 => Joint::Av1(av1::Assembler::default()),
            Codec::Opus => Joint::Opus(Vec::new()),
        };
        Self { codec, building: None, joint, config: None }
    }

    /// Timestamp of the unit in work; `None` between units.
    pub fn building_timestamp(&self) -> Option<u64> {
        self.building.map(|building| building.timestamp)
    }

    /// Forgets the unit in work.
    pub fn discard(&mut self) {
        self.building = None;
        match &mut self.joint {
            Joint::Vp8(frame) | Joint::Opus(frame) => frame.clear(),
            Joint::Vp9(picture) => picture.discard(),
            Joint::H264(picture) => picture.discard(),
            Joint::Av1(picture) => picture.discard(),
        }
    }

    /// The next packet, of the unit in work or the first of one.
    pub fn append(&mut self, packet: Packet<'_>) -> Result<(), Malformed> {
        let meta = packet.meta;
        let building = self.building.get_or_insert(Building {
            timestamp: meta.timestamp,
            first_index: meta.index,
            last_index: meta.index,
            orientation: Orientation::UPRIGHT,
        });
        building.last_index = meta.index;
        building.orientation = meta.orientation.unwrap_or(building.orientation);
        match &mut self.joint {
            Joint::Vp8(frame) => vp8::append(frame, packet.payload),
            Joint::Vp9(picture) => picture.append(packet.payload),
            Joint::H264(picture) => picture.append(packet.payload),
            Joint::Av1(picture) => picture.append(packet.payload),
            Joint::Opus(sound) => {
                sound.extend_from_slice(packet.primary());
                Ok(())
            }
        }
    }

    /// The unit in work is complete. `None` when it has no picture, or a keyframe lacks its parameter sets.
    pub fn finish(&mut self) -> Result<Option<Unit>, Malformed> {
        let Some(building) = self.building.take() else { return Ok(None) };
        let Building { timestamp, first_index, last_index, orientation } = building;
        let mut found = None;
        let data = match &mut self.joint {
            Joint::Vp8(frame) => {
                let frame = std::mem::take(frame);
                let size = vp8::key_size(&frame);
                if size.is_none() && frame.first().is_some_and(|byte| byte & 1 == 0) {
                    return Err(Malformed::Truncated);
                }
                found = size.map(|size| Found { size, ..Found::default() });
                frame
            }
            Joint::Vp9(picture) => {
                let Some(assembled) = picture.finish()? else { return Ok(None) };
                found = assembled.key.map(|key| Found { size: (key.width, key.height), ..Found::default() });
                assembled.data
            }
            Joint::H264(picture) => {
                let Some(assembled) = picture.finish()? else { return Ok(None) };
                if assembled.key {
                    let Some(size) = picture.size().filter(|_| picture.has_parameter_sets()) else { return Ok(None) };
                    found = Some(Found { size, parameter_sets: picture.parameter_sets(), ..Found::default() });
                }
                assembled.data
            }
            Joint::Av1(picture) => {
                let Some(assembled) = picture.finish()? else { return Ok(None) };
                if let Some((header, obu)) = picture.sequence().filter(|_| assembled.key) {
                    let parameter_sets = obu.to_vec();
                    found = Some(Found { size: (header.width, header.height), parameter_sets, ..Found::default() });
                }
                assembled.data
            }
            Joint::Opus(sound) => {
                // RTP's Opus is always announced as stereo (RFC 7587 §7); decoders take mono packets in it.
                found = Some(Found { channels: 2, ..Found::default() });
                std::mem::take(sound)
            }
        };
        let key = found.is_some();
        if let Some(found) = found {
            self.configure(found);
        }
        let config = self.config.clone().filter(|_| key);
        Ok(Some(Unit {
            key,
            timestamp,
            first_index,
            last_index,
            data: data.into(),
            config,
            orientation,
            source: 0,
            after_loss: false,
        }))
    }

    fn configure(&mut self, found: Found) {
        let Found { size: (width, height), channels, parameter_sets } = found;
        let same = |config: &CodecConfig| {
            config.width == width && config.height == height && config.parameter_sets[..] == parameter_sets[..]
        };
        if !self.config.as_ref().is_some_and(same) {
            let codec = self.codec;
            self.config = Some(CodecConfig { codec, width, height, channels, parameter_sets: parameter_sets.into() });
        }
    }
}

/// What a keyframe says about the format.
#[derive(Default)]
struct Found {
    /// Pixels.
    size: (u16, u16),
    channels: u8,
    parameter_sets: Vec<u8>,
}
