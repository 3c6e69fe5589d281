//! The index of a finished MP4 (ISO/IEC 14496-12), read back and changed in place; nothing moves.
//!
//! Reads its tables by itself and not by what wrote them, so that a file can be checked with it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use media::message::Orientation;

use super::places::Place;

/// Of the index of a file, which is read whole: about ten million samples.
const LARGEST_INDEX: u64 = 256 * 1024 * 1024;
/// Each has its size in the index.
const MOST_SAMPLES: usize = LARGEST_INDEX as usize / 4;
/// Where the matrix lies in the content of a `tkhd` of version 0 (§8.3.2). The size of the picture follows it.
const MATRIX: usize = 40;
const MATRIX_LEN: usize = 36;
/// Times of version 1 take so much more.
const LONG_TIMES: usize = 12;

/// Says in the header of the picture's track how it is to be turned.
pub(super) fn turn(path: &Path, orientation: Orientation) -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "the muxer wrote no track header");
    let file = File::options().read(true).write(true).open(path)?;
    let (at, index) = index(&file)?.ok_or_else(missing)?;
    let picture =
        boxes(&index).filter(|(name, _)| *name == b"trak").map(|(_, track)| track).find(|track| is_picture(track));
    let header = picture.and_then(|track| inside(track, b"tkhd")).ok_or_else(missing)?;
    let begin = if header.first() == Some(&1) { MATRIX + LONG_TIMES } else { MATRIX };
    let size = header.get(begin + MATRIX_LEN..).and_then(|rest| rest.first_chunk::<8>()).ok_or_else(missing)?;
    let (width, height) = size.split_at(4);
    let matrix =
        matrix(orientation, [width, height].map(|side| i32::from_be_bytes([side[0], side[1], side[2], side[3]])));
    let offset = header.as_ptr() as usize - index.as_ptr() as usize + begin;
    file.write_all_at(&matrix, at + offset as u64)
}

/// Where the content of the `moov` box lies, and what it is.
fn index(file: &File) -> io::Result<Option<(u64, Vec<u8>)>> {
    let Some((at, size)) = find(file, *b"moov")?.filter(|(_, size)| *size <= LARGEST_INDEX) else { return Ok(None) };
    let mut content = vec![0; size as usize];
    file.read_exact_at(&mut content, at)?;
    Ok(Some((at, content)))
}

/// Where the content of the first box of this name lies that is in no other, and how long it is.
fn find(file: &File, name: [u8; 4]) -> io::Result<Option<(u64, u64)>> {
    let (mut at, end) = (0, file.metadata()?.len());
    while at + 8 <= end {
        let mut head = [0; 8];
        file.read_exact_at(&mut head, at)?;
        let [s0, s1, s2, s3, found @ ..] = head;
        let (head_len, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            1 if at + 16 <= end => {
                let mut wide = [0; 8];
                file.read_exact_at(&mut wide, at + 8)?;
                (16, u64::from_be_bytes(wide))
            }
            size => (8, u64::from(size)),
        };
        if size < head_len || size > end - at {
            return Ok(None);
        }
        if found == name {
            return Ok(Some((at + head_len, size - head_len)));
        }
        at += size;
    }
    Ok(None)
}

/// What the file says of itself.
pub(super) struct Found {
    pub tracks: Vec<FoundTrack>,
    pub lasts_ns: u64,
    /// The content of the box with the samples.
    pub media: Range<u64>,
}

pub(super) struct FoundTrack {
    pub is_picture: bool,
    pub samples: Vec<FoundSample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundSample {
    pub place: Place,
    /// When it is shown.
    pub at_ns: u64,
    pub key: bool,
}

pub(super) fn read(file: &File) -> io::Result<Found> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "it has no proper table of samples");
    let (_, index) = index(file)?.ok_or_else(malformed)?;
    let (begin, size) = find(file, *b"mdat")?.ok_or_else(malformed)?;
    let (clock, lasts) = inside(&index, b"mvhd").and_then(clock_and_duration).ok_or_else(malformed)?;
    let tracks = boxes(&index).filter(|(name, _)| *name == b"trak").map(|(_, content)| {
        let samples = samples(content, clock)?;
        Some(FoundTrack { is_picture: is_picture(content), samples })
    });
    Ok(Found {
        tracks: tracks.collect::<Option<_>>().ok_or_else(malformed)?,
        lasts_ns: nanoseconds(lasts, clock).ok_or_else(malformed)?,
        media: begin..begin + size,
    })
}

/// Of a movie or media header (§8.2.2, §8.4.2): ticks a second, and ticks.
fn clock_and_duration(header: &[u8]) -> Option<(u64, u64)> {
    match header.first()? {
        1 => Some((number(header, 20)?.into(), long(header, 24)?)),
        _ => Some((number(header, 12)?.into(), number(header, 16)?.into())),
    }
}

