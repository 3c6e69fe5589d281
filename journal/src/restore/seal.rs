//! What the checksums of a file's records go on from, solved from the records.
//!
//! CRC-32 is linear: the checksum of two pieces is that of the first, carried past as many zeroes as the second is long, plus that of the
//! second. To carry is to multiply by a power of x in the field that the polynomial makes, which can be undone.

use std::collections::BTreeMap;
use std::io;

use crate::format::{self, MARKER, RECORD_HEAD, RECORD_TAIL, Salt};
use crate::window::Window;

/// IEEE, bit-reversed: the highest bit is the coefficient of 1.
const POLYNOMIAL: u32 = 0xedb8_8320;
const ONE: u32 = 1 << 31;

/// Looked through at a time for the next marker.
const SEARCH_BYTES: u64 = 64 * 1024;
/// A file of nothing but markers is not read for ever: so often its size is enough for any other.
const READ_TIMES: u64 = 8;
const READ_LEAST: u64 = 16 * 1024 * 1024;
/// Blocks of so many other journals may lie in one.
const SALTS: usize = 1024;

/// What the records of a file agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) salt: Salt,
    /// Where the first of them begins.
    pub(super) first: u64,
}

/// The salt of most bytes of records in the file, of those that follow each other: one alone could be anything. `None` where no two do, and
/// for the first version, whose records agree with any file.
pub(super) fn find(window: &mut Window, length: u64) -> io::Result<Option<Seal>> {
    let mut search = Search { window, length, left: length.saturating_mul(READ_TIMES).max(READ_LEAST) };
    let mut runs: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let mut at = 0;
    while let Some(start) = search.marker(at)? {
        let Some((salt, end)) = search.run(start)? else {
            at = start + 1;
            continue;
        };
        if runs.len() < SALTS || runs.contains_key(&salt) {
            runs.entry(salt).or_insert((start, 0)).1 += end - start;
        }
        at = end;
    }
    let most = runs.into_iter().max_by_key(|(_, (_, bytes))| *bytes);
    let seal = most.map(|(salt, (first, _))| Seal { salt: Salt(salt), first });
    Ok(seal.filter(|seal| seal.salt != Salt::default()))
}

struct Search<'a> {
    window: &'a mut Window,
    length: u64,
    /// Bytes that may still be read for checksums.
    left: u64,
}

impl Search<'_> {
    /// The first place at or behind `from` where a record may begin.
    fn marker(&mut self, mut from: u64) -> io::Result<Option<u64>> {
        let marker = MARKER.to_le_bytes();
        while from + marker.len() as u64 <= self.length {
            let bytes = (self.length - from).min(SEARCH_BYTES) as usize;
            let Some(piece) = self.window.bytes(from, bytes)? else { return Ok(None) };
            if let Some(at) = piece.windows(marker.len()).position(|bytes| bytes == marker) {
                return Ok(Some(from + at as u64));
            }
            from += (bytes - marker.len() + 1) as u64;
        }
        Ok(None)
    }

    /// Two records or more that agree on a salt and follow each other: it, and where they end.
    fn run(&mut self, start: u64) -> io::Result<Option<(u32, u64)>> {
        let Some(second) = self.end(start)? else { return Ok(None) };
        if self.end(second)?.is_none() {
            return Ok(None);
        }
        let Some((salt, first)) = self.solve(start)? else { return Ok(None) };
        let (mut end, mut agreed) = (second, false);
        while let Some(next) = self.end(end)? {
            let Some((_, body)) = self.solve(end)?.filter(|(other, _)| *other == salt) else { break };
            // one record twice agrees with itself
            agreed |= body != first;
            end = next;
        }
        Ok(agreed.then_some((salt, end)))
    }

    /// Where the record would end that begins there, if one does.
    fn end(&mut self, at: u64) -> io::Result<Option<u64>> {
        let Some(head) = self.window.bytes(at, RECORD_HEAD)?.and_then(|bytes| bytes.first_chunk()) else {
            return Ok(None);
        };
        let end = format::data_length(head).map(|data| at + (RECORD_HEAD + data + RECORD_TAIL) as u64);
        Ok(end.filter(|end| *end <= self.length))
    }

    /// The salt under which the record is whole, and the checksum that it would have with none.
    fn solve(&mut self, at: u64) -> io::Result<Option<(u32, u32)>> {
        let Some(bytes) = self.end(at)?.map(|end| end - at).filter(|bytes| *bytes <= self.left) else {
            return Ok(None);
        };
        self.left -= bytes;
        let record = self.window.bytes(at, bytes as usize)?;
        Ok(record.and_then(|record| record.split_last_chunk()).map(|(body, tail)| salt_of(body, *tail)))
    }
}

