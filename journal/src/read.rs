//! Reads one part, from its head to its last good record. Damage is passed over to the next record of this file, and
//! reported; it never panics. A file that is still being written reads like one with a torn tail.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::format::{self, HEADER_BYTES, Header, HeaderError, MARKER, RECORD_HEAD, RECORD_TAIL, Record, Salt};

const BUFFER_BYTES: usize = 256 * 1024;
/// Looked through at a time for the next record behind damage.
const SEARCH_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read the journal {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Header { path: PathBuf, source: HeaderError },
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
    file: BufReader<File>,
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
        let path = path.as_ref().to_owned();
        let io = |source| OpenError::Io { path: path.clone(), source };
        let mut file = File::open(&path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut head = Vec::with_capacity(HEADER_BYTES);
        (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut head).map_err(io)?;
        let (header, size) =
            format::decode_header(&head).map_err(|source| OpenError::Header { path: path.clone(), source })?;
        file.seek(SeekFrom::Start(size as u64)).map_err(io)?;
        let (file, salt) = (BufReader::with_capacity(BUFFER_BYTES, file), Salt::of(&head[..size]));
        Ok(Self { path, file, header, salt, offset: size as u64, length, damage: Vec::new(), tail: None })
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
        if self.tail.is_some() {
            return Ok(None);
        }
        let at = self.offset;
        if at >= self.length {
            self.tail = Some(Tail::Clean);
            return Ok(None);
        }
        if let Some((record, size)) = read_record(&mut self.file, self.length - at, self.salt)? {
            self.offset += size;
            return Ok(Some((at, record)));
        }
        let Some((next, record, size)) = self.search(at + 1)? else {
            self.tail = Some(Tail::Torn { at, bytes: self.length - at });
            return Ok(None);
        };
        self.damage.push(Damage { at, bytes: next - at });
        self.offset = next + size;
        Ok(Some((next, record)))
    }

    /// The first good record that begins at `from` or later, and its size. The iteration goes on behind it.
    fn search(&mut self, mut from: u64) -> io::Result<Option<(u64, Record, u64)>> {
        let marker = MARKER.to_le_bytes();
        let mut window = Vec::with_capacity(SEARCH_BYTES);
        while from + ((RECORD_HEAD + RECORD_TAIL) as u64) <= self.length {
            self.file.seek(SeekFrom::Start(from))?;
            window.clear();
            (&mut self.file).take(SEARCH_BYTES as u64).read_to_end(&mut window)?;
            for (at, _) in window.windows(marker.len()).enumerate().filter(|(_, bytes)| *bytes == marker) {
                let candidate = from + at as u64;
                self.file.seek(SeekFrom::Start(candidate))?;
                let left = self.length.saturating_sub(candidate);
                if let Some((record, size)) = read_record(&mut self.file, left, self.salt)? {
                    return Ok(Some((candidate, record, size)));
                }
            }
            if window.len() < SEARCH_BYTES {
                break;
            }
            from += (SEARCH_BYTES - marker.len() + 1) as u64;
        }
        Ok(None)
    }

    /// Reads the record at an offset that an index gave. Do not mix with the iteration.
    ///
    /// # Errors
    /// The medium's, or [`io::ErrorKind::InvalidData`] when no good record begins there.
    pub fn read_at(&mut self, offset: u64) -> io::Result<Record> {
        // a relative seek keeps the buffer in the usual case: the next record, or one a little further on
        let here = self.file.stream_position()?;
        self.file.seek_relative(offset as i64 - here as i64)?;
        let left = self.length.saturating_sub(offset);
        read_record(&mut self.file, left, self.salt)?.map(|(record, _)| record).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: no record at {offset}", self.path.display()))
        })
    }
}

impl Iterator for Reader {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().map(|found| found.map(|(_, record)| record)).transpose()
    }
}

/// A whole record within the next `left` bytes, and its size; `None` when there is none.
fn read_record(file: &mut impl Read, left: u64, salt: Salt) -> io::Result<Option<(Record, u64)>> {
    let mut head = [0; RECORD_HEAD];
    if left < (RECORD_HEAD + RECORD_TAIL) as u64 || !fill(file, &mut head)? {
        return Ok(None);
    }
    let Some(length) = format::data_length(&head) else {
        return Ok(None);
    };
    let size = (RECORD_HEAD + length + RECORD_TAIL) as u64;
    if size > left {
        return Ok(None);
    }
    let mut data = vec![0; length];
    let mut tail = [0; RECORD_TAIL];
    if !fill(file, &mut data)? || !fill(file, &mut tail)? {
        return Ok(None);
    }
    Ok(format::decode(&head, Bytes::from(data), tail, salt).map(|record| (record, size)))
}

/// False when the file was shortened under us.
fn fill(file: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(into) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
