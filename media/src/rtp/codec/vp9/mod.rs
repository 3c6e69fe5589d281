//! VP9 over RTP (RFC 9628): payload descriptor, keyframes and their format, pictures from packets.

mod hide;

use super::bits::Bits;
use super::{Assemble, Inspected, Malformed};
use crate::limit;
use crate::rtp::layer::{LayerId, SwitchUp};
use hide::{Header, References};

/// Pictures that one picture may name as its references (§4.2).
const REFERENCES: usize = 3;
/// Frames in one superframe, which is one picture of all spatial layers (VP9 bitstream specification, Annex B).
const SUPERFRAME_FRAMES: usize = 8;

/// The payload descriptor (RFC 9628 §4.2), as far as we use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes of the descriptor.
    pub len: usize,
    pub picture_id: Option<u16>,
    /// Needs pictures before it (P).
    pub predicted: bool,
    /// First packet of a layer's frame (B).
    pub begins_frame: bool,
    /// Last packet of a layer's frame (E).
    pub ends_frame: bool,
    pub layer: LayerId,
    /// No picture above this one's temporal layer that follows needs one before it (U).
    pub switching_point: bool,
    /// The frame of the spatial layer below is needed (D).
    pub needs_lower_layer: bool,
    /// Index of the base layer's picture that this one belongs to (TL0PICIDX).
    pub base_index: Option<u8>,
    /// Pixels of the spatial layers, where the scalability structure says so.
    pub sizes: Option<Sizes>,
}

/// Width and height of each spatial layer's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    count: usize,
    sizes: [(u16, u16); SUPERFRAME_FRAMES],
}

impl Sizes {
    /// The lowest layer first.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16)> {
        self.sizes.into_iter().take(self.count)
    }

    /// Of the highest layer.
    pub fn largest(&self) -> (u16, u16) {
        self.sizes[self.count - 1]
    }
}

impl Descriptor {
    /// `None` when it is cut, or names more references than there can be.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut rest = Rest(payload);
        let first = rest.byte()?;
        let has = |bit: u8| first & bit != 0;
        let (predicted, flexible) = (has(0x40), has(0x10));
        let picture_id = if has(0x80) { Some(rest.picture_id()?) } else { None };
        let (mut layer, mut base_index) = (0, None);
        if has(0x20) {
            layer = rest.byte()?;
            base_index = if flexible { None } else { Some(rest.byte()?) };
        }
        if flexible && predicted {
            rest.references()?;
        }
        let sizes = if has(0x02) { rest.structure()? } else { None };
        Some(Self {
            len: payload.len() - rest.0.len(),
            picture_id,
            predicted,
            begins_frame: has(0x08),
            ends_frame: has(0x04),
            layer: LayerId { spatial: layer >> 1 & 7, temporal: layer >> 5 },
            switching_point: layer & 0x10 != 0,
            needs_lower_layer: layer & 1 != 0,
            base_index,
            sizes,
        })
    }
}

/// What is left of a payload.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    /// 7 or 15 bits.
    fn picture_id(&mut self) -> Option<u16> {
        let id = self.byte()?;
        Some(if id & 0x80 == 0 { u16::from(id) } else { u16::from_be_bytes([id & 0x7f, self.byte()?]) })
    }

    fn references(&mut self) -> Option<()> {
        for _ in 0..REFERENCES {
            if self.byte()? & 1 == 0 {
                return Some(());
            }
        }
        None
    }

    /// The scalability structure (§4.2.1).
    fn structure(&mut self) -> Option<Option<Sizes>> {
        let head = self.byte()?;
        let mut sizes = None;
        if head & 0x10 != 0 {
            let mut all = Sizes { count: usize::from(head >> 5) + 1, sizes: [(0, 0); SUPERFRAME_FRAMES] };
            for size in &mut all.sizes[..all.count] {
                let [w0, w1, h0, h1]: [u8; 4] = *self.0.first_chunk()?;
                self.skip(4)?;
                *size = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
            }
            sizes = Some(all);
        }
        if head & 0x08 != 0 {
            for _ in 0..self.byte()? {
                let picture = self.byte()?;
                self.skip(usize::from(picture >> 2 & 3))?;
            }
        }
        Some(sizes)
    }
}

