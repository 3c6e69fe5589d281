//! How the picture of a finished WebM is to be turned (ProjectionPoseRoll, RFC 9559 §5.1.4.1.28.46). webmmux writes no such element. It is given the room of the track's
//! name, which says "Video", and of a length that is written longer than it need be; nothing else moves.
//!
//! Chromium and ffmpeg turn the picture by it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use media::message::Orientation;

use super::webm::{SEGMENT, TRACK_ENTRY, TRACK_TYPE, TRACKS, malformed, number, seek};

// Element ids, RFC 9559 §5.1.
const NAME: u32 = 0x536e;
const VIDEO: u32 = 0xe0;
const VOID: u8 = 0xec;
/// Projection of 11 bytes: type 0 (rectangular), and the roll as a float of four bytes.
const PROJECTION: [u8; 10] = [0x76, 0x70, 0x8b, 0x76, 0x71, 0x81, 0x00, 0x76, 0x75, 0x84];
/// Value of a TrackType.
const PICTURE: &[u8] = &[1];
/// Of the element with all tracks; a few hundred bytes are usual.
const LARGEST: u64 = 64 * 1024;
/// Lengths that one byte holds.
const SHORT: usize = 0x7f;

/// An element: its id, and where it and its content lie.
struct Element {
    id: u32,
    begin: u64,
    content: u64,
    end: u64,
}

/// Writes the turn into the file's picture.
pub(super) fn turn(path: &Path, orientation: Orientation) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut input = BufReader::new(&file);
    let segment = find(&mut input, 0, length, SEGMENT)?;
    let tracks = find(&mut input, segment.content, segment.end, TRACKS)?;
    if tracks.end - tracks.content > LARGEST {
        return Err(malformed("its tracks take too much"));
    }
    let mut at = tracks.content;
    while at < tracks.end {
        let track = element(&mut input, at, tracks.end)?;
        if track.id == TRACK_ENTRY
            && let Some(turned) = with_roll(&mut input, &track, orientation)?
        {
            return file.write_all_at(&turned, track.content);
        }
        at = track.end;
    }
    Err(malformed("no track has a picture"))
}

/// How the file says that its picture is to be turned.
pub(crate) fn turned(path: &Path) -> io::Result<Orientation> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut input = BufReader::new(&file);
    let segment = find(&mut input, 0, length, SEGMENT)?;
    let tracks = find(&mut input, segment.content, segment.end, TRACKS)?;
    if tracks.end - tracks.content > LARGEST {
        return Err(malformed("its tracks take too much"));
    }
    let bytes = read(&mut input, tracks.content, tracks.end)?;
    let roll = bytes.windows(PROJECTION.len() + 4).find_map(|found| found.strip_prefix(&PROJECTION));
    let roll = roll.map_or(0.0, |bytes| f32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    Ok(Orientation::from_byte(match roll {
        -90.0 => 1,
        180.0 => 2,
        90.0 => 3,
        _ => 0,
    }))
}

/// The track's content with the turn in it, as long as before; `None` when it has no picture.
fn with_roll(input: &mut BufReader<&File>, track: &Element, orientation: Orientation) -> io::Result<Option<Vec<u8>>> {
    // Degrees against the clock, -180 to 180.
    let roll: f32 = match orientation.quarters() {
        0 => 0.0,
        1 => -90.0,
        2 => 180.0,
        _ => 90.0,
    };
    let (mut turned, mut is_picture) = (Vec::new(), false);
    let mut at = track.content;
    while at < track.end {
        let child = element(input, at, track.end)?;
        match child.id {
            NAME => {}
            VIDEO => {
                let mut video = read(input, child.content, child.end)?;
                video.extend_from_slice(&PROJECTION);
                video.extend_from_slice(&roll.to_be_bytes());
                if video.len() >= SHORT {
                    return Err(malformed("its picture has too much to say"));
                }
                turned.extend_from_slice(&[VIDEO as u8, 0x80 | video.len() as u8]);
                turned.extend_from_slice(&video);
            }
            id => {
                is_picture |= id == TRACK_TYPE && read(input, child.content, child.end)? == PICTURE;
                turned.extend_from_slice(&read(input, child.begin, child.end)?);
            }
        }
        at = child.end;
    }
    if !is_picture {
        return Ok(None);
    }
    let room = (track.end - track.content) as usize;
    match room.checked_sub(turned.len()) {
        Some(0) => {}
        Some(left @ 2..=SHORT) => {
            turned.extend_from_slice(&[VOID, 0x80 | (left - 2) as u8]);
            turned.resize(room, 0);
        }
        _ => return Err(malformed("there is no room for a turn")),
    }
    Ok(Some(turned))
}

fn find(input: &mut BufReader<&File>, mut at: u64, end: u64, id: u32) -> io::Result<Element> {
    while at < end {
        let found = element(input, at, end)?;
        if found.id == id {
            return Ok(found);
        }
        at = found.end;
    }
    Err(malformed("it has no tracks"))
}

fn element(input: &mut BufReader<&File>, begin: u64, end: u64) -> io::Result<Element> {
    seek(input, begin)?;
    let (id, id_bytes) = number(input, true)?;
    let (size, size_bytes) = number(input, false)?;
    let content = begin + id_bytes + size_bytes;
    let end = content.checked_add(size).filter(|next| *next <= end);
    let end = end.ok_or_else(|| malformed("an element is cut off"))?;
    Ok(Element { id: u32::try_from(id).unwrap_or(0), begin, content, end })
}

fn read(input: &mut BufReader<&File>, from: u64, to: u64) -> io::Result<Vec<u8>> {
    seek(input, from)?;
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(0)];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
