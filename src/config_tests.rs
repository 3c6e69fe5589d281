//! Tables: which texts become which settings, and how the others are refused.

use super::*;

fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let texts: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::from_texts(|name| texts.get(name).cloned(), BTreeMap::new())
}

fn refusal(pairs: &[(&str, &str)]) -> String {
    load(pairs).expect_err("refused").to_string()
}

#[test]
fn nothing_is_needed() {
    let config = load(&[]).unwrap();
    assert_eq!((config.port, config.peer_port, config.shards), (8080, 8189, None));
    assert_eq!((config.clip_size_bytes, config.clip_length), (100_000_000, Duration::from_secs(300)));
    assert_eq!(config.journal_keep, Duration::from_secs(24 * 3600));
    assert!(config.record_streams && !config.presign && config.stream_key.is_none());
    assert!(matches!((config.files, config.rows), (Files::Folder, Rows::Sqlite)));
    assert_eq!(config.environment, Environment::Dev);
}

#[test]
fn an_empty_value_is_unset() {
    let config = load(&[("PORT", ""), ("STREAM_KEY", "  "), ("MONGO_HOST", "")]).unwrap();
    assert_eq!(config.port, 8080);
    assert!(config.stream_key.is_none());
}

#[test]
fn shards_are_a_number() {
    for (text, shards) in [("1", 1), ("64", 64)] {
        assert_eq!(load(&[("SHARDS", text)]).unwrap().shards, Some(shards));
    }
}