/// What the uncompressed header of a keyframe says (VP9 bitstream specification §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    /// 0 to 3.
    pub profile: u8,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// Chroma has half the columns, half the rows.
    pub subsampling: (bool, bool),
    /// `color_space`, 0 when unknown.
    pub colour_space: u8,
    pub full_range: bool,
    /// Pixels.
    pub width: u16,
    pub height: u16,
}

/// `color_space` of RGB.
const RGB: u8 = 7;

impl KeyHeader {
    /// `None` for other frames and malformed ones.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let profile = key_profile(*frame.first()?)?;
        let mut bits = Bits::new(frame);
        bits.take(if profile == 3 { 7 } else { 6 })?;
        bits.take(2)?; // show_frame, error_resilient_mode
        if bits.take(24)? != 0x49_83_42 {
            return None;
        }
        let Colour { bit_depth, colour_space, full_range, subsampling } = colour(&mut bits, profile)?;
        let (width, height) = (bits.take(16)? + 1, bits.take(16)? + 1);
        let (width, height) = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
        Some(Self { profile, bit_depth, subsampling, colour_space, full_range, width, height })
    }
}

struct Colour {
    bit_depth: u8,
    colour_space: u8,
    full_range: bool,
    subsampling: (bool, bool),
}

/// `color_config` (§6.2.2).
fn colour(bits: &mut Bits<'_>, profile: u8) -> Option<Colour> {
    let bit_depth = if profile < 2 { 8 } else { [10, 12][usize::from(bits.flag()?)] };
    let colour_space = bits.take(3)? as u8;
    let odd = profile & 1 == 1;
    let (full_range, subsampling) = if colour_space == RGB {
        // Only the odd profiles have it, with a reserved bit.
        odd.then_some(())?;
        bits.flag()?;
        (true, (false, false))
    } else {
        let full_range = bits.flag()?;
        let subsampling = if odd { (bits.flag()?, bits.flag()?) } else { (true, true) };
        if odd {
            bits.flag()?; // reserved_zero
        }
        (full_range, subsampling)
    };
    Some(Colour { bit_depth, colour_space, full_range, subsampling })
}

/// The profile of a frame that begins with this byte; `None` when no frame does.
pub fn profile(first: u8) -> Option<u8> {
    (first >> 6 == 0b10).then_some(first >> 5 & 1 | first >> 3 & 2)
}

/// The profile of a keyframe that begins with this byte; `None` when it is no keyframe.
fn key_profile(first: u8) -> Option<u8> {
    let profile = profile(first)?;
    // show_existing_frame and frame_type, behind a reserved bit in profile 3: both 0.
    let both = if profile == 3 { first & 0x06 } else { first & 0x0c };
    (both == 0).then_some(profile)
}

/// A keyframe is what its own header calls one: some senders never set P.
pub fn inspect(payload: &[u8]) -> Option<Inspected> {
    let descriptor = Descriptor::parse(payload)?;
    let first = *payload.get(descriptor.len)?;
    let start = descriptor.begins_frame && descriptor.layer.spatial == 0;
    Some(Inspected {
        start,
        key: start && !descriptor.predicted && key_profile(first).is_some(),
        end: descriptor.ends_frame,
        layer: descriptor.layer,
        switch_up: if descriptor.switching_point { SwitchUp::After } else { SwitchUp::No },
        ..Inspected::default()
    })
}

