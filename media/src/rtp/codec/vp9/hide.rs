//! Hides the lower spatial layers of a picture. Senders mark the frames of all layers as shown and leave it to the receiver to show the
//! largest; players of files show every frame that is marked.
//!
//! The mark is one bit, but a hidden frame's header has one more (`intra_only`), so that the header is read to its end (VP9 bitstream
//! specification §6.2). Sizes may come from earlier frames: what the eight reference slots hold is followed.

use crate::rtp::codec::bits::Bits;

use super::{colour, key_profile, profile};

type Size = (u16, u16);

/// What is in the reference slots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct References {
    sizes: [Option<Size>; 8],
}

/// Where the parts of an uncompressed header are, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub size: Size,
    /// Of `show_frame`; `None` when it is 0.
    shown_at: Option<usize>,
    /// Where `intra_only` goes once the frame is hidden; `None` in keyframes, which have none.
    intra_at: Option<usize>,
    pub error_resilient: bool,
    pub intra: bool,
    /// Bits without those that fill the last byte.
    len: usize,
    refresh: u8,
}

impl References {
    /// Reads the header of the next frame in decoding order and does to the slots what the frame does. `None` when it cannot be read or shows
    /// an earlier frame.
    pub(super) fn follow(&mut self, frame: &[u8]) -> Option<Header> {
        let header = self.read(frame)?;
        for (slot, size) in self.sizes.iter_mut().enumerate() {
            if header.refresh >> slot & 1 == 1 {
                *size = Some(header.size);
            }
        }
        Some(header)
    }

    fn read(&self, frame: &[u8]) -> Option<Header> {
        let first = *frame.first()?;
        let (profile, key) = (profile(first)?, key_profile(first).is_some());
        let mut bits = Bits::new(frame);
        bits.take(if profile == 3 { 5 } else { 4 })?;
        if bits.flag()? {
            return None;
        }
        bits.flag()?; // frame_type
        let shown_at = Some(bits.position());
        let shown_at = shown_at.filter(|_| bits.flag() == Some(true));
        let error_resilient = bits.flag()?;
        let intra_at = (!key).then_some(bits.position());
        let intra_only = !key && shown_at.is_none() && bits.flag()?;
        if !key && !error_resilient {
            bits.take(2)?; // reset_frame_context
        }
        let (size, refresh) = if key || intra_only {
            (bits.take(24)? == 0x49_83_42).then_some(())?;
            if key || profile > 0 {
                colour(&mut bits, profile)?;
            }
            let refresh = if key { 0xff } else { bits.take(8)? as u8 };
            let size = explicit_size(&mut bits)?;
            render_size(&mut bits)?;
            (size, refresh)
        } else {
            let refresh = bits.take(8)? as u8;
            let size = self.predicted_size(&mut bits)?;
            bits.flag()?; // allow_high_precision_mv
            if !bits.flag()? {
                bits.take(2)?; // raw_interpolation_filter
            }
            (size, refresh)
        };
        if !error_resilient {
            bits.take(2)?; // refresh_frame_context, frame_parallel_decoding_mode
        }
        bits.take(2)?; // frame_context_idx
        loop_filter(&mut bits)?;
        quantization(&mut bits)?;
        segmentation(&mut bits)?;
        tiles(&mut bits, size.0)?;
        // header_size_in_bytes, of the compressed header, which is never empty
        (bits.take(16)? > 0).then_some(())?;
        let len = bits.position();
        Some(Header { size, shown_at, intra_at, error_resilient, intra: key || intra_only, len, refresh })
    }

    /// `frame_size_with_refs`, behind the references.
    fn predicted_size(&self, bits: &mut Bits<'_>) -> Option<Size> {
        let mut slots = [0; 3];
        for slot in &mut slots {
            *slot = bits.take(3)? as usize;
            bits.flag()?; // ref_frame_sign_bias
        }
        let mut found = None;
        for slot in slots {
            if bits.flag()? {
                found = Some(self.sizes[slot]?);
                break;
            }
        }
        let size = match found {
            Some(size) => size,
            None => explicit_size(bits)?,
        };
        render_size(bits)?;
        Some(size)
    }
}

impl Header {
    /// The frame with this header, not shown. `None` when it is hidden already.
    pub(super) fn hidden(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let shown_at = self.shown_at?;
        let bit = |at: usize| frame[at / 8] >> (7 - at % 8) & 1;
        let mut bits: Vec<u8> = (0..self.len).map(bit).collect();
        bits[shown_at] = 0;
        if let Some(at) = self.intra_at {
            bits.insert(at, 0);
        }
        let bytes = bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |all, (at, bit)| all | bit << (7 - at)));
        Some(bytes.chain(frame[self.len.div_ceil(8)..].iter().copied()).collect())
    }
}