#[test]
fn every_wrong_value_is_named_with_its_form() {
    for (name, value, form) in [
        ("PORT", "http", "PORT is a TCP port, 0 to 65535, not 'http'"),
        ("PORT", "65536", "PORT is a TCP port, 0 to 65535, not '65536'"),
        ("PEER_PORT", "-1", "PEER_PORT is a port"),
        ("SHARDS", "0", "SHARDS is a number of threads, 1 to 64, not '0'"),
        ("SHARDS", "many", "SHARDS is a number of threads"),
        ("CLIP_SIZE", "0", "CLIP_SIZE is whole megabytes, 1 to 100000"),
        ("CLIP_SIZE", "1.5", "CLIP_SIZE is whole megabytes"),
        ("CLIP_LENGTH", "1", "CLIP_LENGTH is whole seconds, 2 to 86400"),
        ("JOURNAL_KEEP", "x", "JOURNAL_KEEP is whole hours"),
        ("RECORD_STREAMS", "yes", "RECORD_STREAMS is \"true\" or \"false\", not 'yes'"),
        ("ENVIRONMENT", "prod", "ENVIRONMENT is \"dev\" or \"production\""),
        ("PUBLIC_URL", "live.example", "PUBLIC_URL is"),
        ("PUBLIC_URL", "https://live.example/path", "PUBLIC_URL is http:// or https://"),
        ("TRUSTED_PROXIES", "10.0.0.0/99", "TRUSTED_PROXIES is addresses or networks"),
        ("METRICS_BIND", "9090", "METRICS_BIND is an address and a port"),
        ("PEER_HOST", "a b", "PEER_HOST is addresses or names"),
        ("PEER_HOST", "example.org:", "PEER_HOST is addresses or names"),
        ("PEER_HOST", "203.0.113.7:0", "PEER_HOST is addresses or names"),
        ("PEER_HOST", "203.0.113.7:70000", "PEER_HOST is addresses or names"),
        ("TLS_CERT", "a.pem", "TLS_KEY is needed with TLS_CERT"),
        ("TLS_KEY", "a.pem", "TLS_CERT is needed with TLS_KEY"),
        ("FILE_HOST", "https://s3.example", "S3_BUCKET is needed with FILE_HOST"),
        ("TURN_URLS", "turn:turn.example", "TURN_SECRET is needed with TURN_URLS"),
        ("TURN_SECRET", "s", "TURN_URLS is needed with TURN_SECRET"),
        ("S3_BUCKET", "clips", "FILE_HOST is not"),
        ("MONGO_USER", "oxbow", "MONGO_HOST is not"),
        ("WHITELIST_URL", "https://allow.example", "WHITELIST_KEY is needed with WHITELIST_URL"),
        ("WHITELIST_KEY", "k", "WHITELIST_URL is needed with WHITELIST_KEY"),
    ] {
        let text = refusal(&[(name, value)]);
        assert!(text.contains(form), "{name}={value}: {text}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = refusal(&[("PORT", "x"), ("CLIP_SIZE", "y"), ("ENVIRONMENT", "z")]);
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn a_wrong_secret_is_named_but_not_shown() {
    let text = refusal(&[("STREAM_KEY", "a canary")]);
    assert!(text.contains("STREAM_KEY") && !text.contains("canary"), "{text}");
    let text = refusal(&[("WHITELIST_URL", "canary.example/token"), ("WHITELIST_KEY", "canary")]);
    assert!(text.contains("WHITELIST_URL") && !text.contains("canary"), "{text}");
}

#[test]
fn secrets_are_not_in_the_debug_text() {
    let config = load(&[
        ("STREAM_KEY", "canary-stream-key"),
        ("FILE_HOST", "https://s3.example"),
        ("S3_BUCKET", "clips"),
        ("STORJ_SECRET_ACCESS_ID", "id"),
        ("STORJ_SECRET_ACCESS_KEY", "canary-store"),
        ("MONGO_HOST", "mongodb://user:canary-inline@db.example"),
        ("MONGO_USER", "oxbow"),
        ("MONGO_PASSWORD", "canary-mongo"),
        ("WHITELIST_URL", "https://allow.example/canary"),
        ("WHITELIST_KEY", "canary-white"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    assert_eq!(config.secrets().len(), 6);
}

#[test]
fn stores_and_databases_are_chosen_by_their_host() {
    let config = load(&[
        ("FILE_HOST", "https://gateway.storjshare.io"),
        ("S3_BUCKET", "clips"),
        ("STORJ_SECRET_ACCESS_ID", "id"),
        ("STORJ_SECRET_ACCESS_KEY", "key"),
        ("S3_CHECKSUM", "none"),
        ("MONGO_HOST", "localhost:27017"),
    ])
    .unwrap();
    let Files::S3(s3) = config.files else { panic!("a folder") };
    assert_eq!((s3.bucket.as_str(), s3.region.as_str()), ("clips", "us-east-1"));
    assert!(matches!(config.rows, Rows::Mongo(mongo) if mongo.host == "localhost:27017"));
}

#[test]
fn a_key_of_the_file_that_is_no_setting_is_refused_by_name() {
    let file = BTreeMap::from([("CLIP_SIZ".to_owned(), "5".to_owned()), ("PATH_TO".to_owned(), "x".to_owned())]);
    let text = Config::from_texts(|_| None, file).unwrap_err().to_string();
    assert!(text.contains("CLIP_SIZ: no such setting in .env; did you mean CLIP_SIZE?"), "{text}");
    assert!(text.contains("PATH_TO: no such setting"), "{text}");
}

#[test]
fn the_environment_counts_before_the_file() {
    let file = BTreeMap::from([("PORT".to_owned(), "1".to_owned()), ("CLIP_LENGTH".to_owned(), "7".to_owned())]);
    let config = Config::from_texts(|name| (name == "PORT").then(|| "2".to_owned()), file).unwrap();
    assert_eq!((config.port, config.clip_length), (2, Duration::from_secs(7)));
}

#[test]
fn a_line_that_cannot_be_read_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    std::fs::write(&path, "STREAM KEY canary\n").unwrap();
    let text = read_file(&path).unwrap_err().to_string();
    assert!(text.contains(".env") && !text.contains("canary"), "{text}");
}

#[test]
fn the_example_equals_the_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == example(), ".env.example is not what src/config.rs says: run `oxbow settings > .env.example`");
}

#[test]
fn the_example_is_a_file_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let uncommented: String = example()
        .lines()
        .filter(|l| !l.starts_with("# "))
        .map(|l| format!("{}\n", l.trim_start_matches('#')))
        .collect();
    std::fs::write(&path, uncommented).unwrap();
    let config = Config::from_texts(|_| None, read_file(&path).unwrap()).unwrap();
    assert_eq!(config.port, 8080);
}

#[test]
fn what_is_kept_is_read_and_a_store_of_others_must_be_named() {
    let config = load(&[("KEEP_DAYS", "30"), ("KEEP_CHANNELS", "main:7d/50GB, side:all")]).unwrap();
    assert_eq!(config.retention.of("other"), Keep { days: Some(30), bytes: None });
    assert_eq!(config.retention.of("main"), Keep { days: Some(7), bytes: Some(50_000_000_000) });
    assert_eq!(config.retention.of("side"), Keep::default());
    assert!(load(&[]).unwrap().retention.keeps_all());
    for wrong in [("KEEP_DAYS", "0"), ("KEEP_GB", "x"), ("KEEP_CHANNELS", "main"), ("KEEP_CHANNELS", "Ma in:7d")] {
        let text = load(&[wrong]).unwrap_err().to_string();
        assert!(text.starts_with(wrong.0), "{text}");
    }
    let s3 = [
        ("FILE_HOST", "https://gateway.storjshare.io"),
        ("S3_BUCKET", "clips"),
        ("STORJ_SECRET_ACCESS_ID", "id"),
        ("STORJ_SECRET_ACCESS_KEY", "key"),
    ];
    let text = load(&[&s3[..], &[("KEEP_GB", "5")]].concat()).unwrap_err().to_string();
    assert!(text.contains("KEEP_IN_S3"), "{text}");
    assert!(load(&[&s3[..], &[("KEEP_GB", "5"), ("KEEP_IN_S3", "true")]].concat()).is_ok());
}