/// The header of the keyframe that begins with this payload.
pub fn key_header(payload: &[u8]) -> Option<KeyHeader> {
    let descriptor = Descriptor::parse(payload).filter(|descriptor| descriptor.begins_frame)?;
    let header = KeyHeader::parse(&payload[descriptor.len..])?;
    let (width, height) = descriptor.sizes.map_or((header.width, header.height), |sizes| sizes.largest());
    Some(KeyHeader { width: width.max(header.width), height: height.max(header.height), ..header })
}

/// A finished picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// The header of a keyframe, with the size of the largest spatial layer.
    pub key: Option<KeyHeader>,
    /// One frame, or those of all spatial layers as one superframe (Annex B) of which the last is shown.
    pub data: Vec<u8>,
}

/// Joins the payloads of one picture.
#[derive(Debug, Default)]
pub struct Assembler {
    data: Vec<u8>,
    /// Where the frames of the spatial layers begin.
    frames: Vec<usize>,
    open: bool,
    size: Option<(u16, u16)>,
    references: References,
}

impl Assemble for Assembler {
    type Unit = Assembled;

    fn append(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let descriptor = Descriptor::parse(payload).ok_or(Malformed::Truncated)?;
        let data = &payload[descriptor.len..];
        if data.is_empty() {
            return Err(Malformed::Truncated);
        }
        if self.data.len() + data.len() > limit::ACCESS_UNIT_BYTES {
            return Err(Malformed::TooLarge);
        }
        match (descriptor.begins_frame, self.open) {
            (true, true) => return Err(Malformed::MissingEnd),
            (false, false) => return Err(Malformed::MissingStart),
            (true, false) if self.frames.len() == SUPERFRAME_FRAMES => return Err(Malformed::Unsupported),
            (true, false) => self.frames.push(self.data.len()),
            (false, true) => {}
        }
        self.open = !descriptor.ends_frame;
        self.size = descriptor.sizes.map(|sizes| sizes.largest()).or(self.size);
        self.data.extend_from_slice(data);
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<Assembled>, Malformed> {
        let (mut data, frames) = (std::mem::take(&mut self.data), std::mem::take(&mut self.frames));
        let (open, size) = (std::mem::take(&mut self.open), self.size.take());
        if open {
            return Err(Malformed::MissingEnd);
        }
        let Some(&first) = data.first() else { return Ok(None) };
        let mut key = KeyHeader::parse(&data);
        if key.is_none() && key_profile(first).is_some() {
            return Err(Malformed::Truncated);
        }
        if let (Some(key), Some((width, height))) = (&mut key, size) {
            (key.width, key.height) = (key.width.max(width), key.height.max(height));
        }
        let ends = frames.iter().skip(1).copied().chain([data.len()]);
        let layers: Vec<&[u8]> = frames.iter().zip(ends).map(|(from, to)| &data[*from..to]).collect();
        let headers: Vec<Option<Header>> = layers.iter().map(|layer| self.references.follow(layer)).collect();
        if layers.len() > 1 {
            data = superframe(&layers, &headers);
        }
        Ok(Some(Assembled { key, data }))
    }

    fn discard(&mut self) {
        *self = Self { references: self.references, ..Self::default() };
    }
}

/// All layers, the lower ones hidden, and the index (Annex B) without which a file's reader does not know that a sample has several frames.
fn superframe(layers: &[&[u8]], headers: &[Option<Header>]) -> Vec<u8> {
    let marker = 0b1101_1000 | (layers.len() - 1) as u8; // sizes of four bytes
    let (mut data, mut index) = (Vec::new(), vec![marker]);
    for (at, layer) in layers.iter().enumerate() {
        // A frame of the same size would take motion from a shown frame before it, and not from a hidden one.
        let next = headers.get(at + 1).copied().flatten();
        let may_hide =
            |own: &Header| next.is_some_and(|next| next.size != own.size || next.error_resilient || next.intra);
        let hidden = headers[at].filter(may_hide).and_then(|own| own.hidden(layer));
        let frame = hidden.as_deref().unwrap_or(layer);
        data.extend_from_slice(frame);
        index.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    }
    index.push(marker);
    data.extend(index);
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::codec::assemble;

    /// 640 × 360, profile 0, 8 bits, BT.601; as vp9enc of GStreamer 1.22 begins a keyframe.
    const KEY: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x78, 0x00];