/// None without a clock.
fn nanoseconds(ticks: u64, clock: u64) -> Option<u64> {
    u64::try_from((u128::from(ticks) * 1_000_000_000).checked_div(clock.into())?).ok()
}

/// From the tables of one track.
fn samples(track: &[u8], movie_clock: u64) -> Option<Vec<FoundSample>> {
    let media = inside(track, b"mdia")?;
    let (clock, _) = clock_and_duration(inside(media, b"mdhd")?)?;
    let table = inside(inside(media, b"minf")?, b"stbl")?;
    let begin_ns = nanoseconds(put_off(track)?, movie_clock)?;
    let (places, times) = (places(table)?, times(table)?);
    if places.len() != times.len() {
        return None;
    }
    let keys: Option<Vec<u32>> = match inside(table, b"stss") {
        Some(keys) => Some((0..number(keys, 4)? as usize).map(|at| number(keys, 8 + at * 4)).collect::<Option<_>>()?),
        None => None,
    };
    let is_key = |number: u32| keys.as_ref().is_none_or(|keys| keys.binary_search(&number).is_ok());
    let samples = (1..).zip(places.into_iter().zip(times));
    samples
        .map(|(number, (place, ticks))| {
            let at_ns = begin_ns.checked_add(nanoseconds(ticks, clock)?)?;
            Some(FoundSample { place, at_ns, key: is_key(number) })
        })
        .collect()
}

/// How much later than the file a track begins: its edit list (§8.6.6) may have an empty edit and then the whole track.
fn put_off(track: &[u8]) -> Option<u64> {
    let Some(list) = inside(track, b"edts").and_then(|edits| inside(edits, b"elst")) else { return Some(0) };
    let wide = *list.first()? == 1;
    let (count, size) = (number(list, 4)?, if wide { 20 } else { 12 });
    let edit = |at: usize| match wide {
        true => Some((long(list, 8 + at * size)?, long(list, 16 + at * size)? as i64)),
        false => Some((number(list, 8 + at * size)?.into(), i64::from(number(list, 12 + at * size)? as i32))),
    };
    match (count, edit(0)?) {
        (1, (_, 0)) => Some(0),
        (2, (empty, -1)) if edit(1)?.1 == 0 => Some(empty),
        _ => None,
    }
}

/// When each sample begins, in ticks (§8.6.1.2).
fn times(table: &[u8]) -> Option<Vec<u64>> {
    let runs = inside(table, b"stts")?;
    let mut times = Vec::new();
    let mut at: u64 = 0;
    for run in 0..number(runs, 4)? as usize {
        let (count, lasts) = (number(runs, 8 + run * 8)?, number(runs, 12 + run * 8)?);
        if times.len() + count as usize > MOST_SAMPLES {
            return None;
        }
        for _ in 0..count {
            times.push(at);
            at = at.checked_add(lasts.into())?;
        }
    }
    Some(times)
}

/// Sizes, runs of chunks with equally many samples, offsets of chunks (§8.7).
fn places(table: &[u8]) -> Option<Vec<Place>> {
    let sizes = inside(table, b"stsz")?;
    let (same, count) = (number(sizes, 4)?, number(sizes, 8)? as usize);
    let size = |sample: usize| if same == 0 { number(sizes, 12 + sample * 4) } else { Some(same) };
    let runs = inside(table, b"stsc")?;
    let run = |at: usize, field: usize| number(runs, 8 + at * 12 + field * 4);
    let wide = inside(table, b"co64");
    let chunks = wide.or_else(|| inside(table, b"stco"))?;
    let chunk = |at: usize| match wide {
        Some(wide) => long(wide, 8 + at * 8),
        None => number(chunks, 8 + at * 4).map(u64::from),
    };
    let (run_count, chunk_count) = (number(runs, 4)? as usize, number(chunks, 4)? as usize);
    let mut places = Vec::new();
    let mut in_run = 0;
    for at in 0..chunk_count {
        while in_run + 1 < run_count && run(in_run + 1, 0)? as usize <= at + 1 {
            in_run += 1;
        }
        let mut offset = chunk(at)?;
        for _ in 0..run(in_run, 1)? {
            if places.len() >= count {
                return None;
            }
            let size = size(places.len())?;
            places.push(Place { offset, size });
            offset = offset.checked_add(u64::from(size))?;
        }
    }
    (places.len() == count).then_some(places)
}

fn long(content: &[u8], at: usize) -> Option<u64> {
    content.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
}

