//! Objects: closed, immutable files under keys, in a folder or in S3-compatible storage.
//!
//! What is put is verified before the call returns: the caller may delete its own copy on `Ok` and only then. A key is
//! written once in practice; writing it again replaces the object as a whole, readers see the old or the new one.
//!
//! What does not belong here: when to upload and how often to retry (the recorder's outbox), and what an object is for.

mod disposition;
mod filesystem;
mod s3;
mod source;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, Stream, StreamExt};
use url::Url;

pub use self::disposition::content_disposition;
pub use self::s3::{ChecksumMode, PART_BYTES, S3Config};
use crate::{Id, Local, StorageError, key};

/// Keys of the canary begin with this; [`ObjectStore::list`] leaves them out.
const CANARY_PREFIX: &str = "oxbow-canary/";
/// Most bytes of [`ObjectStore::put_bytes`].
pub const SMALL_BYTES: usize = 4 * 1024 * 1024;

/// A verified object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: u64,
    pub content_type: String,
    /// As given when it was put, 64 lower-case hex characters; none for objects that something else has put there.
    pub sha256: Option<String>,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    pub key: String,
    /// Bytes.
    pub size: u64,
}

/// The bytes of an object as they arrive. An error ends the stream.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, StorageError>> + Send>>;

/// An object, or a part of it, on its way.
pub struct ObjectBody {
    /// Bytes of the whole object.
    pub size: u64,
    /// Which of them follow (end exclusive); all of them, `0..size`, when no range was asked for.
    pub range: Range<u64>,
    pub content_type: String,
    pub stream: ByteStream,
}