    #[test]
    fn descriptors() {
        let table: &[(&str, &[u8], Option<usize>)] = &[
            ("plain", &[0x0c], Some(1)),
            ("picture id of 7 bits", &[0x8c, 0x11], Some(2)),
            ("picture id of 15 bits", &[0x8c, 0x91, 0x22], Some(3)),
            ("layers, not flexible", &[0xac, 0x91, 0x22, 0x00, 7], Some(5)),
            ("layers, flexible, two references", &[0xfc, 0x91, 0x22, 0x00, 0x03, 0x04], Some(6)),
            ("three references", &[0xdc, 0x11, 0x03, 0x05, 0x06], Some(5)),
            ("a fourth reference", &[0xdc, 0x11, 0x03, 0x05, 0x07, 0x02], None),
            ("structure with sizes and pictures", &[0x0e, 0x38, 0, 1, 0, 2, 0, 3, 0, 4, 1, 0x04, 1], Some(13)),
            ("structure with nothing", &[0x0e, 0x00], Some(2)),
            ("empty", &[], None),
            ("picture id cut", &[0x8c], None),
            ("long picture id cut", &[0x8c, 0x91], None),
            ("layer cut", &[0x2c], None),
            ("base index cut", &[0x2c, 0x00], None),
            ("references cut", &[0x5c, 0x03], None),
            ("sizes cut", &[0x0e, 0x30, 0, 1, 0, 2, 0, 3, 0], None),
            ("pictures cut", &[0x0e, 0x08, 2, 0x00], None),
            ("a picture's references cut", &[0x0e, 0x08, 1, 0x0c, 1, 2], None),
        ];
        for (name, payload, len) in table {
            assert_eq!(Descriptor::parse(payload).map(|descriptor| descriptor.len), *len, "{name}");
        }
    }

    #[test]
    fn numbers_layers_and_sizes_are_read() {
        let read =
            Descriptor::parse(&[0xaa, 0x91, 0x22, 0b0101_0011, 9, 0x30, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68]).unwrap();
        assert_eq!((read.picture_id, read.base_index), (Some(0x1122), Some(9)));
        assert_eq!(read.layer, LayerId { spatial: 1, temporal: 2 });
        assert!(read.switching_point && read.needs_lower_layer && read.begins_frame && !read.ends_frame);
        assert_eq!(read.sizes.map(|sizes| sizes.largest()), Some((640, 360)));
    }

    type Case = (&'static str, &'static [u8], Option<(bool, bool)>);

    #[test]
    fn keyframes_are_what_their_header_says() {
        let table: &[Case] = &[
            ("key", &[0x88, 1, 0x82], Some((true, true))),
            ("key of profile 2", &[0x88, 1, 0x92], Some((true, true))),
            ("key of profile 3", &[0x88, 1, 0xb1], Some((true, true))),
            ("its second packet", &[0x84, 1, 0x82], Some((false, false))),
            ("its upper spatial layer", &[0xa8, 1, 0x02, 7, 0x82], Some((false, false))),
            ("inter", &[0xc8, 1, 0x86], Some((false, true))),
            ("inter from a sender that never sets P", &[0x88, 1, 0x86], Some((false, true))),
            ("predicted though it looks like a key", &[0xc8, 1, 0x82], Some((false, true))),
            ("shows an earlier frame", &[0x88, 1, 0x88], Some((false, true))),
            ("no frame", &[0x88, 1, 0x42], Some((false, true))),
            ("descriptor alone", &[0x88, 1], None),
        ];
        for (name, payload, expected) in table {
            assert_eq!(inspect(payload).map(|seen| (seen.key, seen.start)), *expected, "{name}");
        }
        let seen = inspect(&[0xa8, 1, 0b0011_0010, 7, 0x86]).unwrap();
        assert_eq!((seen.layer, seen.switch_up), (LayerId { spatial: 1, temporal: 1 }, SwitchUp::After));
    }

