//! Going on with a multipart upload that broke off: what the store still has of it, compared with the file part by part.

use std::collections::BTreeMap;

use aws_sdk_s3::types::CompletedPart;

use super::super::source::{Part, Source};
use super::{S3, orphans};
use crate::local::{OpenUpload, SentPart};
use crate::{Local, StorageError};

/// Most pages of a listing of parts: an upload has at most 10,000, a page 1000.
const MOST_PAGES: usize = 20;

/// Parts that the store says it has, and what was noted when it took them.
#[derive(Debug, Default)]
pub(super) struct Finished(BTreeMap<i32, (Listed, Option<SentPart>)>);

#[derive(Debug)]
struct Listed {
    size: Option<i64>,
    etag: Option<String>,
    /// SHA-256 in base 64, where the store keeps one.
    checksum: Option<String>,
}

impl Finished {
    /// The part as it is named when the upload is completed, when the store has exactly these bytes. `checksum` is their header.
    pub fn part(&self, number: i32, part: &Part, checksum: Option<String>) -> Option<CompletedPart> {
        let (listed, noted) = self.0.get(&number)?;
        let same = match (&listed.checksum, &checksum) {
            (Some(kept), Some(sent)) => kept == sent,
            // The store keeps none: what was noted when it confirmed the part says which bytes they were.
            _ => noted.as_ref().is_some_and(|noted| noted.sha256 == hex::encode(part.sha256)),
        };
        if !same || listed.size != Some(part.bytes.len() as i64) {
            return None;
        }
        let etag = listed.etag.clone().or_else(|| noted.as_ref()?.etag.clone());
        Some(CompletedPart::builder().part_number(number).set_e_tag(etag).set_checksum_sha256(checksum).build())
    }
}

/// The upload of exactly this file that was begun earlier and that the store still knows.
pub(super) async fn find(
    s3: &S3,
    key: &str,
    length: u64,
    source: &Source,
    memory: &Local,
) -> Result<Option<(String, Finished)>, StorageError> {
    let Some(upload) = memory.open_upload(key).await? else { return Ok(None) };
    let of_this_file = upload.part_bytes == length && upload.sha256 == hex::encode(source.sha256());
    let id = upload.id.clone();
    let found = if of_this_file { listed(s3, key, upload).await } else { Ok(None) };
    match found {
        Ok(Some(finished)) => Ok(Some((id, finished))),
        Err(error @ StorageError::Away(_)) => Err(error),
        // Another file, ended by somebody else, or a store that does not list parts: begun anew.
        Ok(None) | Err(_) => {
            if let Err(error) = orphans::abort(s3, key, &id).await {
                tracing::debug!(%error, key, "an upload that does not go on could not be aborted");
            }
            forget(memory, key).await;
            Ok(None)
        }
    }
}

async fn listed(s3: &S3, key: &str, mut upload: OpenUpload) -> Result<Option<Finished>, StorageError> {
    let (mut finished, mut from) = (Finished::default(), None);
    for _ in 0..MOST_PAGES {
        let request = s3.client.list_parts().bucket(&s3.bucket).key(key).upload_id(&upload.id);
        let page = request.set_part_number_marker(from).send().await.map_err(|e| s3.error(&e))?;
        for part in page.parts.unwrap_or_default() {
            let Some(number) = part.part_number else { continue };
            let listed = Listed { size: part.size, etag: part.e_tag, checksum: part.checksum_sha256 };
            finished.0.insert(number, (listed, upload.parts.remove(&number)));
        }
        from = page.next_part_number_marker;
        if page.is_truncated != Some(true) || from.is_none() {
            return Ok(Some(finished));
        }
    }
    Ok(None)
}

/// What cannot be forgotten now is compared with the file next time.
pub(super) async fn forget(memory: &Local, key: &str) {
    if let Err(error) = memory.end_upload(key).await {
        tracing::debug!(%error, key, "an upload that ended is still noted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_part_of_the_same_bytes_is_finished() {
        let part = Part { bytes: bytes::Bytes::from_static(b"four"), sha256: [7; 32] };
        let noted = |hash: [u8; 32]| Some(SentPart { etag: Some("noted".into()), sha256: hex::encode(hash) });
        let listed = |size, etag: Option<&str>, checksum: Option<&str>| Listed {
            size: Some(size),
            etag: etag.map(str::to_owned),
            checksum: checksum.map(str::to_owned),
        };
        for (at, (listed, noted, expected)) in [
            (listed(4, Some("listed"), None), noted([7; 32]), Some("listed")),
            (listed(4, None, None), noted([7; 32]), Some("noted")),
            (listed(4, None, None), noted([8; 32]), None),
            (listed(3, Some("listed"), None), noted([7; 32]), None),
            // killed before it was noted
            (listed(4, Some("listed"), None), None, None),
            (listed(4, Some("listed"), Some("sum")), None, Some("listed")),
            (listed(4, Some("listed"), Some("other")), noted([7; 32]), None),
        ]
        .into_iter()
        .enumerate()
        {
            let finished = Finished(BTreeMap::from([(1, (listed, noted))]));
            let found = finished.part(1, &part, Some("sum".into()));
            assert_eq!(found.as_ref().and_then(CompletedPart::e_tag), expected, "case {at}");
            assert!(finished.part(2, &part, None).is_none());
        }
    }
}
