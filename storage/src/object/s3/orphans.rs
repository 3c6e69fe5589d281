//! Multipart uploads that nobody will complete. Their parts are billed and no listing of objects shows them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::S3;
use crate::{StorageError, clock, key};

/// Most pages of 1000 uploads each that one sweep looks at; the next one begins with what is left.
const MOST_PAGES: usize = 100;

/// Aborts uploads to keys of clips which began more than `age` ago and are not among `keep`, by their ids. How many.
pub(super) async fn sweep(s3: &S3, age: Duration, keep: &BTreeSet<String>) -> Result<u64, StorageError> {
    let before_ms = (clock::utc_ms() as i64).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let (mut aborted, mut from) = (0, (None, None));
    for _ in 0..MOST_PAGES {
        let request = s3.client.list_multipart_uploads().bucket(&s3.bucket);
        let request = request.set_key_marker(from.0).set_upload_id_marker(from.1);
        let page = match request.send().await {
            Ok(page) => page,
            // A store that cannot tell has to clear away by itself.
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 501) => break,
            Err(error) => return Err(s3.error(&error)),
        };
        for upload in page.uploads.unwrap_or_default() {
            let (Some(key), Some(id), Some(begun)) = (upload.key, upload.upload_id, upload.initiated) else { continue };
            let is_old = begun.to_millis().is_ok_and(|begun_ms| begun_ms < before_ms);
            if is_old && key::is_of_a_clip(&key) && !keep.contains(&id) {
                abort(s3, &key, &id).await?;
                aborted += 1;
            }
        }
        from = (page.next_key_marker, page.next_upload_id_marker);
        if page.is_truncated != Some(true) || from.0.is_none() {
            break;
        }
    }
    Ok(aborted)
}

/// One that is gone already is fine.
pub(super) async fn abort(s3: &S3, key: &str, id: &str) -> Result<(), StorageError> {
    let request = s3.client.abort_multipart_upload().bucket(&s3.bucket).key(key).upload_id(id);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) => Ok(()),
        Err(error) => Err(s3.error(&error)),
    }
}