fn salt_of(body: &[u8], tail: [u8; RECORD_TAIL]) -> (u32, u32) {
    let unsalted = crc32fast::hash(body);
    let carried = u32::from_le_bytes(tail) ^ unsalted;
    (product(carried, power(byte_back(), body.len())), unsalted)
}

/// x to the power of −8.
fn byte_back() -> u32 {
    (0..8).fold(ONE, |value, _| match value & ONE {
        0 => value << 1,
        _ => (value ^ POLYNOMIAL) << 1 | 1,
    })
}

fn product(one: u32, mut other: u32) -> u32 {
    let mut sum = 0;
    for power in (0..u32::BITS).rev() {
        if one >> power & 1 == 1 {
            sum ^= other;
        }
        other = other >> 1 ^ if other & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    sum
}

fn power(mut base: u32, mut exponent: usize) -> u32 {
    let mut result = ONE;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = product(result, base);
        }
        base = product(base, base);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use media::id::TrackId;
    use media::message::AccessUnit;

    use super::*;
    use crate::Record;
    use crate::format::encode;

    fn unit(size: usize) -> Record {
        let data = (0..size).map(|at| (at * 7 % 251) as u8).collect::<Vec<_>>().into();
        let track = TrackId(0);
        Record::Unit(AccessUnit { track, key: true, pts_ns: 5, dts_ns: 4, utc_us: 3, first_seq: 2, last_seq: 9, data })
    }

    fn bytes(record: &Record, salt: Salt) -> Vec<u8> {
        let encoded = encode(record, salt);
        [&encoded.head[..], &encoded.data, &encoded.tail].concat()
    }

    fn find_in(bytes: &[u8]) -> Option<Seal> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        find(&mut Window::new(file, 1 << 16, 1 << 16), bytes.len() as u64).expect("the medium is good")
    }

    #[test]
    fn any_record_tells_what_its_checksum_went_on_from() {
        for salt in [0, 1, 0x8000_0000, 0xdead_beef, u32::MAX] {
            for size in [0, 1, 3, 700, 70_000] {
                let record = bytes(&unit(size), Salt(salt));
                let (body, tail) = record.split_last_chunk().expect("longer than its checksum");
                assert_eq!(salt_of(body, *tail).0, salt, "{size} bytes");
            }
        }
    }

    #[test]
    fn records_that_follow_each_other_agree_and_the_most_bytes_win() {
        let (ours, theirs) = (Salt(0x1234_5678), Salt(0x8765_4321));
        let (one, other) = (bytes(&unit(500), ours), bytes(&unit(600), ours));
        let seal = |salt, first| Some(Seal { salt, first });
        assert_eq!(find_in(&[&[7; 100][..], &one].concat()), None, "one alone");
        assert_eq!(find_in(&[&one[..], &one].concat()), None, "one twice");
        assert_eq!(find_in(&[&[7; 100][..], &one, &other].concat()), seal(ours, 100));
        let foreign = [bytes(&unit(10), theirs), bytes(&unit(11), theirs), bytes(&unit(12), theirs)].concat();
        assert_eq!(find_in(&[&foreign[..], &one, &other, &foreign].concat()), seal(ours, foreign.len() as u64));
        let apart = [&one[..], &[0; 9], &other].concat();
        assert_eq!(find_in(&[&apart[..], &foreign].concat()), seal(theirs, apart.len() as u64), "damage between ours");
        assert_eq!(find_in(&[bytes(&unit(20), Salt(0)), bytes(&unit(21), Salt(0))].concat()), None, "not salted");
        assert_eq!(find_in(&[]), None);
    }

    #[test]
    fn a_picture_that_holds_records_is_one_record() {
        let inner: Vec<u8> = (0..50).flat_map(|size| bytes(&unit(size), Salt(9))).collect();
        let Record::Unit(picture) = unit(0) else { unreachable!() };
        let picture = bytes(&Record::Unit(AccessUnit { data: inner.into(), ..picture }), Salt(77));
        let small = bytes(&unit(4), Salt(77));
        assert_eq!(find_in(&[&small[..], &picture, &small].concat()), Some(Seal { salt: Salt(77), first: 0 }));
    }

    #[test]
    fn a_file_of_markers_comes_to_an_end() {
        let hostile: Vec<u8> = MARKER.to_le_bytes().into_iter().chain([0, 0, 15, 0]).cycle().take(1 << 20).collect();
        assert_eq!(find_in(&hostile), None);
    }
}
