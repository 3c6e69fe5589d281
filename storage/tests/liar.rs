//! A store that says 200 and keeps something else. Whoever deletes the local file on its word has lost a recording.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use bytes::Bytes;
use storage::object::PART_BYTES;
use storage::{ChecksumMode, ObjectStore, S3Config, Secret, StorageError};

/// What the liar does with an object of some bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    /// Keeps it, reports no checksum.
    None,
    KeepsNothing,
    LosesTheEnd,
    TurnsABit,
    /// Turns a bit and reports the checksum of what it was sent as metadata only.
    TurnsABitAndRepeatsOurHash,
}

/// A server that takes one object and hands it out again. Its thread ends with the test process.
fn liar(lie: Lie) -> ObjectStore {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut kept, mut hash): (Option<Vec<u8>>, String) = (None, String::new());
        for connection in listener.incoming() {
            serve(connection.unwrap(), lie, &mut kept, &mut hash);
        }
    });
    let config = S3Config {
        endpoint,
        region: "us-east-1".into(),
        bucket: "liar".into(),
        access_key: "id".into(),
        secret_key: Secret::new("secret"),
        checksum: ChecksumMode::WhenSupported,
        part_bytes: PART_BYTES,
    };
    ObjectStore::s3(config).unwrap()
}

fn serve(stream: TcpStream, lie: Lie, kept: &mut Option<Vec<u8>>, hash: &mut String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "x-amz-meta-sha256" => *hash = value.to_owned(),
            _ => {}
        }
    }
    let mut stream = stream;
    match first.split(' ').next().unwrap() {
        "PUT" => {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            match lie {
                Lie::None => {}
                Lie::KeepsNothing => return answer(&mut stream, "200 OK\r\nETag: \"x\"", 0, None),
                Lie::LosesTheEnd => drop(body.pop()),
                Lie::TurnsABit | Lie::TurnsABitAndRepeatsOurHash => body[0] ^= 1,
            }
            *kept = Some(body);
            answer(&mut stream, "200 OK\r\nETag: \"x\"", 0, None);
        }
        method => {
            let head = match lie {
                Lie::TurnsABitAndRepeatsOurHash => format!("200 OK\r\nETag: \"x\"\r\nx-amz-meta-sha256: {hash}"),
                _ => "200 OK\r\nETag: \"x\"".to_owned(),
            };
            match kept {
                None => answer(&mut stream, "404 Not Found", 0, None),
                Some(bytes) => answer(&mut stream, &head, bytes.len(), (method == "GET").then_some(bytes)),
            }
        }
    }
}

fn answer(stream: &mut TcpStream, head: &str, length: usize, body: Option<&Vec<u8>>) {
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
    if let Some(body) = body {
        stream.write_all(body).unwrap();
    }
}

#[tokio::test]
async fn only_what_was_really_kept_counts_as_stored() {
    let sent = Bytes::from_static(b"a recording that exists only once");
    for lie in [Lie::KeepsNothing, Lie::LosesTheEnd, Lie::TurnsABit, Lie::TurnsABitAndRepeatsOurHash] {
        let error = liar(lie).put_bytes("clip", sent.clone(), "video/mp4").await.unwrap_err();
        assert!(matches!(error, StorageError::Refused(_)), "{lie:?}: {error}");
    }
    let honest = liar(Lie::None);
    assert_eq!(honest.put_bytes("clip", sent.clone(), "video/mp4").await.unwrap().size, sent.len() as u64);
}
