//! A streamer's pictures in temporal and spatial layers, as browsers code them, and what a decoder needs of them.

use media::message::Codec;
use media::rtp::dependency::Dependencies;

use crate::publisher::AV1_SEQUENCE;

/// How a stream is layered; pictures are counted from 0, and each is a base picture after a keyframe.
#[derive(Clone, Copy)]
pub struct Scalable {
    pub codec: Codec,
    pub spatial: u8,
    pub temporal: u8,
    /// Packets of each layer's frame.
    pub packets: usize,
    /// Number of the newest keyframe.
    key: u32,
    base: u8,
}

/// Heights of spatial layers of three.
pub const HEIGHTS: [u16; 3] = [180, 360, 720];
/// Of AV1.
pub const SMALL_HEIGHTS: [u16; 3] = [90, 180, 360];

impl Scalable {
    pub fn new(codec: Codec, spatial: u8, temporal: u8) -> Self {
        Self { codec, spatial, temporal, packets: 2, key: 0, base: 0 }
    }

    /// The temporal layers of three: 0 2 1 2.
    pub fn temporal_of(&self, number: u32) -> u8 {
        match (self.temporal, (number - self.key) % 4) {
            (3, at) => [0, 2, 1, 2][at as usize],
            _ => 0,
        }
    }

    /// Pictures that this one needs. Every second picture of the middle layer, and those before it, need the base alone.
    fn needs(&self, number: u32) -> Vec<u32> {
        let at = number - self.key;
        match (self.temporal_of(number), at % 8) {
            _ if at == 0 => vec![],
            (0, _) => vec![number - if self.temporal == 3 { 4 } else { 1 }],
            (1, 2) => vec![number - 2],
            (1, _) => vec![number - 2, number - 4],
            _ => vec![number - 1],
        }
    }

    fn is_sync(&self, number: u32) -> bool {
        let temporal = self.temporal_of(number);
        temporal > 0 && self.needs(number).iter().all(|needed| self.temporal_of(*needed) == 0)
    }

    /// The payloads of one picture.
    pub fn picture(&mut self, number: u32, key: bool) -> Vec<Vec<u8>> {
        if key {
            self.key = number;
        }
        let temporal = self.temporal_of(number);
        self.base = self.base.wrapping_add(u8::from(temporal == 0));
        // Room for what the frame needs, so that whoever reads it needs to know nothing else.
        let mut told = number.to_be_bytes().to_vec();
        let needs = self.needs(number);
        told.push(needs.len() as u8);
        needs.iter().for_each(|needed| told.extend(needed.to_be_bytes()));
        (0..self.spatial).flat_map(|spatial| self.frame(number, key, (spatial, temporal), &told)).collect()
    }

    /// The dependency descriptor of one of AV1's packets, in three spatial layers: frames are numbered in the order of coding.
    pub fn descriptor(&self, number: u32, key: bool, at: usize) -> Vec<u8> {
        let (spatial, part) = (at / self.packets, at % self.packets);
        let mut bits = Vec::new();
        let mut put = |value: u32, count: u32| bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        put(u32::from(part == 0), 1);
        put(u32::from(part + 1 == self.packets), 1);
        put(2 * spatial as u32 + u32::from(!key), 6);
        put((3 * number + spatial as u32) & 0xffff, 16);
        if key && at == 0 {
            put(0b10000, 5);
            put(0, 6);
            put(2, 5); // decode targets less one
            [0, 2, 0, 2, 0, 3].into_iter().for_each(|step| put(step, 2));
            // Per template what it is to each target: 0 not there, 2 switch, 3 required.
            let indications = [[2, 2, 2], [2, 3, 3], [0, 2, 2], [0, 2, 3], [0, 0, 2], [0, 0, 2]];
            indications.into_iter().flatten().for_each(|indication| put(indication, 2));
            for references in [&[][..], &[3], &[1], &[3, 1], &[1], &[3, 1]] {
                references.iter().for_each(|back| put(16 | (back - 1), 5));
                put(0, 1);
            }
            put(0, 2); // no chains
            put(1, 1);
            for height in SMALL_HEIGHTS {
                put(u32::from(height) / 9 * 16 - 1, 16);
                put(u32::from(height) - 1, 16);
            }
        }
        let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at));
        bits.chunks(8).map(byte).collect()
    }

    fn frame(&self, number: u32, key: bool, (spatial, temporal): (u8, u8), told: &[u8]) -> Vec<Vec<u8>> {
        let last = self.packets - 1;
        let payload = |at: usize| {
            let head = match self.codec {
                Codec::Vp8 => {
                    let id = (number as u16 | 0x8000).to_be_bytes();
                    let layer = temporal << 6 | u8::from(self.is_sync(number)) << 5;
                    vec![if at == 0 { 0x90 } else { 0x80 }, 0xe0, id[0], id[1], self.base, layer]
                }
                Codec::Vp9 => {
                    let structure = key && spatial == 0 && at == 0;
                    let bits = [(!key, 0x40), (at == 0, 0x08), (at == last, 0x04), (structure, 0x02)];
                    let first = bits.iter().filter(|(set, _)| *set).fold(0xa0, |all, (_, bit)| all | bit);
                    let up = u8::from(number % 8 == self.key % 8) << 4;
                    let id = (number as u16 | 0x8000).to_be_bytes();
                    let layer = temporal << 5 | up | spatial << 1 | u8::from(spatial > 0);
                    let mut head = vec![first, id[0], id[1], layer, self.base];
                    if structure {
                        head.push((self.spatial - 1) << 5 | 0x10);
                        let heights = &HEIGHTS[3 - usize::from(self.spatial)..];
                        heights.iter().for_each(|height| {
                            head.extend([(height / 9 * 16).to_be_bytes(), height.to_be_bytes()].concat())
                        });
                    }
                    head
                }
                _ => {
                    let (z, y) = (if at > 0 { 0x80 } else { 0 }, if at < last { 0x40 } else { 0 });
                    if key && spatial == 0 && at == 0 {
                        [&[0x28 | y, AV1_SEQUENCE.len() as u8][..], &AV1_SEQUENCE].concat()
                    } else {
                        vec![0x10 | z | y]
                    }
                }
            };
            let frame: &[u8] = match (self.codec, key, at) {
                (_, _, 1..) => &[],
                (Codec::Vp8, true, _) => &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02],
                (Codec::Vp8, false, _) => &[0x11, 0, 0],
                (Codec::Av1, ..) => &[0x30, if key && spatial == 0 { 0x10 } else { 0x30 }],
                (_, true, _) if spatial == 0 => &[0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70],
                _ => &[0x86, 0, 0],
            };
            let mut payload = [&head, frame].concat();
            if at == 0 {
                payload.extend(told);
            }
            payload.resize(900, number as u8);
            payload
        };
        (0..self.packets).map(payload).collect()
    }
}

