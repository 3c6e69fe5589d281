//! `S3_PRESIGN=true` with a real S3 server: players are sent to the store, and the page's policy lets them go there.

use reqwest::Method;
use storage::object::PART_BYTES;
use storage::{ChecksumMode, Database, ObjectStore, S3Config, Secret};

use crate::files::{BODY, clip};
use crate::harness::{Server, client, header};
use crate::stores::S3Server;

#[tokio::test]
async fn players_are_sent_to_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3Server::start(&folder.path().join("s3"));
    let server = Server::start(&[
        ("S3_PRESIGN", "true"),
        ("FILE_HOST", &s3.endpoint()),
        ("S3_BUCKET", S3Server::BUCKET),
        ("STORJ_SECRET_ACCESS_ID", S3Server::ACCESS_KEY),
        ("STORJ_SECRET_ACCESS_KEY", S3Server::SECRET_KEY),
    ]);
    let row = clip(0, "Opening");
    let store = ObjectStore::s3(S3Config {
        endpoint: s3.endpoint(),
        region: S3Server::REGION.into(),
        bucket: S3Server::BUCKET.into(),
        access_key: S3Server::ACCESS_KEY.into(),
        secret_key: Secret::new(S3Server::SECRET_KEY),
        checksum: ChecksumMode::WhenSupported,
        part_bytes: PART_BYTES,
    });
    store.unwrap().put_bytes(&row.object, BODY.into(), "video/mp4").await.unwrap();
    Database::sqlite(server.data().join("oxbow.db")).insert_clip(&row).await.unwrap();

    let path = format!("/api/clips/{}/media", row.id);
    let sent = server.get(&path).await;
    assert_eq!((sent.status().as_u16(), header(&sent, "cache-control")), (302, "no-store"));
    let policy = header(&sent, "content-security-policy").to_owned();
    assert!(policy.contains(&format!("media-src 'self' blob: {};", s3.endpoint())), "{policy}");
    let location = header(&sent, "location").to_owned();
    assert!(location.starts_with(&s3.endpoint()) && !location.contains(S3Server::SECRET_KEY), "{location}");
    let part = client().request(Method::GET, &location).header("range", "bytes=10-19").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), &BODY[10..20]);
    let download = server.get(&format!("{path}?download=1")).await;
    assert!(header(&download, "location").contains("response-content-disposition="), "{:?}", download.headers());
}
