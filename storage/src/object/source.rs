//! What is being put: a local file or a few bytes, read once, in order, hashed on the way.
//!
//! Reading and hashing happen on the blocking pool, one part at a time, so that memory holds the parts in flight only.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::StorageError;
use crate::blocking::blocking;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// A run of bytes and its own hash.
pub(super) struct Part {
    pub bytes: Bytes,
    pub sha256: Hash,
}

/// See the module.
pub(super) struct Source {
    input: Input,
    size: u64,
    expected: Hash,
    read: u64,
    whole: Sha256,
}

enum Input {
    File(File, PathBuf),
    Bytes(Bytes),
}

impl Source {
    /// `expected` is what the file must hash to.
    pub async fn open(path: PathBuf, expected: Hash) -> Result<Self, StorageError> {
        blocking(move || {
            let open = || -> std::io::Result<(File, u64)> {
                let file = File::open(&path)?;
                let about = file.metadata()?;
                if !about.is_file() {
                    return Err(std::io::Error::other("not a regular file"));
                }
                Ok((file, about.len()))
            };
            let (file, size) = open().map_err(|error| local(&path, &error))?;
            Ok(Self { input: Input::File(file, path), size, expected, read: 0, whole: Sha256::new() })
        })
        .await
    }

    pub fn of_bytes(bytes: Bytes) -> Self {
        let expected = Sha256::digest(&bytes).into();
        Self { size: bytes.len() as u64, input: Input::Bytes(bytes), expected, read: 0, whole: Sha256::new() }
    }

    /// Bytes, when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash that it must have.
    pub fn sha256(&self) -> Hash {
        self.expected
    }

    /// The next `length` bytes, fewer at the end, then none. With the last bytes the hash of the whole is checked; read until
    /// none comes to notice a file that grew.
    ///
    /// # Errors
    /// Local; Corrupt when the file has another hash than expected or changed its size.
    pub async fn next(mut self, length: usize) -> Result<(Self, Option<Part>), StorageError> {
        blocking(move || {
            let bytes = self.take(length)?;
            self.whole.update(&bytes);
            self.read += bytes.len() as u64;
            if self.read > self.size || (bytes.len() < length && self.read < self.size) {
                return Err(StorageError::Corrupt("the file changed while it was being stored".into()));
            }
            if self.read == self.size {
                let found: Hash = self.whole.clone().finalize().into();
                if found != self.expected {
                    let (found, expected) = (hex::encode(found), hex::encode(self.expected));
                    return Err(StorageError::Corrupt(format!("the file hashes to {found}, expected {expected}")));
                }
            }
            let sha256 = if bytes.len() as u64 == self.size { self.expected } else { Sha256::digest(&bytes).into() };
            let part = (!bytes.is_empty()).then_some(Part { bytes, sha256 });
            Ok((self, part))
        })
        .await
    }

    fn take(&mut self, length: usize) -> Result<Bytes, StorageError> {
        match &mut self.input {
            Input::Bytes(bytes) => Ok(bytes.split_to(length.min(bytes.len()))),
            Input::File(file, path) => {
                let mut buffer = Vec::with_capacity(length.min((self.size - self.read) as usize + 1));
                file.by_ref().take(length as u64).read_to_end(&mut buffer).map_err(|error| local(path, &error))?;
                Ok(buffer.into())
            }
        }
    }
}

fn local(path: &Path, error: &std::io::Error) -> StorageError {
    StorageError::Local(format!("{}: {error}", path.display()))
}

/// 64 lower-case hex characters.
pub(super) fn parse_sha256(text: &str) -> Result<Hash, StorageError> {
    let mut hash = [0; 32];
    match hex::decode_to_slice(text, &mut hash) {
        Ok(()) if !text.bytes().any(|b| b.is_ascii_uppercase()) => Ok(hash),
        _ => Err(StorageError::Invalid("a SHA-256 is 64 lower-case hex characters".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_come_in_order_and_the_whole_is_checked_with_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"abcdefgh").unwrap();
        let right: Hash = Sha256::digest(b"abcdefgh").into();

        let source = Source::open(path.clone(), right).await.unwrap();
        let (source, first) = source.next(5).await.unwrap();
        let (source, second) = source.next(5).await.unwrap();
        assert_eq!((&first.unwrap().bytes[..], &second.unwrap().bytes[..]), (&b"abcde"[..], &b"fgh"[..]));
        assert!(source.next(5).await.unwrap().1.is_none());

        let source = Source::open(path.clone(), [0; 32]).await.unwrap();
        let (source, _) = source.next(7).await.unwrap();
        assert!(matches!(source.next(7).await.err(), Some(StorageError::Corrupt(_))));

        let source = Source::open(path.clone(), right).await.unwrap();
        std::fs::write(&path, b"abcdefgh and more").unwrap();
        let (source, _) = source.next(8).await.unwrap();
        assert!(matches!(source.next(8).await.err(), Some(StorageError::Corrupt(_))), "a file that grew");

        assert!(matches!(Source::open(directory.path().into(), right).await.err(), Some(StorageError::Local(_))));
        assert!(matches!(Source::open(path.with_extension("x"), right).await.err(), Some(StorageError::Local(_))));
    }

    #[tokio::test]
    async fn no_bytes_have_a_hash_too() {
        let (_, part) = Source::of_bytes(Bytes::new()).next(10).await.unwrap();
        assert!(part.is_none());
    }

    #[test]
    fn hashes_have_one_spelling() {
        assert!(parse_sha256(&"0a".repeat(32)).is_ok());
        for bad in ["", "0a", &"0A".repeat(32), &"0g".repeat(32), &"0a".repeat(33)] {
            assert!(parse_sha256(bad).is_err(), "{bad}");
        }
    }
}