impl ObjectBody {
    /// All bytes at once.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] when there are more than `limit`, and whatever the stream ends with.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, StorageError> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.stream.next().await {
            let chunk = chunk?;
            if all.len() + chunk.len() > limit {
                return Err(StorageError::Invalid(format!("the object has more than {limit} bytes")));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBody")
            .field("size", &self.size)
            .field("range", &self.range)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// The door to the objects. Clones share one store.
#[derive(Clone, Debug)]
pub struct ObjectStore(Arc<Kind>);

// The futures of the SDK are deep; boxed here, they stay out of the callers' own.
#[derive(Debug)]
enum Kind {
    Folder(filesystem::Folder),
    S3(Box<s3::S3>),
}

impl ObjectStore {
    /// Objects as files below `root`, which is created when it is first needed.
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Kind::Folder(filesystem::Folder::new(root.into()))))
    }

    /// Objects in a bucket. Nothing is connected yet.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for settings that can never work, such as an endpoint that is no address.
    pub fn s3(config: S3Config) -> Result<Self, StorageError> {
        Ok(Self(Arc::new(Kind::S3(Box::new(s3::S3::new(config)?)))))
    }

    /// `"folder"` or `"s3"`.
    pub fn kind(&self) -> &'static str {
        match &*self.0 {
            Kind::Folder(_) => "folder",
            Kind::S3(_) => "s3",
        }
    }

    /// Puts, reads, compares and deletes a small object of its own: whether the store can do its work, not just answer.
    ///
    /// # Errors
    /// The first step that fails.
    pub async fn canary(&self) -> Result<(), StorageError> {
        let id = Id::new(crate::clock::utc_ms(), rand::random());
        let key = format!("{CANARY_PREFIX}{id}");
        let sent = Bytes::from(format!("oxbow {id}"));
        self.put_bytes(&key, sent.clone(), "text/plain").await?;
        let read = async { self.get(&key, None).await?.bytes(1024).await }.await;
        let deleted = self.delete(&key).await;
        if read? != sent {
            return Err(StorageError::Corrupt("the store returned other bytes than it was given".into()));
        }
        deleted?;
        match &*self.0 {
            Kind::Folder(folder) => folder.sweep().await,
            Kind::S3(_) => Ok(()),
        }
    }

    /// Stores a closed file that nobody writes to any more. `sha256` is its hash in hex, known from when it was made.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the file does not have that hash (nothing is stored then); [`StorageError::Local`] when it
    /// cannot be read; Refused, also when the store kept something else than it was sent; Away or Invalid. After any error keep
    /// the file.
    pub async fn put_file(
        &self,
        key: &str,
        path: &Path,
        content_type: &str,
        sha256: &str,
    ) -> Result<Stored, StorageError> {
        check_put(key, content_type)?;
        let sha256 = source::parse_sha256(sha256)?;
        self.put(key, source::Source::open(path.to_owned(), sha256).await?, content_type, None).await
    }

    /// As [`Self::put_file`]. What a store has taken of a long file is noted in `memory`; when this call breaks off, also by the end of
    /// the process, the next one for the same key and file sends only the rest.
    ///
    /// # Errors
    /// As [`Self::put_file`].
    pub async fn put_file_resumable(
        &self,
        key: &str,
        path: &Path,
        content_type: &str,
        sha256: &str,
        memory: &Local,
    ) -> Result<Stored, StorageError> {
        check_put(key, content_type)?;
        let sha256 = source::parse_sha256(sha256)?;
        self.put(key, source::Source::open(path.to_owned(), sha256).await?, content_type, Some(memory)).await
    }

    /// Stores a few bytes (at most [`SMALL_BYTES`]), for instance a sidecar.
    ///
    /// # Errors
    /// As [`Self::put_file`].
    pub async fn put_bytes(&self, key: &str, bytes: Bytes, content_type: &str) -> Result<Stored, StorageError> {
        check_put(key, content_type)?;
        if bytes.len() > SMALL_BYTES {
            return Err(StorageError::Invalid(format!("more than {SMALL_BYTES} bytes at once")));
        }
        self.put(key, source::Source::of_bytes(bytes), content_type, None).await
    }

    async fn put(
        &self,
        key: &str,
        source: source::Source,
        content_type: &str,
        memory: Option<&Local>,
    ) -> Result<Stored, StorageError> {
        match &*self.0 {
            Kind::Folder(folder) => folder.put(key, source, content_type).await,
            Kind::S3(s3) => s3.put(key, source, content_type, memory).boxed().await,
        }
    }

    /// None when there is no such object.
    ///
    /// # Errors
    /// Away, Refused or Invalid.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StorageError> {
        key::check(key)?;
        match &*self.0 {
            Kind::Folder(folder) => folder.head(key).await,
            Kind::S3(s3) => s3.head(key).boxed().await,
        }
    }

    /// The object, or its bytes from `range.0` to `range.1`, both inclusive as in HTTP; an end past the last byte means the
    /// last byte.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; [`StorageError::Range`] when the range begins past the end; Away, Refused or Invalid.
    pub async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<ObjectBody, StorageError> {
        key::check(key)?;
        if let Some((first, last)) = range
            && first > last
        {
            return Err(StorageError::Invalid(format!("a range from {first} to {last} is empty")));
        }
        match &*self.0 {
            Kind::Folder(folder) => folder.get(key, range).await,
            Kind::S3(s3) => s3.get(key, range).boxed().await,
        }
    }

    /// Deleting what is not there is fine.
    ///
    /// # Errors
    /// Away, Refused or Invalid.
    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        key::check(key)?;
        match &*self.0 {
            Kind::Folder(folder) => folder.delete(key).await,
            Kind::S3(s3) => s3.delete(key).boxed().await,
        }
    }

    /// All objects whose key begins with `prefix` (any text, not only whole segments), sorted by key. What does not have a
    /// key of ours is left out. About 100 bytes of memory for each.
    ///
    /// # Errors
    /// Away, Refused or Invalid.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, StorageError> {
        key::check_prefix(prefix)?;
        let mut found = match &*self.0 {
            Kind::Folder(folder) => folder.list(prefix).await?,
            Kind::S3(s3) => s3.list(prefix).boxed().await?,
        };
        found.retain(|entry| !entry.key.starts_with(CANARY_PREFIX) && key::check(&entry.key).is_ok());
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// The folders directly in a folder (`""`: in the store), as whole prefixes without the last slash, sorted: a store is walked
    /// folder by folder in bounded memory. Those that no key of ours can begin with are left out.
    ///
    /// # Errors
    /// Away, Refused or Invalid.
    pub async fn folders(&self, folder: &str) -> Result<BTreeSet<String>, StorageError> {
        key::check_prefix(folder)?;
        let prefix = if folder.is_empty() { String::new() } else { format!("{}/", folder.trim_end_matches('/')) };
        let mut found = match &*self.0 {
            Kind::Folder(store) => store.folders(&prefix).await?,
            Kind::S3(s3) => s3.folders(&prefix).boxed().await?,
        };
        found.retain(|name| name != CANARY_PREFIX.trim_end_matches('/') && key::check(name).is_ok());
        Ok(found)
    }

    /// Aborts multipart uploads to keys of clips that began more than `age` ago, except those with an id in `keep`: a process that
    /// died, or a line that broke, has left them, and their parts are billed. How many; none where there are no such things.
    ///
    /// # Errors
    /// Away, Refused or Invalid; those before the error are aborted.
    pub async fn abort_orphans(&self, age: Duration, keep: &BTreeSet<String>) -> Result<u64, StorageError> {
        match &*self.0 {
            Kind::Folder(_) => Ok(0),
            Kind::S3(s3) => s3.abort_orphans(age, keep).boxed().await,
        }
    }

    /// An address under which anybody can GET the object until `expires` (at most 7 days) has passed. With a `filename` the
    /// answer asks to be saved under it. None where the store cannot do that (a folder).
    ///
    /// # Errors
    /// Invalid.
    pub async fn presign(
        &self,
        key: &str,
        expires: Duration,
        filename: Option<&str>,
    ) -> Result<Option<Url>, StorageError> {
        key::check(key)?;
        match &*self.0 {
            Kind::Folder(_) => Ok(None),
            Kind::S3(s3) => s3.presign(key, expires, filename).boxed().await.map(Some),
        }
    }
}

fn check_put(key: &str, content_type: &str) -> Result<(), StorageError> {
    key::check(key)?;
    let fits = (1..=100).contains(&content_type.len()) && content_type.bytes().all(|b| (0x20..0x7f).contains(&b));
    if fits { Ok(()) } else { Err(StorageError::Invalid("the content type is not a header value".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_one_header_value() {
        assert_eq!(check_put("a", "video/mp4; codecs=\"avc1\""), Ok(()));
        for bad in ["", "a\nb", "é", &"x".repeat(101)] {
            assert!(check_put("a", bad).is_err(), "{bad:?}");
        }
    }
}
