//! Objects in S3-compatible storage; the only file that names `aws-sdk-s3`.
//!
//! A file of up to one part is put whole, a longer one in parts of which a few are under way at once; a multipart upload
//! that does not end well goes on later where it was, else it is aborted, so that its parts cost nothing. Every part is sent from memory with a signed hash. What was
//! stored is then verified: the size, and the store's own SHA-256 where it keeps one, else by reading it back (an ETag of a
//! multipart object is no hash). A dead store costs seconds, a slow one time in proportion to the bytes: both end.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::presigning::PresigningConfig;
use url::Url;

use super::source::Source;
use super::{ObjectBody, ObjectEntry, ObjectInfo, Stored, content_disposition};
use crate::{Local, Secret, StorageError};

mod failure;
mod orphans;
mod read;
mod resume;
mod upload;

use self::failure::{Failure, classify};

/// Length of a part, bytes; also the longest file that is put in one request. S3's minimum is 5 MB.
pub const PART_BYTES: u64 = 8 * 1024 * 1024;
/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(3);
/// One attempt of a call that moves few bytes, and all attempts together.
const ATTEMPT: Duration = Duration::from_secs(8);
const CALL: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 3;
/// The slowest line that is still waited for, bytes per second.
const SLOWEST: u64 = 64 * 1024;
/// A body that does not move for this long is given up.
const STALLED: Duration = Duration::from_secs(15);
/// S3's limit of a presigned address.
const PRESIGN_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which integrity headers the store is sent. Some S3-compatible stores refuse those that AWS introduced in 2022 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumMode {
    /// `x-amz-checksum-sha256` with every upload, compared with what the store reports.
    #[default]
    WhenSupported,
    /// None beyond the signature. Every upload is read back once.
    Off,
}

/// How to reach a bucket.
#[derive(Clone)]
pub struct S3Config {
    /// `https://host[:port]`; without a scheme it is https, on this machine (localhost, 127.x, ::1) http.
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: Secret,
    pub checksum: ChecksumMode,
    /// See [`PART_BYTES`]; at least 5 MB. Raised for a file that would need more than 10,000 parts.
    pub part_bytes: u64,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("checksum", &self.checksum)
            .field("part_bytes", &self.part_bytes)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct S3 {
    client: Client,
    bucket: String,
    secret: Secret,
    checksum: ChecksumMode,
    part_bytes: u64,
}

impl S3 {
    pub fn new(config: S3Config) -> Result<Self, StorageError> {
        let endpoint = parse_endpoint(&config.endpoint)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if !(3..=63).contains(&config.bucket.len()) || !config.bucket.bytes().all(plain) {
            return Err(StorageError::Invalid(format!("'{}' is not the name of a bucket", config.bucket)));
        }
        if config.region.is_empty() || !config.region.bytes().all(plain) {
            return Err(StorageError::Invalid(format!("'{}' is not a region", config.region)));
        }
        if config.access_key.is_empty() || config.secret_key.expose().is_empty() {
            return Err(StorageError::Invalid("the access key or the secret key is empty".into()));
        }
        if config.part_bytes < 5 * 1024 * 1024 {
            return Err(StorageError::Invalid("a part has at least 5 MB".into()));
        }
        let checksums = match config.checksum {
            ChecksumMode::WhenSupported => RequestChecksumCalculation::WhenSupported,
            ChecksumMode::Off => RequestChecksumCalculation::WhenRequired,
        };
        let secret = config.secret_key.expose();
        let client = Client::from_conf(
            aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .endpoint_url(endpoint.as_str().trim_end_matches('/'))
                .region(Region::new(config.region))
                .credentials_provider(Credentials::new(config.access_key, secret, None, None, "settings"))
                .force_path_style(true)
                .request_checksum_calculation(checksums)
                // Lengths are checked here, hashes by whoever needs certainty. Some stores report the checksum of an object
                // that was overwritten since, which would make the new one unreadable for ever.
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
                .timeout_config(timeouts(0))
                .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
                .stalled_stream_protection(
                    StalledStreamProtectionConfig::enabled().upload_enabled(true).grace_period(STALLED).build(),
                )
                .build(),
        );
        let (bucket, secret) = (config.bucket, config.secret_key);
        Ok(Self { client, bucket, secret, checksum: config.checksum, part_bytes: config.part_bytes })
    }