fn number(content: &[u8], at: usize) -> Option<u32> {
    content.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
}

fn is_picture(track: &[u8]) -> bool {
    let handler = inside(track, b"mdia").and_then(|media| inside(media, b"hdlr"));
    handler.and_then(|handler| handler.get(8..12)).is_some_and(|kind| kind == b"vide")
}

/// Content of the first box of this name.
fn inside<'a>(content: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(content).find(|(found, _)| *found == name).map(|(_, content)| content)
}

/// Names and contents of the boxes in a box, up to the first that is damaged.
fn boxes(mut rest: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let size = u32::from_be_bytes(*size) as usize;
        let (name, _) = after.split_first_chunk::<4>()?;
        let content = rest.get(8..size)?;
        rest = &rest[size..];
        Some((name, content))
    })
}

/// Nine numbers of 16.16 bits, the last of each row 2.30; `size` is 16.16 too. It turns about the corner and moves back into view.
fn matrix(orientation: Orientation, [width, height]: [i32; 2]) -> [u8; MATRIX_LEN] {
    const ONE: i32 = 1 << 16;
    let (a, b, c, d, x, y) = match orientation.quarters() {
        0 => (ONE, 0, 0, ONE, 0, 0),
        1 => (0, ONE, -ONE, 0, height, 0),
        2 => (-ONE, 0, 0, -ONE, width, height),
        _ => (0, -ONE, ONE, 0, 0, width),
    };
    let mut bytes = [0; MATRIX_LEN];
    for (at, number) in [a, b, 0, c, d, 0, x, y, 1 << 30].into_iter().enumerate() {
        bytes[at * 4..at * 4 + 4].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(8 + content.len() as u32).to_be_bytes()[..], name, content].concat()
    }

    fn track(kind: &[u8; 4], version: u8) -> Vec<u8> {
        let begin = if version == 1 { MATRIX + LONG_TIMES } else { MATRIX };
        let mut header = vec![0; begin + MATRIX_LEN];
        header[0] = version;
        header.extend([640 << 16, 360 << 16].into_iter().flat_map(i32::to_be_bytes));
        let handler = [&[0; 8], &kind[..], &[0; 12]].concat();
        boxed(b"trak", &[boxed(b"tkhd", &header), boxed(b"mdia", &boxed(b"hdlr", &handler))].concat())
    }

    #[test]
    fn the_picture_and_not_the_sound_is_turned() {
        for version in [0, 1] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("clip.mp4");
            let index = [track(b"soun", version), track(b"vide", version)].concat();
            let whole = [boxed(b"ftyp", b"isom"), boxed(b"moov", &index), boxed(b"mdat", b"media")].concat();
            std::fs::write(&path, &whole).unwrap();
            turn(&path, Orientation::from_byte(1)).unwrap();
            let turned = std::fs::read(&path).unwrap();
            let changed: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != turned[*at]).collect();
            let matrix = turned
                .windows(MATRIX_LEN)
                .position(|window| *window == matrix(Orientation::from_byte(1), [640 << 16, 360 << 16]));
            let begin = matrix.expect("a matrix");
            assert!(changed.iter().all(|at| (begin..begin + MATRIX_LEN).contains(at)));
            assert!(begin > whole.len() / 2, "in the second track");
        }
    }

    #[test]
    fn files_without_a_picture_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        let cut = boxed(b"trak", &boxed(b"mdia", &boxed(b"hdlr", b"\0\0\0\0\0\0\0\0vide")));
        for index in [track(b"soun", 0), cut, vec![0, 0, 0, 3], Vec::new()] {
            std::fs::write(&path, boxed(b"moov", &index)).unwrap();
            assert!(turn(&path, Orientation::from_byte(1)).is_err());
        }
    }

    #[test]
    fn corners_come_to_lie_where_they_are_seen() {
        let size = [640 << 16, 360 << 16];
        // Where the upper left and the lower right corner go to, clockwise.
        let table =
            [(0, (0, 0), (640, 360)), (1, (360, 0), (0, 640)), (2, (640, 360), (0, 0)), (3, (0, 640), (360, 0))];
        for (quarters, upper_left, lower_right) in table {
            let matrix = matrix(Orientation::from_byte(quarters), size);
            let number = |at: usize| i64::from(i32::from_be_bytes(matrix[at * 4..at * 4 + 4].try_into().unwrap()));
            let shown = |x: i64, y: i64| {
                let seen = |by: usize| (x * number(by) + y * number(3 + by) + number(6 + by)) >> 16;
                (seen(0), seen(1))
            };
            assert_eq!((shown(0, 0), shown(640, 360)), (upper_left, lower_right), "{quarters}");
        }
    }
}