    #[test]
    fn keyframes_tell_their_format() {
        let eight = KeyHeader::parse(&KEY).unwrap();
        assert_eq!((eight.profile, eight.bit_depth, eight.width, eight.height), (0, 8, 640, 360));
        assert_eq!((eight.subsampling, eight.colour_space, eight.full_range), ((true, true), 1, false));
        // Profile 2: one bit more in front, so that all behind it moves.
        let ten = KeyHeader::parse(&[0x92, 0x49, 0x83, 0x42, 0x10, 0x13, 0xf8, 0x0b, 0x3c, 0x00]).unwrap();
        assert_eq!((ten.profile, ten.bit_depth, ten.width, ten.height), (2, 10, 640, 360));
        for len in 0..KEY.len() - 1 {
            assert_eq!(KeyHeader::parse(&KEY[..len]), None, "{len} bytes");
        }
        let mut wrong = KEY;
        wrong[1] = 0;
        assert_eq!(KeyHeader::parse(&wrong), None, "the sync code");
        assert_eq!(
            KeyHeader::parse(&[0x82, 0x49, 0x83, 0x42, 0xe0, 0x27, 0xf0, 0x16, 0x78, 0]),
            None,
            "RGB in profile 0"
        );
    }

    #[test]
    fn pictures_are_joined_without_descriptors() {
        let first = [&[0x88, 1][..], &KEY[..4]].concat();
        let last = [&[0x84, 1][..], &KEY[4..]].concat();
        let key = assemble(&mut Assembler::default(), &[&first, &last]).unwrap().unwrap();
        assert_eq!((key.key.map(|key| key.width), &key.data[..]), (Some(640), &KEY[..]));
        let inter = assemble(&mut Assembler::default(), &[&[0x8c, 2, 0x86, 9]]).unwrap().unwrap();
        assert_eq!(inter, Assembled { key: None, data: vec![0x86, 9] });
        assert_eq!(assemble(&mut Assembler::default(), &[]), Ok(None));
    }

    #[test]
    fn spatial_layers_become_one_superframe() {
        let base = [&[0xae, 1, 0x00, 7, 0x30, 2, 0x80, 1, 0x68, 5, 0, 2, 0xd0][..], &KEY].concat();
        let unit = assemble(&mut Assembler::default(), &[&base, &[0xac, 1, 0x03, 7, 0x86, 5, 6]]).unwrap().unwrap();
        assert_eq!(unit.key.map(|key| (key.width, key.height)), Some((1280, 720)));
        assert_eq!(unit.data, [&KEY[..], &[0x86, 5, 6, 0xd9, 10, 0, 0, 0, 3, 0, 0, 0, 0xd9]].concat());
    }

    #[test]
    fn broken_pictures_are_refused() {
        let table: &[(&[&[u8]], Malformed)] = &[
            (&[&[0x84, 1, 0x86]], Malformed::MissingStart),
            (&[&[0x88, 1, 0x86]], Malformed::MissingEnd),
            (&[&[0x88, 1, 0x86], &[0x88, 1, 0x86]], Malformed::MissingEnd),
            (&[&[0x8c, 1]], Malformed::Truncated),
            (&[&[0x8c]], Malformed::Truncated),
            (&[&[0x8c, 1, 0x82, 0x49]], Malformed::Truncated),
            (&[&[0x8c, 1, 0x86][..]; 9], Malformed::Unsupported),
        ];
        for (payloads, expected) in table {
            assert_eq!(assemble(&mut Assembler::default(), payloads), Err(*expected), "{payloads:x?}");
        }
    }
}