    /// An address that needs no credentials; made without asking the store.
    pub async fn presign(&self, key: &str, expires: Duration, name: Option<&str>) -> Result<Url, StorageError> {
        if expires.is_zero() || expires > PRESIGN_MAX {
            return Err(StorageError::Invalid("a presigned address lives 1 second to 7 days".into()));
        }
        let config = PresigningConfig::expires_in(expires).map_err(|e| StorageError::Invalid(e.to_string()))?;
        let request = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_response_content_disposition(name.map(content_disposition))
            .presigned(config)
            .await
            .map_err(|e| self.error(&e))?;
        Url::parse(request.uri()).map_err(|e| StorageError::Corrupt(e.to_string()))
    }

    /// With a memory, an upload in parts that breaks off is continued by the next call.
    pub async fn put(
        &self,
        key: &str,
        source: Source,
        content_type: &str,
        memory: Option<&Local>,
    ) -> Result<Stored, StorageError> {
        let (size, sha256) = (source.size(), source.sha256());
        let limit = allowance(size) * 2;
        within(limit, async {
            let checksum = upload::upload(self, key, source, content_type, memory).await?;
            read::verify(self, key, size, sha256, checksum).await?;
            Ok(Stored { size })
        })
        .await
    }

    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StorageError> {
        Ok(read::head(self, key).await?.map(|head| head.info))
    }

    pub async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<ObjectBody, StorageError> {
        read::get(self, key, range).await
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, StorageError> {
        read::list(self, prefix).await
    }

    pub async fn folders(&self, prefix: &str) -> Result<BTreeSet<String>, StorageError> {
        read::folders(self, prefix).await
    }

    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let result = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        match result.map_err(|e| self.error(&e)) {
            Ok(_) | Err(StorageError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn abort_orphans(&self, age: Duration, keep: &BTreeSet<String>) -> Result<u64, StorageError> {
        orphans::sweep(self, age, keep).await
    }

    /// What went wrong, in our words, without the secret.
    fn error<E: Failure>(&self, error: &E) -> StorageError {
        classify(error, &self.bucket, self.secret.expose())
    }
}

/// Time-outs of a request that carries `bytes`.
fn timeouts(bytes: u64) -> TimeoutConfig {
    let extra = Duration::from_secs(bytes / SLOWEST);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT + extra)
        .operation_timeout(CALL + extra * ATTEMPTS)
        .build()
}

/// Longest time for `bytes` in all their requests.
fn allowance(bytes: u64) -> Duration {
    Duration::from_secs(60 + bytes / SLOWEST)
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(StorageError::Away(format!("not done within {} s", limit.as_secs()))),
    }
}

/// An address without a path; see [`S3Config::endpoint`].
fn parse_endpoint(text: &str) -> Result<Url, StorageError> {
    let text = text.trim();
    let wrong = || StorageError::Invalid("the address of the file store is not like https://host:port".into());
    let url = match text.contains("://") {
        true => Url::parse(text).map_err(|_| wrong())?,
        false => {
            let mut url = Url::parse(&format!("https://{text}")).map_err(|_| wrong())?;
            let local = match url.host() {
                Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
                Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            };
            if local {
                url = Url::parse(&format!("http://{text}")).map_err(|_| wrong())?;
            }
            url
        }
    };
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if plain { Ok(url) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_may_lack_a_scheme() {
        for (text, expected) in [
            ("https://gateway.example", "https://gateway.example/"),
            ("http://10.0.0.1:9000/", "http://10.0.0.1:9000/"),
            ("gateway.example", "https://gateway.example/"),
            ("gateway.example:9000", "https://gateway.example:9000/"),
            ("localhost:9000", "http://localhost:9000/"),
            ("127.0.0.1:9000", "http://127.0.0.1:9000/"),
            ("[::1]:9000", "http://[::1]:9000/"),
        ] {
            assert_eq!(parse_endpoint(text).unwrap().as_str(), expected);
        }
        for bad in ["", "http://", "ftp://host", "https://me:pw@host", "https://host/bucket", "https://host?x", "a b"] {
            assert!(parse_endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_and_secrets_are_not_printed() {
        let good = S3Config {
            endpoint: "localhost:9000".into(),
            region: "us-east-1".into(),
            bucket: "clips".into(),
            access_key: "id".into(),
            secret_key: Secret::new("hunter2"),
            checksum: ChecksumMode::default(),
            part_bytes: PART_BYTES,
        };
        let store = S3::new(good.clone()).unwrap();
        assert!(!format!("{good:?} {store:?}").contains("hunter2"));
        for bad in [
            S3Config { bucket: "a/b".into(), ..good.clone() },
            S3Config { region: String::new(), ..good.clone() },
            S3Config { access_key: String::new(), ..good.clone() },
            S3Config { secret_key: Secret::new(""), ..good.clone() },
            S3Config { part_bytes: 1, ..good.clone() },
        ] {
            assert!(matches!(S3::new(bad), Err(StorageError::Invalid(_))));
        }
    }
}
