//! Objects as files below one folder.
//!
//! Invariants: a file under its key is complete and durable (written as `.tmp/<random>`, fsynced, renamed, its folder
//! fsynced); a key never leaves the folder (only checked keys become paths, and no segment begins with a dot); what cannot
//! be told from the bytes (content type, hash) lies beside it in `.<name>.meta` together with the size and time of the file
//! it speaks of, so that after a crash between the two renames it is recognised as somebody else's and not believed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::source::Source;
use super::{ObjectBody, ObjectEntry, ObjectInfo, Stored};
use crate::StorageError;
use crate::blocking::blocking;

const TEMPORARY: &str = ".tmp";
/// A temporary file of this age belongs to a put that died.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
const WRITE_BYTES: usize = 1024 * 1024;
const READ_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Folder {
    root: Arc<Path>,
}

/// See the module.
#[derive(Serialize, Deserialize)]
struct Meta {
    content_type: String,
    sha256: String,
    size: u64,
    /// Of the file's last write, nanoseconds since 1970.
    modified_ns: u64,
}

impl Folder {
    pub fn new(root: PathBuf) -> Self {
        Self { root: root.into() }
    }

    pub async fn put(&self, key: &str, mut source: Source, content_type: &str) -> Result<Stored, StorageError> {
        let root = self.root.clone();
        let mut writing = blocking(move || Writing::begin(&root).map_err(|e| refused_or_away(&e))).await?;
        let (size, sha256) = (source.size(), hex::encode(source.sha256()));
        loop {
            let (rest, part) = source.next(WRITE_BYTES).await?;
            source = rest;
            let Some(part) = part else { break };
            writing = blocking(move || {
                writing.file.write_all(&part.bytes).map_err(|e| refused_or_away(&e))?;
                Ok(writing)
            })
            .await?;
        }
        let meta = Meta { content_type: content_type.to_owned(), sha256, size, modified_ns: 0 };
        let (root, key) = (self.root.clone(), key.to_owned());
        blocking(move || writing.commit(&root, &key, meta).map_err(|e| refused_or_away(&e))).await?;
        Ok(Stored { size })
    }

    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StorageError> {
        let path = self.root.join(key);
        blocking(move || {
            let Some(about) = found(fs::metadata(&path))?.filter(fs::Metadata::is_file) else { return Ok(None) };
            let (content_type, sha256) = described(&path, &about);
            Ok(Some(ObjectInfo { size: about.len(), content_type, sha256 }))
        })
        .await
    }

