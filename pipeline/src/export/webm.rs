//! What webmmux of GStreamer 1.22 leaves wrong in a finished file, put right in place; nothing moves.
//!
//! - Its duration ends with the start of the last picture, because pictures go in without a duration (see `mux`).
//! - In a file of a single moment it writes a Void over the Duration, one byte too short, so that what follows cannot be read.
//! - It marks no block of sound as a keyframe. Chromium then cannot seek to a moment before the first picture.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::places::{Place, Places};

// Element ids, RFC 9559 §5.1.
pub(super) const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const DURATION: u32 = 0x4489;
/// Id and size of a Duration of eight bytes.
const DURATION_HEADER: [u8; 3] = [0x44, 0x89, 0x88];
const VOID: u32 = 0xec;
pub(super) const TRACKS: u32 = 0x1654_ae6b;
pub(super) const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
pub(super) const TRACK_TYPE: u32 = 0x83;
const CLUSTER: u32 = 0x1f43_b675;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
/// Value of a TrackType.
const AUDIO: u8 = 2;
/// In the flags of a SimpleBlock.
const KEYFRAME: u8 = 0x80;

/// What is found in a file.
#[derive(Default)]
struct Found {
    /// Where its value lies.
    duration: Option<u64>,
    /// Where the Void begins that was written over it.
    voided: Option<u64>,
    sound: Option<u8>,
    blocks: Vec<Block>,
}

/// A SimpleBlock or a Block.
struct Block {
    track: u64,
    /// Where its flags lie, and what they are.
    flags_at: u64,
    flags: u8,
    /// A SimpleBlock, whose flags tell a keyframe.
    simple: bool,
    /// What follows the flags.
    place: Place,
}

/// Corrects the file. Its unit of time is the millisecond.
pub(super) fn correct(path: &Path, duration_ns: u64) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut found = Found::default();
    let mut input = BufReader::new(&file);
    walk(&mut input, 0, length, 0, &mut found)?;
    let value = (duration_ns as f64 / 1e6).to_be_bytes();
    match (found.duration, found.voided) {
        (Some(at), _) => file.write_all_at(&value, at)?,
        (None, Some(at)) => file.write_all_at(&[&DURATION_HEADER[..], &value].concat(), at)?,
        (None, None) => return Err(malformed("there is no duration")),
    }
    for block in found.blocks.iter().filter(|block| block.simple && found.sound.map(u64::from) == Some(block.track)) {
        file.write_all_at(&[block.flags | KEYFRAME], block.flags_at)?;
    }
    Ok(())
}

/// Where the pictures and the packets of sound lie.
pub(super) fn places(path: &Path) -> io::Result<Places> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut found = Found::default();
    walk(&mut BufReader::new(&file), 0, length, 0, &mut found)?;
    let (sound, video): (Vec<_>, Vec<_>) =
        found.blocks.iter().partition(|block| found.sound.map(u64::from) == Some(block.track));
    let places = |blocks: Vec<&Block>| blocks.into_iter().map(|block| block.place).collect();
    Ok(Places { video: places(video), sound: places(sound) })
}

pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the muxer wrote no proper WebM: {what}"))
}

fn walk(input: &mut BufReader<&File>, mut at: u64, end: u64, parent: u32, found: &mut Found) -> io::Result<()> {
    let mut track = (0, 0);
    while at < end {
        seek(input, at)?;
        let (id, id_bytes) = number(input, true)?;
        let (size, size_bytes) = number(input, false)?;
        let begin = at + id_bytes + size_bytes;
        let next =
            begin.checked_add(size).filter(|next| *next <= end).ok_or_else(|| malformed("an element is cut off"))?;
        let id = u32::try_from(id).unwrap_or(0);
        match id {
            SEGMENT | INFO | TRACKS | TRACK_ENTRY | CLUSTER | BLOCK_GROUP => walk(input, begin, next, id, found)?,
            // As long as the Duration was: one byte more than it says.
            VOID if parent == INFO && size == 8 => {
                found.voided = Some(at);
                at = next + 1;
                continue;
            }
            DURATION if size == 8 => found.duration = Some(begin),
            TRACK_NUMBER if size == 1 => track.0 = byte(input)?,
            TRACK_TYPE if size == 1 => track.1 = byte(input)?,
            SIMPLE_BLOCK | BLOCK => {
                let (track, number_bytes) = number(input, false)?;
                let mut rest = [0; 3];
                input.read_exact(&mut rest)?;
                let offset = begin + number_bytes + 3;
                let size = next.checked_sub(offset).and_then(|size| u32::try_from(size).ok());
                let size = size.ok_or_else(|| malformed("a block is cut off"))?;
                found.blocks.push(Block {
                    track,
                    flags_at: offset - 1,
                    flags: rest[2],
                    simple: id == SIMPLE_BLOCK,
                    place: Place { offset, size },
                });
            }
            _ => {}
        }
        at = next;
    }
    if track.1 == AUDIO {
        found.sound = Some(track.0);
    }
    Ok(())
}

/// Keeps the buffer when the target lies in it.
pub(super) fn seek(input: &mut BufReader<&File>, at: u64) -> io::Result<()> {
    let here = input.stream_position()?;
    match i64::try_from(i128::from(at) - i128::from(here)) {
        Ok(by) => input.seek_relative(by),
        Err(_) => input.seek(SeekFrom::Start(at)).map(|_| ()),
    }
}

fn byte(input: &mut BufReader<&File>) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// A variable-size integer (RFC 8794 §4) and its length in bytes; ids keep their marker.
pub(super) fn number(input: &mut BufReader<&File>, keep_marker: bool) -> io::Result<(u64, u64)> {
    let first = byte(input)?;
    let more = first.leading_zeros();
    if more > 7 {
        return Err(malformed("a number has no length"));
    }
    let mut value = u64::from(if keep_marker { first } else { first & (0x7f >> more) });
    for _ in 0..more {
        value = (value << 8) | u64::from(byte(input)?);
    }
    Ok((value, u64::from(more) + 1))
}
