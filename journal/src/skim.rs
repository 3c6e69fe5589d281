//! Reads what lies where in one part without reading the data of its units, and goes on when the part has grown.
//!
//! For those who need times and places of everything and the data of little. The checksums of units are therefore not looked at; whoever
//! reads a unit later ([`crate::Reader::read_at`]) sees its damage then.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use media::id::TrackId;

use crate::format::{self, HEADER_BYTES, Header, RECORD_HEAD, RECORD_TAIL, Record, Salt};
use crate::read::OpenError;

/// Read at a time: the heads of several packets of sound lie in it.
const WINDOW: usize = 8 * 1024;

/// An access unit, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitHead {
    pub track: TrackId,
    pub key: bool,
    pub pts_ns: u64,
    pub dts_ns: u64,
    /// Bytes of the unit.
    pub size: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skimmed {
    Unit(UnitHead),
    /// Anything but a unit, whole and checked.
    Record(Record),
}

/// Where the reading stands in a part.
#[derive(Debug)]
pub struct Skimmer {
    path: PathBuf,
    file: File,
    header: Header,
    salt: Salt,
    offset: u64,
    length: u64,
    window: Vec<u8>,
    window_at: u64,
    damaged: bool,
}

impl Skimmer {
    /// # Errors
    /// [`OpenError`] when the file cannot be read or does not begin with a whole header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let io = |source| OpenError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut head = vec![0; HEADER_BYTES.min(length as usize)];
        file.read_exact_at(&mut head, 0).map_err(io)?;
        let (header, size) =
            format::decode_header(&head).map_err(|source| OpenError::Header { path: path.clone(), source })?;
        let (salt, window) = (Salt::of(&head[..size]), Vec::new());
        Ok(Self { path, file, header, salt, offset: size as u64, length, window, window_at: 0, damaged: false })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next record begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record and the offset it begins at. `None` where the part ends, for now: ask again when it has grown. Behind a damaged
    /// record there is nothing any more.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn next_record(&mut self) -> io::Result<Option<(u64, Skimmed)>> {
        let next = self.read_next();
        if !matches!(next, Ok(Some(_))) {
            // A writer whose disk refused cuts half a record off again and may write another in its place.
            self.window.clear();
        }
        next
    }

    /// Goes on at a record whose offset an earlier reading gave.
    pub fn go_to(&mut self, offset: u64) {
        self.offset = offset;
        self.damaged = false;
    }

    fn read_next(&mut self) -> io::Result<Option<(u64, Skimmed)>> {
        let at = self.offset;
        if self.damaged || !self.reaches(at + RECORD_HEAD as u64)? {
            return Ok(None);
        }
        let head = self.head(at)?;
        let Some(data) = format::data_length(&head) else {
            self.damaged = true;
            return Ok(None);
        };
        let end = at + (RECORD_HEAD + data + RECORD_TAIL) as u64;
        if !self.reaches(end)? {
            return Ok(None);
        }
        let skimmed = match format::unit_head(&head, data) {
            Some(unit) => Skimmed::Unit(unit),
            None => match self.whole(at, &head, data)? {
                Some(record) => Skimmed::Record(record),
                None => {
                    self.damaged = true;
                    return Ok(None);
                }
            },
        };
        self.offset = end;
        Ok(Some((at, skimmed)))
    }

    /// Whether the file is that long; asks again how long it is when it seems too short.
    fn reaches(&mut self, end: u64) -> io::Result<bool> {
        if end > self.length {
            self.length = self.file.metadata()?.len();
        }
        Ok(end <= self.length)
    }

    fn head(&mut self, at: u64) -> io::Result<[u8; RECORD_HEAD]> {
        let inside = |window_at: u64, len: usize| {
            let from = usize::try_from(at.checked_sub(window_at)?).ok()?;
            (from + RECORD_HEAD <= len).then_some(from)
        };
        let from = match inside(self.window_at, self.window.len()) {
            Some(from) => from,
            None => {
                let size = (WINDOW as u64).min(self.length - at) as usize;
                self.window.resize(size, 0);
                self.window_at = at;
                if let Err(error) = self.file.read_exact_at(&mut self.window, at) {
                    self.window.clear();
                    return Err(error);
                }
                0
            }
        };
        let mut head = [0; RECORD_HEAD];
        head.copy_from_slice(&self.window[from..from + RECORD_HEAD]);
        Ok(head)
    }

    fn whole(&self, at: u64, head: &[u8; RECORD_HEAD], data: usize) -> io::Result<Option<Record>> {
        let mut rest = vec![0; data + RECORD_TAIL];
        self.file.read_exact_at(&mut rest, at + RECORD_HEAD as u64)?;
        let mut tail = [0; RECORD_TAIL];
        tail.copy_from_slice(&rest[data..]);
        rest.truncate(data);
        Ok(format::decode(head, Bytes::from(rest), tail, self.salt))
    }
}
