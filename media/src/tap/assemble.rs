//! Packets of one track, in order, become access units.

use bytes::Bytes;

use crate::buffer::cache::Packet;
use crate::message::{Codec, CodecConfig};
use crate::rtp::codec::{Malformed, h264, vp8};

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
}

/// Of one codec. It is fed without holes: the caller discards where one is.
#[derive(Debug)]
pub struct Units {
    codec: Codec,
    building: Option<Building>,
    frame: Vec<u8>,
    h264: h264::Assembler,
    config: Option<CodecConfig>,
}

impl Units {
    pub fn new(codec: Codec) -> Self {
        Self { codec, building: None, frame: Vec::new(), h264: h264::Assembler::default(), config: None }
    }

    /// Timestamp of the unit in work; `None` between units.
    pub fn building_timestamp(&self) -> Option<u64> {
        self.building.map(|building| building.timestamp)
    }

    /// Forgets the unit in work.
    pub fn discard(&mut self) {
        self.building = None;
        self.frame.clear();
        self.h264.discard();
    }

    /// The next packet, of the unit in work or the first of one.
    pub fn append(&mut self, packet: Packet<'_>) -> Result<(), Malformed> {
        let meta = packet.meta;
        let building = self.building.get_or_insert(Building {
            timestamp: meta.timestamp,
            first_index: meta.index,
            last_index: meta.index,
        });
        building.last_index = meta.index;
        match self.codec {
            Codec::Vp8 => vp8::append(&mut self.frame, packet.payload),
            Codec::H264 => self.h264.append(packet.payload),
            Codec::Opus => {
                self.frame.extend_from_slice(packet.payload);
                Ok(())
            }
        }
    }

    /// The unit in work is complete. `None` when it has no picture, or a keyframe lacks its parameter sets.
    pub fn finish(&mut self) -> Result<Option<Unit>, Malformed> {
        let Some(Building { timestamp, first_index, last_index }) = self.building.take() else { return Ok(None) };
        let (key, data) = match self.codec {
            Codec::Vp8 => {
                let frame = std::mem::take(&mut self.frame);
                let size = vp8::key_size(&frame);
                if let Some((width, height)) = size {
                    self.configure(width, height, 0, Vec::new());
                } else if frame.first().is_some_and(|byte| byte & 1 == 0) {
                    return Err(Malformed::Truncated);
                }
                (size.is_some(), frame)
            }
            Codec::H264 => {
                let Some(assembled) = self.h264.finish()? else { return Ok(None) };
                if assembled.key {
                    let Some((width, height)) = self.h264.size().filter(|_| self.h264.has_parameter_sets()) else {
                        return Ok(None);
                    };
                    let sets = self.h264.parameter_sets();
                    self.configure(width, height, 0, sets);
                }
                (assembled.key, assembled.data)
            }
            Codec::Opus => {
                let packet = std::mem::take(&mut self.frame);
                // RTP's Opus is always announced as stereo (RFC 7587 §7); decoders take mono packets in it.
                self.configure(0, 0, 2, Vec::new());
                (true, packet)
            }
        };
        let config = self.config.clone().filter(|_| key);
        let data = data.into();
        Ok(Some(Unit { key, timestamp, first_index, last_index, data, config, source: 0, after_loss: false }))
    }

    fn configure(&mut self, width: u16, height: u16, channels: u8, parameter_sets: Vec<u8>) {
        let same = |config: &CodecConfig| {
            config.width == width && config.height == height && config.parameter_sets[..] == parameter_sets[..]
        };
        if !self.config.as_ref().is_some_and(same) {
            let codec = self.codec;
            self.config = Some(CodecConfig { codec, width, height, channels, parameter_sets: parameter_sets.into() });
        }
    }
}
