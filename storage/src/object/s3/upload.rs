//! The way up: one request, or parts.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::super::source::{Hash, Part, Source};
use super::resume::{self, Finished};
use super::{ChecksumMode, S3, timeouts};
use crate::local::SentPart;
use crate::{Local, StorageError};

/// Parts under way at once; with the one being read, memory holds one more.
const AT_ONCE: usize = 3;
/// S3's limit.
const MOST_PARTS: u64 = 10_000;
/// Name of the user metadata that keeps our own hash with the object.
pub(super) const SHA256: &str = "sha256";

/// What a store that keeps SHA-256 checksums will report for the object.
pub(super) type Checksum = String;

/// Sends the whole source. The object appears only after all of it was read and had the hash it should have.
pub(super) async fn upload(
    s3: &S3,
    key: &str,
    source: Source,
    content_type: &str,
    memory: Option<&Local>,
) -> Result<Checksum, StorageError> {
    if source.size() <= s3.part_bytes {
        whole(s3, key, source, content_type).await
    } else {
        parts(s3, key, source, content_type, memory).await
    }
}

async fn whole(s3: &S3, key: &str, source: Source, content_type: &str) -> Result<Checksum, StorageError> {
    let (size, sha256) = (source.size(), source.sha256());
    let (source, part) = source.next(size as usize + 1).await?;
    drop(source);
    let request = s3
        .client
        .put_object()
        .bucket(&s3.bucket)
        .key(key)
        .content_type(content_type)
        .content_length(size as i64)
        .metadata(SHA256, hex::encode(sha256))
        .set_checksum_sha256(s3.header(&sha256))
        .body(ByteStream::from(part.map(|part| part.bytes).unwrap_or_default()));
    let config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts(size));
    request.customize().config_override(config).send().await.map_err(|e| s3.error(&e))?;
    Ok(STANDARD.encode(sha256))
}

async fn parts(
    s3: &S3,
    key: &str,
    source: Source,
    content_type: &str,
    memory: Option<&Local>,
) -> Result<Checksum, StorageError> {
    let length = s3.part_bytes.max(source.size().div_ceil(MOST_PARTS));
    let earlier = match memory {
        Some(memory) => resume::find(s3, key, length, &source, memory).await?,
        None => None,
    };
    let mut upload = match earlier {
        Some((id, finished)) => Upload { s3, key, id, length, finished, memory, abort: false },
        None => begin(s3, key, &source, content_type, length, memory).await?,
    };
    let result = upload.send(source).await;
    // After a time-out or a broken line the parts that arrived are still good; whatever else failed would fail again.
    let goes_on = matches!(result, Err(StorageError::Away(_))) && upload.memory.is_some();
    upload.abort = result.is_err() && !goes_on;
    if let Some(memory) = upload.memory.filter(|_| !goes_on) {
        resume::forget(memory, key).await;
    }
    result
}

async fn begin<'a>(
    s3: &'a S3,
    key: &'a str,
    source: &Source,
    content_type: &str,
    length: u64,
    memory: Option<&'a Local>,
) -> Result<Upload<'a>, StorageError> {
    let sha256 = hex::encode(source.sha256());
    let request = s3
        .client
        .create_multipart_upload()
        .bucket(&s3.bucket)
        .key(key)
        .content_type(content_type)
        .metadata(SHA256, &sha256)
        .set_checksum_algorithm((s3.checksum == ChecksumMode::WhenSupported).then_some(ChecksumAlgorithm::Sha256));
    let created = request.send().await.map_err(|e| s3.error(&e))?;
    let id = created.upload_id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| StorageError::Refused("the store began an upload without naming it".into()))?;
    let mut upload = Upload { s3, key, id, length, finished: Finished::default(), memory: None, abort: true };
    upload.forget_earlier().await;
    if let Some(memory) = memory {
        match memory.begin_upload(key, &upload.id, length, &sha256).await {
            Ok(()) => (upload.memory, upload.abort) = (Some(memory), false),
            // The disk that is full becomes empty by uploads.
            Err(error) => tracing::debug!(%error, key, "an upload could not be noted and starts anew if it breaks off"),
        }
    }
    Ok(upload)
}

/// A multipart upload.
struct Upload<'a> {
    s3: &'a S3,
    key: &'a str,
    id: String,
    /// Of each part but the last, bytes.
    length: u64,
    /// What the store has from an earlier try.
    finished: Finished,
    /// None: if it breaks off, nobody goes on with it.
    memory: Option<&'a Local>,
    /// Dropped, it is aborted.
    abort: bool,
}