    pub async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<ObjectBody, StorageError> {
        let path = self.root.join(key);
        let (file, size, content_type) = blocking(move || {
            let file = found(File::open(&path))?.ok_or(StorageError::NotFound)?;
            let about = file.metadata().map_err(|e| refused_or_away(&e))?;
            if !about.is_file() {
                return Err(StorageError::NotFound);
            }
            Ok((file, about.len(), described(&path, &about).0))
        })
        .await?;
        let range = match range {
            None => 0..size,
            Some((first, _)) if first >= size => return Err(StorageError::Range { size }),
            Some((first, last)) => first..last.saturating_add(1).min(size),
        };
        let mut file = tokio::fs::File::from_std(file);
        file.seek(io::SeekFrom::Start(range.start)).await.map_err(|e| refused_or_away(&e))?;
        let bytes = ReaderStream::with_capacity(file.take(range.end - range.start), READ_BYTES);
        let stream = bytes.map(|chunk| chunk.map_err(|e| refused_or_away(&e))).boxed();
        Ok(ObjectBody { size, range, content_type, stream })
    }

    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let (root, path) = (self.root.clone(), self.root.join(key));
        blocking(move || {
            found(fs::remove_file(&path))?;
            found(fs::remove_file(meta_path(&path)))?;
            found(path.parent().map_or(Ok(()), sync))?;
            // Folders that became empty go; one that is not empty refuses, and that ends it.
            let folders = path.ancestors().skip(1).take_while(|folder| **folder != *root);
            for folder in folders {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, StorageError> {
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        blocking(move || {
            // Everything that can match lies below the prefix's last folder.
            let start = prefix.rfind('/').map_or("", |at| &prefix[..at]).to_owned();
            let (mut open, mut entries) = (vec![start], Vec::new());
            while let Some(folder) = open.pop() {
                let Some(lines) = found(fs::read_dir(root.join(&folder)))? else { continue };
                for line in lines {
                    let line = line.map_err(|e| refused_or_away(&e))?;
                    let name = line.file_name();
                    let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
                    let key = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                    let Some(about) = found(line.metadata())? else { continue };
                    if about.is_dir() {
                        open.push(key);
                    } else if about.is_file() && key.starts_with(&prefix) {
                        entries.push(ObjectEntry { key, size: about.len() });
                    }
                }
            }
            Ok(entries)
        })
        .await
    }

    pub async fn folders(&self, prefix: &str) -> Result<BTreeSet<String>, StorageError> {
        let (folder, prefix) = (self.root.join(prefix), prefix.to_owned());
        blocking(move || {
            let mut names = BTreeSet::new();
            let Some(lines) = found(fs::read_dir(&folder))? else { return Ok(names) };
            for line in lines {
                let line = line.map_err(|e| refused_or_away(&e))?;
                let is_folder = found(line.file_type())?.is_some_and(|kind| kind.is_dir());
                if let Some(name) = line.file_name().to_str().filter(|_| is_folder) {
                    names.insert(format!("{prefix}{name}"));
                }
            }
            Ok(names)
        })
        .await
    }

    /// Removes what puts that died have left.
    pub async fn sweep(&self) -> Result<(), StorageError> {
        let root = self.root.clone();
        blocking(move || {
            let Some(lines) = found(fs::read_dir(root.join(TEMPORARY)))? else { return Ok(()) };
            for line in lines.flatten() {
                let age = line.metadata().and_then(|about| about.modified()).ok().and_then(|at| at.elapsed().ok());
                if age.is_some_and(|age| age > ABANDONED) {
                    found(fs::remove_file(line.path()))?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// A file on its way to its key; dropped before [`Writing::commit`] it is removed.
struct Writing {
    file: File,
    path: PathBuf,
}

impl Writing {
    fn begin(root: &Path) -> io::Result<Self> {
        let folder = root.join(TEMPORARY);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{:032x}", rand::random::<u128>()));
        Ok(Self { file: File::create_new(&path)?, path })
    }

    fn commit(self, root: &Path, key: &str, mut meta: Meta) -> io::Result<()> {
        self.file.sync_all()?;
        let about = self.file.metadata()?;
        if about.len() != meta.size {
            return Err(io::Error::other(format!("wrote {} bytes of {}", about.len(), meta.size)));
        }
        meta.modified_ns = modified_ns(&about);
        let target = root.join(key);
        let mut description = Self::begin(root)?;
        description.file.write_all(&serde_json::to_vec(&meta)?)?;
        description.file.sync_all()?;
        // A delete next door may remove the folder between its creation and the rename into it; once the description is
        // there it is not empty.
        let described = meta_path(&target);
        let mut attempts = 0;
        let folder = loop {
            let folder = create_folder(root, &target);
            match folder.and_then(|folder| fs::rename(&description.path, &described).map(|()| folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < 100 => attempts += 1,
                other => break other?,
            }
        };
        fs::rename(&self.path, &target).inspect_err(|_| drop(fs::remove_file(&described)))?;
        sync(&folder)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // After a commit there is nothing under this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// Creates the folders of `target` below `root`, each made durable in its parent.
fn create_folder(root: &Path, target: &Path) -> io::Result<PathBuf> {
    let folder = target.parent().unwrap_or(root).to_owned();
    let missing: Vec<_> = folder.ancestors().take_while(|f| f.starts_with(root) && !f.exists()).collect();
    for new in missing.into_iter().rev() {
        match fs::create_dir_all(new) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync(new.parent().unwrap_or(root))?,
        }
    }
    Ok(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn meta_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.meta"))
}

fn modified_ns(about: &fs::Metadata) -> u64 {
    let since = about.modified().unwrap_or(SystemTime::UNIX_EPOCH).duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Content type and hash of the object at `path`: from its description, or guessed from its name when there is none that
/// speaks of this very file (restored from a backup, put there by hand).
fn described(path: &Path, about: &fs::Metadata) -> (String, Option<String>) {
    let meta = fs::read(meta_path(path)).ok().and_then(|json| serde_json::from_slice::<Meta>(&json).ok());
    match meta.filter(|meta| meta.size == about.len() && meta.modified_ns == modified_ns(about)) {
        Some(meta) => (meta.content_type, Some(meta.sha256)),
        None => (guess_type(path).to_owned(), None),
    }
}

fn guess_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        Some("jpg") => "image/jpeg",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// None for what is not there; a path through something that is no folder is not there either.
fn found<T>(result: io::Result<T>) -> Result<Option<T>, StorageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(refused_or_away(&error)),
    }
}

fn refused_or_away(error: &io::Error) -> StorageError {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => {
            StorageError::Refused(format!("{}: {error}", crate::error::DISK_FULL))
        }
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem | Kind::FileTooLarge => {
            StorageError::Refused(error.to_string())
        }
        Kind::NotADirectory | Kind::IsADirectory | Kind::DirectoryNotEmpty => {
            StorageError::Invalid(format!("a key cannot be the folder of another: {error}"))
        }
        _ => StorageError::Away(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn put(folder: &Folder, key: &str, bytes: &'static [u8]) -> Result<Stored, StorageError> {
        folder.put(key, Source::of_bytes(Bytes::from_static(bytes)), "video/webm").await
    }

    #[tokio::test]
    async fn a_description_of_another_file_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().join("objects"));
        put(&folder, "a/b.mp4", b"one").await.unwrap();
        let info = folder.head("a/b.mp4").await.unwrap().unwrap();
        assert_eq!((info.content_type.as_str(), info.sha256.is_some()), ("video/webm", true));

        fs::write(directory.path().join("objects/a/b.mp4"), b"two").unwrap();
        let info = folder.head("a/b.mp4").await.unwrap().unwrap();
        assert_eq!((info.content_type.as_str(), info.sha256), ("video/mp4", None));

        fs::remove_file(directory.path().join("objects/a/.b.mp4.meta")).unwrap();
        assert_eq!(folder.head("a/b.mp4").await.unwrap().unwrap().content_type, "video/mp4");
    }

    #[tokio::test]
    async fn nothing_is_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().to_owned());
        put(&folder, "a/b/c", b"one").await.unwrap();
        put(&folder, "a/d", b"two").await.unwrap();
        folder.delete("a/b/c").await.unwrap();
        assert!(!directory.path().join("a/b").exists(), "an empty folder goes");
        assert!(directory.path().join("a/d").exists());
        folder.delete("a/d").await.unwrap();
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|line| line.unwrap().file_name()).collect();
        assert_eq!(left, [TEMPORARY]);
        assert_eq!(fs::read_dir(directory.path().join(TEMPORARY)).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn only_old_temporaries_are_swept() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().to_owned());
        put(&folder, "a", b"one").await.unwrap();
        let (old, new) = (directory.path().join(".tmp/old"), directory.path().join(".tmp/new"));
        File::create(&new).unwrap();
        let long_ago = SystemTime::now() - ABANDONED - Duration::from_secs(60);
        File::create(&old).unwrap().set_modified(long_ago).unwrap();
        folder.sweep().await.unwrap();
        assert_eq!((old.exists(), new.exists()), (false, true));
    }

    #[tokio::test]
    async fn a_key_is_no_folder_of_another() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().to_owned());
        put(&folder, "a/b", b"one").await.unwrap();
        assert!(matches!(put(&folder, "a", b"two").await, Err(StorageError::Invalid(_))));
        assert!(matches!(put(&folder, "a/b/c", b"two").await, Err(StorageError::Invalid(_))));
        assert_eq!(folder.head("a").await, Ok(None));
        assert_eq!(folder.head("a/b/c").await, Ok(None));
        assert!(matches!(folder.get("a", None).await, Err(StorageError::NotFound)));
    }

    /// Deletes that remove a folder and puts that need it, at the same time.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn neighbours_do_not_disturb_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::new(directory.path().to_owned()));
        let mut tasks = Vec::new();
        for task in 0..8 {
            let folder = folder.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..30 {
                    let key = format!("a/b/{task}");
                    put(&folder, &key, b"bytes").await.unwrap();
                    assert_eq!(folder.head(&key).await.unwrap().unwrap().size, 5);
                    folder.delete(&key).await.unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
}
