//! Reads one part, from its head to its last good record. Damage is passed over to the next record of this file, and
//! reported; it never panics. A file that is still being written reads like one with a torn tail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::format::{self, HEADER_BYTES, Header, HeaderError, MARKER, RECORD_HEAD, RECORD_TAIL, Record, Salt};
use crate::window::Window;

/// Read at a time.
const BUFFER_BYTES: usize = 256 * 1024;
/// Likewise by who reads much, and kept of it: half a second of a good picture.
const LARGE_BUFFER_BYTES: usize = 2 * 1024 * 1024;
const BEHIND_BYTES: usize = 1024 * 1024;
/// Looked through at a time for the next record behind damage.
const SEARCH_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read the journal {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Header { path: PathBuf, source: HeaderError },
}

/// The header of a journal, and nothing else of it.
///
/// # Errors
/// As [`Reader::open`].
pub fn header_of(path: impl AsRef<Path>) -> Result<Header, OpenError> {
    Reader::with_window(path.as_ref(), HEADER_BYTES, 0).map(|reader| reader.header)
}

/// What came after the last good record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The file ends with its last record.
    Clean,
    /// `bytes` bytes from offset `at` on are no whole, undamaged record.
    Torn { at: u64, bytes: u64 },
}

/// Bytes between two good records that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    pub at: u64,
    pub bytes: u64,
}

/// Iterates the records of a journal. After the last one [`Reader::tail`] tells how the file ended.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    window: Window,
    header: Header,
    salt: Salt,
    offset: u64,
    length: u64,
    damage: Vec<Damage>,
    tail: Option<Tail>,
}

