//! Writes one part. The caller owns the clock: it appends as units come and calls [`Appender::flush`] every 100 ms,
//! which is one `writev`. Syncing to the medium may be done elsewhere through [`Appender::file`].

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::begun_path;
use crate::format::{self, DATA_BYTES, Encoded, Header, Record, Salt};

/// Slices of one `writev`; Linux takes 1024 (IOV_MAX), and a record is up to three.
const SLICES: usize = 1023;
/// The folders whose entries a part's name is made of: its broadcast's, the one of all broadcasts, and where that lies.
const FOLDERS: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("cannot create the journal {path}: {source}")]
    Create { path: PathBuf, source: io::Error },
    /// What was not written stays pending: flush again, or give it up with [`Appender::discard_pending`].
    #[error("cannot write the journal {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("a record of {0} bytes is larger than a journal takes")]
    TooLarge(usize),
}

/// An open part. Dropping it without [`Appender::close`] leaves a readable file without an end record.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    file: Arc<File>,
    salt: Salt,
    pending: VecDeque<Encoded>,
    pending_bytes: usize,
    /// Length of the file up to the last whole record.
    written: u64,
    /// A failed write may have left half a record behind `written`.
    torn: bool,
    dirty: bool,
}

impl Appender {
    /// Creates the file and makes its name and header durable: [`Appender::begin`], then [`establish`].
    ///
    /// # Errors
    /// As these two.
    pub fn create(path: &Path, header: &Header) -> Result<Self, AppendError> {
        let appender = Self::begin(path, header)?;
        establish(&appender.file, path)?;
        Ok(appender)
    }

    /// Creates the file beside where it will be ([`begun_path`]), and waits for no medium. It takes records; a part it is after [`establish`].
    ///
    /// # Errors
    /// [`AppendError::Create`], also when the part exists and has records. What an earlier try of the same part left behind on a disk that went away
    /// in between, a header at most, is begun anew.
    pub fn begin(path: &Path, header: &Header) -> Result<Self, AppendError> {
        let failed = |source| AppendError::Create { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let (bytes, begun) = (format::encode_header(header), begun_path(path));
        let length = bytes.len() as u64;
        if path.metadata().is_ok_and(|there| there.len() > length) {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let file = open_without_records(&begun, length).map_err(failed)?;
        if let Err(source) = (&file).write_all(&bytes) {
            let _ = fs::remove_file(begun); // a file without a record is nothing; recovery removes it as well
            return Err(failed(source));
        }
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            salt: Salt::of(&bytes),
            pending: VecDeque::new(),
            pending_bytes: 0,
            written: length,
            torn: false,
            dirty: false,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For `sync_data` on another thread, so that a slow medium does not hold up the writer.
    #[must_use]
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Bytes in the file, whole records only.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes appended and not yet flushed.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// True once after something was written that no sync has covered.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Queues a record; [`Appender::flush`] writes it.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`]; nothing is queued then.
    pub fn append(&mut self, record: &Record) -> Result<(), AppendError> {
        let encoded = format::encode(record, self.salt);
        if encoded.data.len() > DATA_BYTES {
            return Err(AppendError::TooLarge(encoded.data.len()));
        }
        self.pending_bytes += encoded.size();
        self.pending.push_back(encoded);
        Ok(())
    }

    /// Writes everything pending.
    ///
    /// # Errors
    /// [`AppendError::Write`] when the disk refuses. The file then ends with a whole record again and the rest stays
    /// pending, so that a later flush continues without a hole.
    pub fn flush(&mut self) -> Result<(), AppendError> {
        if self.torn {
            self.cut_torn().map_err(|source| self.write_error(source))?;
        }
        while !self.pending.is_empty() {
            if let Err(source) = self.write_some() {
                self.torn = true;
                let _ = self.cut_torn(); // when this fails too, the next flush tries again before it writes
                return Err(self.write_error(source));
            }
        }
        Ok(())
    }

    /// Flushes and waits for the medium.
    ///
    /// # Errors
    /// As [`Appender::flush`], or the sync's.
    pub fn sync(&mut self) -> Result<(), AppendError> {
        self.flush()?;
        self.file.sync_data().map_err(|source| self.write_error(source))?;
        self.dirty = false;
        Ok(())
    }

    /// Gives up what could not be written and says how many records that were.
    pub fn discard_pending(&mut self) -> usize {
        self.pending_bytes = 0;
        std::mem::take(&mut self.pending).len()
    }

    /// Appends the end record, flushes and syncs; the length of the file.
    ///
    /// # Errors
    /// As [`Appender::sync`]. The file is then like one after a crash: readable up to its last whole record.
    pub fn close(mut self, utc_us: u64, cause: format::Cause) -> Result<u64, AppendError> {
        self.append(&Record::End { utc_us, cause })?;
        self.sync()?;
        Ok(self.written)
    }

    fn write_error(&self, source: io::Error) -> AppendError {
        AppendError::Write { path: self.path.clone(), source }
    }

    /// One `writev`, and more only if the kernel took less.
    fn write_some(&mut self) -> io::Result<()> {
        let batch = self.pending.len().min(SLICES / 3);
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(batch * 3);
        for record in self.pending.iter().take(batch) {
            slices.push(IoSlice::new(&record.head));
            slices.push(IoSlice::new(&record.data));
            slices.push(IoSlice::new(&record.tail));
        }
        let total: usize = slices.iter().map(|s| s.len()).sum();
        let (done, result) = write_slices(&self.file, &mut slices, total);
        let mut whole = 0;
        while let Some(record) = self.pending.front().filter(|r| whole + r.size() <= done) {
            whole += record.size();
            self.pending.pop_front();
        }
        self.pending_bytes -= whole;
        self.written += whole as u64;
        self.dirty |= whole > 0;
        result
    }

    fn cut_torn(&mut self) -> io::Result<()> {
        self.file.set_len(self.written)?;
        (&*self.file).seek(SeekFrom::Start(self.written))?;
        self.torn = false;
        Ok(())
    }
}

/// How many bytes were written, and why not all.
fn write_slices(mut file: &File, mut rest: &mut [IoSlice<'_>], total: usize) -> (usize, io::Result<()>) {
    let mut done = 0;
    while done < total {
        match file.write_vectored(rest) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                done += n;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (done, Err(e)),
        }
    }
    (done, Ok(()))
}

/// A new file, or an empty one again: whatever is longer than a header has records.
fn open_without_records(path: &Path, header_bytes: u64) -> io::Result<File> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = OpenOptions::new().write(true).open(path)?;
            if file.metadata()?.len() > header_bytes {
                return Err(error);
            }
            file.set_len(0)?;
            Ok(file)
        }
        opened => opened,
    }
}

/// Makes a part of what [`Appender::begin`] began: everything in the file is durable, then its name. May be repeated.
///
/// # Errors
/// [`AppendError::Create`] when the medium refuses.
pub fn establish(file: &File, path: &Path) -> Result<(), AppendError> {
    let failed = |source| AppendError::Create { path: path.to_owned(), source };
    file.sync_data().map_err(failed)?;
    let begun = begun_path(path);
    if begun.exists() {
        fs::rename(begun, path).map_err(failed)?;
    }
    for folder in path.ancestors().skip(1).take(FOLDERS) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}