impl Upload<'_> {
    async fn send(&mut self, mut source: Source) -> Result<Checksum, StorageError> {
        let (mut number, mut hashes) = (0, Sha256::new());
        // Dropped on an error: its tasks end with it.
        let mut under_way = JoinSet::new();
        let mut completed = Vec::new();
        loop {
            let (rest, part) = source.next(self.length as usize).await?;
            source = rest;
            let Some(part) = part else { break };
            number += 1;
            hashes.update(part.sha256);
            if let Some(part) = self.finished.part(number, &part, self.s3.header(&part.sha256)) {
                completed.push(part);
                continue;
            }
            while under_way.len() >= AT_ONCE {
                completed.extend(joined(under_way.join_next().await)?);
            }
            under_way.spawn(self.part(number, part));
        }
        while !under_way.is_empty() {
            completed.extend(joined(under_way.join_next().await)?);
        }
        completed.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(completed)).build();
        let request = self.s3.client.complete_multipart_upload().bucket(&self.s3.bucket).key(self.key);
        // A store may assemble the parts before it answers.
        let config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts(source.size() / 4));
        let request = request.upload_id(&self.id).multipart_upload(parts).customize().config_override(config);
        request.send().await.map_err(|e| self.s3.error(&e))?;
        Ok(format!("{}-{number}", STANDARD.encode(hashes.finalize())))
    }

    /// Aborts uploads of the same key that a killed process has left; their parts are billed and nobody will complete them.
    /// Not every store can list them, and this upload does not depend on it.
    async fn forget_earlier(&self) {
        let (client, bucket, key) = (&self.s3.client, &self.s3.bucket, self.key);
        let listed = client.list_multipart_uploads().bucket(bucket).prefix(key).send().await;
        for earlier in listed.ok().and_then(|listed| listed.uploads).unwrap_or_default() {
            let Some(id) = earlier.upload_id.filter(|id| *id != self.id && earlier.key.as_deref() == Some(key)) else {
                continue;
            };
            let aborted = client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send().await;
            if let Err(error) = aborted {
                tracing::debug!(%error, key, "an abandoned multipart upload could not be aborted");
            }
        }
    }

    fn part(
        &self,
        number: i32,
        part: Part,
    ) -> impl Future<Output = Result<CompletedPart, StorageError>> + Send + use<> {
        let (bucket, secret) = (self.s3.bucket.clone(), self.s3.secret.clone());
        let checksum = self.s3.header(&part.sha256);
        let config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts(part.bytes.len() as u64));
        let request = self
            .s3
            .client
            .upload_part()
            .bucket(&bucket)
            .key(self.key)
            .upload_id(&self.id)
            .part_number(number)
            .content_length(part.bytes.len() as i64)
            .set_checksum_sha256(checksum.clone())
            .body(ByteStream::from(part.bytes))
            .customize()
            .config_override(config);
        let memory = self.memory.cloned();
        let (key, id, sha256) = (self.key.to_owned(), self.id.clone(), hex::encode(part.sha256));
        async move {
            let sent = request.send().await;
            let sent = sent.map_err(|e| super::classify(&e, &bucket, secret.expose()))?;
            if let Some(memory) = memory {
                let noted = memory.part_sent(key, id, number, SentPart { etag: sent.e_tag.clone(), sha256 }).await;
                if let Err(error) = noted {
                    tracing::debug!(%error, number, "a part could not be noted and is sent again if the upload breaks off");
                }
            }
            let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).set_checksum_sha256(checksum);
            Ok(part.build())
        }
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.abort {
            let request = self.s3.client.abort_multipart_upload().bucket(&self.s3.bucket).key(self.key);
            let request = request.upload_id(&self.id);
            // Bounded by the client's time-outs. What cannot be aborted now is forgotten before the next attempt.
            runtime.spawn(async move {
                if let Err(error) = request.send().await {
                    tracing::debug!(%error, "a multipart upload could not be aborted");
                }
            });
        }
    }
}

fn joined(
    task: Option<Result<Result<CompletedPart, StorageError>, tokio::task::JoinError>>,
) -> Result<Option<CompletedPart>, StorageError> {
    match task {
        None => Ok(None),
        Some(Ok(part)) => part.map(Some),
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(_)) => Err(StorageError::Away("the process is stopping".into())),
    }
}

impl S3 {
    /// The checksum header for bytes of this hash, when the store is to get one.
    fn header(&self, sha256: &Hash) -> Option<String> {
        (self.checksum == ChecksumMode::WhenSupported).then(|| STANDARD.encode(sha256))
    }
}
