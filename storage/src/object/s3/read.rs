//! The way down: facts, bytes, lists, and the comparison of what was stored with what was sent.

use std::collections::BTreeSet;
use std::ops::Range;

use aws_sdk_s3::types::ChecksumMode as Reported;
use bytes::Bytes;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::super::source::Hash;
use super::super::{ObjectBody, ObjectEntry, ObjectInfo};
use super::upload::{Checksum, SHA256};
use super::{ChecksumMode, S3, allowance, within};
use crate::StorageError;
use crate::error::{chain, redact};

/// Most pages of a listing: 10 million objects.
const MOST_PAGES: usize = 10_000;

pub(super) struct Head {
    pub info: ObjectInfo,
    /// SHA-256 as the store itself computed it.
    checksum: Option<String>,
}

pub(super) async fn head(s3: &S3, key: &str) -> Result<Option<Head>, StorageError> {
    let request = s3.client.head_object().bucket(&s3.bucket).key(key);
    let reported = (s3.checksum == ChecksumMode::WhenSupported).then_some(Reported::Enabled);
    let found = match request.set_checksum_mode(reported).send().await.map_err(|e| s3.error(&e)) {
        Err(StorageError::NotFound) => return Ok(None),
        other => other?,
    };
    let sha256 = found.metadata.and_then(|mut metadata| metadata.remove(SHA256));
    let info = ObjectInfo { size: length(found.content_length)?, content_type: or_bytes(found.content_type), sha256 };
    Ok(Some(Head { info, checksum: found.checksum_sha256 }))
}

/// Whether the store holds exactly what was sent.
pub(super) async fn verify(
    s3: &S3,
    key: &str,
    size: u64,
    sha256: Hash,
    expected: Checksum,
) -> Result<(), StorageError> {
    let Some(head) = head(s3, key).await? else {
        return Err(StorageError::Refused("the object is not there after its upload".into()));
    };
    if head.info.size != size {
        return Err(StorageError::Refused(format!("the store kept {} bytes of {size}", head.info.size)));
    }
    if head.checksum.as_ref() == Some(&expected) {
        return Ok(());
    }
    // No checksum, or one of another kind: the bytes themselves decide.
    let mut body = get(s3, key, None).await?;
    let mut found = Sha256::new();
    within(allowance(size), async {
        while let Some(chunk) = body.stream.next().await {
            found.update(&chunk?);
        }
        Ok(())
    })
    .await?;
    let found: Hash = found.finalize().into();
    if found == sha256 {
        Ok(())
    } else {
        Err(StorageError::Refused(format!(
            "the store kept other bytes than it was sent, they hash to {}",
            hex::encode(found)
        )))
    }
}

pub(super) async fn get(s3: &S3, key: &str, range: Option<(u64, u64)>) -> Result<ObjectBody, StorageError> {
    let request = s3.client.get_object().bucket(&s3.bucket).key(key);
    let header = range.map(|(first, last)| format!("bytes={first}-{last}"));
    let answer = match request.set_range(header).send().await {
        Ok(answer) => answer,
        Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 416) => {
            let size = head(s3, key).await?.ok_or(StorageError::NotFound)?.info.size;
            return Err(StorageError::Range { size });
        }
        Err(error) => return Err(s3.error(&error)),
    };
    let length = length(answer.content_length)?;
    let (range, size) = match (range, answer.content_range.as_deref()) {
        (None, _) => (0..length, length),
        (Some(asked), Some(given)) => {
            parse_range(given).filter(|(given, _)| given.start == asked.0).ok_or_else(|| {
                StorageError::Corrupt(format!("asked for the bytes from {} the store sent '{given}'", asked.0))
            })?
        }
        (Some(_), None) => return Err(StorageError::Refused("the store does not send ranges".into())),
    };
    let secret = s3.secret.clone();
    let left = range.end - range.start;
    let stream = futures::stream::try_unfold((answer.body, left), move |(mut body, left)| {
        let secret = secret.clone();
        async move {
            match body.next().await {
                Some(Ok(chunk)) => {
                    let left = left.checked_sub(chunk.len() as u64);
                    let left = left.ok_or_else(|| StorageError::Corrupt("the store sent too many bytes".into()))?;
                    Ok(Some((chunk, (body, left))))
                }
                Some(Err(error)) => Err(StorageError::Away(redact(&chain(&error), secret.expose()))),
                None if left > 0 => Err(StorageError::Away(format!("the store stopped {left} bytes before the end"))),
                None => Ok::<Option<(Bytes, _)>, _>(None),
            }
        }
    });
    Ok(ObjectBody { size, range, content_type: or_bytes(answer.content_type), stream: stream.boxed() })
}

pub(super) async fn list(s3: &S3, prefix: &str) -> Result<Vec<ObjectEntry>, StorageError> {
    let mut entries = Vec::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let request = s3.client.list_objects_v2().bucket(&s3.bucket).prefix(prefix).set_continuation_token(token);
        let page = request.send().await.map_err(|e| s3.error(&e))?;
        for object in page.contents.unwrap_or_default() {
            if let Some(key) = object.key {
                entries.push(ObjectEntry { key, size: length(object.size)? });
            }
        }
        token = page.next_continuation_token;
        if token.is_none() || page.is_truncated != Some(true) {
            return Ok(entries);
        }
    }
    Err(StorageError::Refused("the bucket holds more objects than can be listed".into()))
}

/// What stands between `prefix` and the next slash.
pub(super) async fn folders(s3: &S3, prefix: &str) -> Result<BTreeSet<String>, StorageError> {
    let mut names = BTreeSet::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let request = s3.client.list_objects_v2().bucket(&s3.bucket).prefix(prefix).delimiter("/");
        let page = request.set_continuation_token(token).send().await.map_err(|e| s3.error(&e))?;
        let folders = page.common_prefixes.unwrap_or_default().into_iter().filter_map(|folder| folder.prefix);
        names.extend(folders.map(|folder| folder.trim_end_matches('/').to_owned()));
        // a store that does not know of delimiters lists the objects
        let keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
        names.extend(keys.filter_map(|key| {
            let end = prefix.len() + key.strip_prefix(prefix)?.find('/')?;
            Some(key[..end].to_owned())
        }));
        token = page.next_continuation_token;
        if token.is_none() || page.is_truncated != Some(true) {
            return Ok(names);
        }
    }
    Err(StorageError::Refused("the bucket holds more folders than can be listed".into()))
}

fn or_bytes(content_type: Option<String>) -> String {
    content_type.unwrap_or_else(|| "application/octet-stream".into())
}

fn length(found: Option<i64>) -> Result<u64, StorageError> {
    let found = found.and_then(|length| u64::try_from(length).ok());
    // Not Corrupt: that would be taken for a damaged file by whoever stores one.
    found.ok_or_else(|| StorageError::Refused("the store did not say how long the object is".into()))
}

/// `bytes 0-9/100` as `0..10` and 100.
fn parse_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (first <= last && last < size).then(|| (first..last + 1, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(parse_range("bytes 0-9/100"), Some((0..10, 100)));
        for bad in ["", "bytes */100", "bytes 9-0/100", "bytes 0-100/100", "bytes 0-9/*", "0-9/100", "bytes -1-9/100"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
