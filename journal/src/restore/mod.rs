//! A damaged header, found again. The checksum of every record goes on from that of the header, so two whole records tell what it was; of
//! all headers that the file may have had, from what is known of the part elsewhere, the one with that checksum is the true one.
//!
//! The file is written anew beside itself and takes its own place at once, so that whoever dies on the way leaves the one or the other. Every
//! byte behind the header is as it was, damaged ones included.
//!
//! Not here: where the hints come from (recorder).

mod prove;
mod seal;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use media::id::{BroadcastId, ChannelName};

use crate::ClipId;
use crate::format::{HEADER_BYTES, Header};
use crate::window::Window;

/// Added to the name of a file that is written with its header restored. What is left of one goes at the next start.
pub const RESTORED: &str = "restored";

/// Read at a time.
const AHEAD_BYTES: usize = 1024 * 1024;
/// Stands for what is gone where the front of a file is, so that readers know that something is.
const GONE: [u8; 1] = [0];

/// What is known of a part without its header. The name of its file says which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hints {
    pub broadcast: BroadcastId,
    pub part: u32,
    pub clip: ClipId,
    /// One of these.
    pub channels: Vec<ChannelName>,
    /// In one of these. [`Header::media_zero_utc_us`].
    pub media_zero_utc_us: Vec<RangeInclusive<u64>>,
    /// Likewise, beside the millisecond that the clip's id tells.
    pub opened_utc_us: Vec<RangeInclusive<u64>>,
}

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("cannot restore the header of {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the header of {path} is damaged, and no two records behind it are whole")]
    NoRecords { path: PathBuf },
    #[error("the header of {path} is damaged, and what is known of the part does not tell what it was")]
    Unknown { path: PathBuf },
}

/// Gives a journal whose header is damaged its header back.
///
/// # Errors
/// [`RestoreError`]; the file is then as it was.
pub fn restore(path: &Path, hints: &Hints) -> Result<Header, RestoreError> {
    let failed = |source| RestoreError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut window = Window::new(file, AHEAD_BYTES, AHEAD_BYTES);
    let left = window.bytes(0, length.min(HEADER_BYTES as u64) as usize).map_err(failed)?.unwrap_or_default().to_vec();
    let seal = seal::find(&mut window, length).map_err(failed)?;
    let seal = seal.ok_or_else(|| RestoreError::NoRecords { path: path.to_owned() })?;
    let proven = prove::header(seal.salt, &left, hints);
    let (header, bytes) = proven.ok_or_else(|| RestoreError::Unknown { path: path.to_owned() })?;
    let beside = restored_path(path);
    replace(path, &beside, &bytes, seal.first).map_err(|source| {
        let _ = fs::remove_file(beside); // the next start does it otherwise
        failed(source)
    })?;
    Ok(header)
}

fn restored_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(RESTORED);
    name.into()
}

/// `first`: where the first whole record begins.
fn replace(path: &Path, beside: &Path, header: &[u8], first: u64) -> io::Result<()> {
    let mut from = File::open(path)?;
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).open(beside)?;
    to.write_all(header)?;
    if first < header.len() as u64 {
        to.write_all(&GONE)?;
    } else {
        from.seek(SeekFrom::Start(header.len() as u64))?;
    }
    io::copy(&mut from, &mut to)?;
    // recovery reads off it until when the part was recorded
    to.set_modified(from.metadata()?.modified()?)?;
    to.sync_all()?;
    fs::rename(beside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