fn explicit_size(bits: &mut Bits<'_>) -> Option<Size> {
    let (width, height) = (bits.take(16)? + 1, bits.take(16)? + 1);
    Some((u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}

fn render_size(bits: &mut Bits<'_>) -> Option<()> {
    if bits.flag()? {
        bits.take(32)?;
    }
    Some(())
}

fn loop_filter(bits: &mut Bits<'_>) -> Option<()> {
    bits.take(9)?; // level, sharpness
    if bits.flag()? && bits.flag()? {
        for _ in 0..6 {
            optional(bits, 7)?; // deltas of references and modes
        }
    }
    Some(())
}

fn quantization(bits: &mut Bits<'_>) -> Option<()> {
    bits.take(8)?; // base_q_idx
    for _ in 0..3 {
        optional(bits, 5)?;
    }
    Some(())
}

fn segmentation(bits: &mut Bits<'_>) -> Option<()> {
    if !bits.flag()? {
        return Some(());
    }
    if bits.flag()? {
        for _ in 0..7 {
            optional(bits, 8)?; // tree probabilities
        }
        if bits.flag()? {
            for _ in 0..3 {
                optional(bits, 8)?; // prediction probabilities
            }
        }
    }
    if bits.flag()? {
        bits.flag()?; // segmentation_abs_or_delta_update
        for _ in 0..8 {
            // Value and sign of quantizer and loop filter, reference, skip.
            for count in [9, 7, 2, 0] {
                optional(bits, count)?;
            }
        }
    }
    Some(())
}

fn tiles(bits: &mut Bits<'_>, width: u16) -> Option<()> {
    let columns = u32::from(width).div_ceil(64);
    let least = (0..).find(|log2| 64 << log2 >= columns)?;
    let most = (1..).find(|log2| columns >> log2 < 4)? - 1;
    for _ in least..most.max(least) {
        if !bits.flag()? {
            break;
        }
    }
    optional(bits, 1) // tile_rows_log2
}

/// A bit that says whether `count` more follow.
fn optional(bits: &mut Bits<'_>, count: u32) -> Option<()> {
    if bits.flag()? {
        bits.take(count)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginnings of four frames as Chromium 156 sends them in "L3T3_KEY": both layers of a keyframe, 320 × 180 and 640 × 360, then both of
    /// the next picture.
    const FRAMES: [[u8; 22]; 4] = [
        *b"\x83\x49\x83\x42\x00\x13\xf0\x0b\x38\x13\xf8\x0b\x38\x68\xe0\x90\x70\x63\xe0\x00\x0f\x00",
        *b"\x87\x02\x02\x00\x04\xfe\x02\xce\xb1\x11\xc1\x20\xe0\xc7\xc0\x00\x15\xc0\x7f\x45\xfb\xbf",
        *b"\x87\x00\x00\x00\x02\x7e\x01\x67\x02\x7f\x01\x67\xb0\x01\xc1\x20\xe0\xcb\x60\x00\x04\x80",
        *b"\x87\x00\x20\x00\x04\xfe\x02\xce\x33\xf1\xc1\x20\xe0\xcd\x00\x00\x07\x00\x7e\xa2\x4b\x80",
    ];
    const SIZES: [Size; 4] = [(320, 180), (640, 360), (320, 180), (640, 360)];

    #[test]
    fn sizes_are_followed_through_references() {
        let mut references = References::default();
        for (frame, size) in FRAMES.iter().zip(SIZES) {
            let header = references.follow(frame).unwrap();
            assert_eq!((header.size, header.error_resilient), (size, true));
        }
        // In "L2T1" the upper layer takes its size from its own frame before.
        let upper = b"\x87\x02\x02\x04\x64\x63\x82\x41\xc1\x99\x63\x4e\xf0\x10\x16\x03\x01\xfb\xcb\x60\x30\x4f\x62\x9f\x00\x00\x00\x00\x21\x80\x7f\x1d\xf7\xfe\x4b\x7f";
        assert_eq!(References::default().follow(upper), None, "of a frame that never came");
        assert_eq!(references.follow(upper).map(|header| header.size), Some((640, 360)));
    }

    #[test]
    fn a_hidden_frame_is_the_same_but_for_being_hidden() {
        let (mut shown, mut hidden) = (References::default(), References::default());
        for (at, frame) in FRAMES.iter().enumerate() {
            let header = shown.follow(frame).unwrap();
            let data = header.hidden(frame).unwrap();
            let read = hidden.follow(&data).unwrap();
            let more = usize::from(at > 0);
            let expected = Header { shown_at: None, len: header.len + more, ..header };
            assert_eq!(read, expected, "frame {at}");
            assert_eq!(data[read.len.div_ceil(8)..], frame[header.len.div_ceil(8)..], "what follows stays");
            assert_eq!(read.hidden(&data), None, "once is enough");
        }
    }

    #[test]
    fn cut_headers_are_refused() {
        for frame in &FRAMES[..2] {
            let mut references = References::default();
            references.follow(&FRAMES[0]).unwrap();
            let len = references.follow(frame).unwrap().len.div_ceil(8);
            for cut in 0..len {
                let mut references = References::default();
                references.follow(&FRAMES[0]).unwrap();
                assert_eq!(references.follow(&frame[..cut]), None, "{cut} bytes");
            }
        }
    }
}