impl Reader {
    /// # Errors
    /// [`OpenError`] when the file cannot be read or does not begin with a whole header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::with_window(path.as_ref(), BUFFER_BYTES, 0)
    }

    /// For who reads most of the file, and not quite in its order.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_for_copy(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::with_window(path.as_ref(), LARGE_BUFFER_BYTES, BEHIND_BYTES)
    }

    fn with_window(path: &Path, ahead: usize, behind: usize) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut window = Window::new(file, ahead, behind);
        let head = window.bytes(0, length.min(HEADER_BYTES as u64) as usize).map_err(io)?.unwrap_or_default();
        let (header, size) =
            format::decode_header(head).map_err(|source| OpenError::Header { path: path.to_owned(), source })?;
        let salt = Salt::of(&head[..size]);
        let (offset, damage) = (size as u64, Vec::new());
        Ok(Self { path: path.to_owned(), window, header, salt, offset, length, damage, tail: None })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next record begins; after the end, the length of the good part of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How the file ended; `None` until the last record was read.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// What was passed over so far, in order. What stands behind the last good record is the [`Tail`].
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// The next record and the offset it begins at.
    ///
    /// # Errors
    /// Only when the medium fails; for damage see [`Reader::damage`] and [`Reader::tail`].
    pub fn next_record(&mut self) -> io::Result<Option<(u64, Record)>> {
        let Some((at, length)) = self.advance()? else { return Ok(None) };
        Ok(self.raw(at, length)?.map(|raw| (at, raw.decoded())).and_then(|(at, record)| Some((at, record?))))
    }

    /// Likewise, without copying it.
    pub(crate) fn next_raw(&mut self) -> io::Result<Option<(u64, Raw<'_>)>> {
        let Some((at, length)) = self.advance()? else { return Ok(None) };
        Ok(self.raw(at, length)?.map(|raw| (at, raw)))
    }

    /// Where the next good record begins, and how long its data is.
    fn advance(&mut self) -> io::Result<Option<(u64, usize)>> {
        if self.tail.is_some() {
            return Ok(None);
        }
        let at = self.offset;
        if at >= self.length {
            self.tail = Some(Tail::Clean);
            return Ok(None);
        }
        if let Some(length) = self.good(at)? {
            self.offset += record_size(length);
            return Ok(Some((at, length)));
        }
        let Some((next, length)) = self.search(at + 1)? else {
            self.tail = Some(Tail::Torn { at, bytes: self.length - at });
            return Ok(None);
        };
        self.damage.push(Damage { at, bytes: next - at });
        self.offset = next + record_size(length);
        Ok(Some((next, length)))
    }

    /// The first good record that begins at `from` or later, and the length of its data.
    fn search(&mut self, mut from: u64) -> io::Result<Option<(u64, usize)>> {
        let marker = MARKER.to_le_bytes();
        let mut searched = vec![0; SEARCH_BYTES];
        while from + record_size(0) <= self.length {
            let read = fill(self.window.file(), &mut searched, from)?;
            for (at, _) in searched[..read].windows(marker.len()).enumerate().filter(|(_, bytes)| *bytes == marker) {
                let candidate = from + at as u64;
                if let Some(length) = self.good(candidate)? {
                    return Ok(Some((candidate, length)));
                }
            }
            if read < SEARCH_BYTES {
                break;
            }
            from += (SEARCH_BYTES - marker.len() + 1) as u64;
        }
        Ok(None)
    }

    /// Reads the record at an offset that an index gave.
    ///
    /// # Errors
    /// The medium's, or [`io::ErrorKind::InvalidData`] when no good record begins there.
    pub fn read_at(&mut self, offset: u64) -> io::Result<Record> {
        let record = match self.good(offset)? {
            Some(length) => self.raw(offset, length)?.and_then(|raw| raw.decoded()),
            None => None,
        };
        record.ok_or_else(|| self.missing(offset))
    }

    /// The data of the unit whose record begins at an offset that an index gave. Its checksum is looked at, nothing is copied.
    ///
    /// # Errors
    /// As [`Reader::read_at`].
    pub fn unit_data(&mut self, offset: u64) -> io::Result<&[u8]> {
        let Some(length) = self.good(offset)? else { return Err(self.missing(offset)) };
        let missing = self.missing(offset);
        match self.raw(offset, length)? {
            Some(raw) if format::unit_head(&raw.head, length).is_some() => Ok(raw.data),
            _ => Err(missing),
        }
    }

    fn missing(&self, offset: u64) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: no record at {offset}", self.path.display()))
    }

    /// The length of the data of the record at an offset; `None` when there is no whole, undamaged one.
    fn good(&mut self, at: u64) -> io::Result<Option<usize>> {
        let (left, salt) = (self.length.saturating_sub(at), self.salt);
        if left < record_size(0) {
            return Ok(None);
        }
        let Some(head) = self.window.bytes(at, RECORD_HEAD)?.and_then(|bytes| bytes.first_chunk()) else {
            return Ok(None);
        };
        let Some(length) = format::data_length(head).filter(|length| record_size(*length) <= left) else {
            return Ok(None);
        };
        let raw = self.raw(at, length)?;
        Ok(raw.filter(|raw| salt.checksum(&raw.head, raw.data) == raw.tail && raw.makes_sense()).map(|_| length))
    }

    /// A record by its place; `None` when the file was shortened under us.
    fn raw(&mut self, at: u64, length: usize) -> io::Result<Option<Raw<'_>>> {
        let Some(bytes) = self.window.bytes(at, RECORD_HEAD + length + RECORD_TAIL)? else { return Ok(None) };
        let Some((head, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        Ok(rest.split_last_chunk().map(|(data, tail)| Raw { head: *head, data, tail: *tail }))
    }
}

/// A record as it lies in the file.
pub(crate) struct Raw<'a> {
    pub head: [u8; RECORD_HEAD],
    pub data: &'a [u8],
    tail: [u8; RECORD_TAIL],
}

impl Raw<'_> {
    fn decoded(&self) -> Option<Record> {
        format::parse(&self.head, Bytes::copy_from_slice(self.data))
    }

    fn makes_sense(&self) -> bool {
        let is_unit = format::unit_head(&self.head, self.data.len()).is_some();
        is_unit || self.decoded().is_some()
    }

    /// The same, a unit without its data.
    pub(crate) fn without_data(&self) -> Option<Record> {
        match format::unit_head(&self.head, self.data.len()) {
            Some(_) => format::parse(&self.head, Bytes::new()),
            None => self.decoded(),
        }
    }
}

/// In the file.
fn record_size(data: usize) -> u64 {
    (RECORD_HEAD + data + RECORD_TAIL) as u64
}

impl Iterator for Reader {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().map(|found| found.map(|(_, record)| record)).transpose()
    }
}

/// How much of it there was.
fn fill(file: &File, into: &mut [u8], from: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