/// A layer's frame that came whole.
#[derive(Clone, Debug)]
pub struct Frame {
    pub number: u32,
    pub spatial: u8,
    pub temporal: u8,
    pub key: bool,
    pub needs: Vec<u32>,
    pub id: u16,
    pub at: std::time::Instant,
    /// Ends the picture.
    pub marker: bool,
}

/// Reads what [`Scalable`] wrote.
pub fn frames(codec: Codec, stream: &crate::viewer::Stream) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut open: Option<(Frame, usize)> = None;
    let (mut previous, mut dependencies) = (0, Dependencies::default());
    for (sequence, got) in stream.packets.iter().filter(|(_, got)| !got.payload.is_empty()) {
        let (spatial, temporal, id, start, key, len) = match codec {
            Codec::Vp8 => {
                let read = media::rtp::codec::vp8::Descriptor::parse(&got.payload).unwrap();
                let key = read.partition_start && got.payload[read.len] & 1 == 0;
                (0, read.temporal.unwrap().0, read.picture_id.unwrap(), read.partition_start, key, read.len)
            }
            Codec::Av1 => {
                let descriptor = got.descriptor.as_ref().expect("descriptors are on every packet");
                let read = dependencies.read(descriptor).expect("readable");
                let layer = read.layer;
                let key = got.payload[0] & 0x08 != 0;
                let len = if key { 1 + 1 + AV1_SEQUENCE.len() } else { 1 };
                (layer.spatial, layer.temporal, read.number, read.first_packet, key, len)
            }
            _ => {
                let read = media::rtp::codec::vp9::Descriptor::parse(&got.payload).unwrap();
                let (layer, id) = (read.layer, read.picture_id.unwrap());
                (layer.spatial, layer.temporal, id, read.begins_frame, !read.predicted, read.len)
            }
        };
        if start {
            let head = match (codec, key, spatial) {
                (Codec::Vp8, true, _) => 10,
                (Codec::Vp9, true, 0) => 9,
                (Codec::Av1, ..) => 2,
                _ => 3,
            };
            let told = &got.payload[len + head..];
            let read = |at: usize| u32::from_be_bytes(told[at..at + 4].try_into().unwrap());
            let needs = (0..usize::from(told[4])).map(|at| read(5 + 4 * at)).collect();
            let frame = Frame { number: read(0), spatial, temporal, key, needs, id, at: got.at, marker: false };
            open = Some((frame, 0));
        } else if previous + 1 != *sequence {
            open = None;
        }
        previous = *sequence;
        let Some((frame, count)) = &mut open else { continue };
        (*count, frame.marker, frame.at) = (*count + 1, got.marker, frame.at.max(got.at));
        if *count == 2 {
            frames.extend(open.take().map(|(frame, _)| frame));
        }
    }
    frames
}
