//! Months later: the journal is gone, the clip lies in a folder or a bucket, and is cut as if it had not been.

use std::path::Path;
use std::time::Duration;

use journal::{Range, Reader, Record};
use media::message::{AccessUnit, Codec, EndReason};
use pipeline::inspect;
use recorder::rebuild::rebuild;
use storage::{Clip, ObjectStore, Piece, StorageError};

use crate::node::*;
use crate::orders::{order, stored};
use crate::support::S3Server;

const LENGTH: u64 = 8 * SECOND;
/// Needs the pictures from second 5 on.
const RANGE: Range = Range { from_ns: 5 * SECOND + SECOND / 3, to_ns: 6 * SECOND + SECOND / 10 };

/// What the journal has of the range, from the keyframe before it on.
fn units(journal: &Path) -> Vec<AccessUnit> {
    let mut reader = Reader::open(journal).expect("a journal");
    let mut units = Vec::new();
    while let Some((_, record)) = reader.next_record().expect("a sound journal") {
        match record {
            Record::Unit(unit) if (5 * SECOND..RANGE.to_ns).contains(&unit.pts_ns) => units.push(unit),
            _ => {}
        }
    }
    units.sort_by_key(|unit| (unit.track, unit.pts_ns));
    units
}

/// The parts of an H.264 picture. How long their start codes are is not the file's to keep.
fn parts(unit: &AccessUnit) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = vec![Vec::new()];
    for byte in unit.data.iter() {
        let part = parts.last_mut().expect("one");
        part.push(*byte);
        if part.ends_with(&[0, 0, 1]) {
            part.truncate(part.len() - 3);
            while part.last() == Some(&0) {
                part.pop();
            }
            parts.push(Vec::new());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn assert_equal(codec: Codec, found: &[AccessUnit], expected: &[AccessUnit]) {
    assert!(expected.len() > 80, "{} units", expected.len());
    assert_eq!(found.len(), expected.len(), "{codec:?}");
    for (found, expected) in found.iter().zip(expected) {
        let place = |unit: &AccessUnit| (unit.track, unit.pts_ns, unit.key, unit.utc_us, unit.first_seq, unit.last_seq);
        assert_eq!(place(found), place(expected), "{codec:?}");
        if codec == Codec::H264 && found.track == VIDEO {
            assert_eq!(parts(found), parts(expected), "at {} ns", found.pts_ns);
        } else {
            assert_eq!(found.data, expected.data, "{codec:?} at {} ns", found.pts_ns);
        }
    }
}

async fn copy(from: &ObjectStore, to: &ObjectStore, key: &str) {
    let bytes = from.get(key, None).await.unwrap().bytes(1 << 22).await.unwrap();
    to.put_bytes(key, bytes, "application/octet-stream").await.unwrap();
}

async fn refusal(objects: &ObjectStore, spool: &Path, clip: &Clip) -> StorageError {
    rebuild(objects, spool, clip, &clip.broadcast, RANGE).await.expect_err("nothing can come back")
}

pub async fn units_come_back_from_the_object_bit_by_bit() {
    let bucket = tempfile::tempdir().unwrap();
    let server = S3Server::start(&bucket.path().join("s3"));
    let s3 = crate::faults::store(server.address().to_string());
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::start(folder.path(), NEVER).await;
        let broadcast = node.begin();
        play(&node, broadcast, Live::new(codec).up_to(LENGTH));
        node.end(broadcast, EndReason::Stopped);
        node.settle(1).await;
        let clip = node.clips().await.remove(0);
        let journal = node.local.local_clip(clip.id.clone()).await.unwrap().expect("its row").journal;
        let expected = units(&journal);
        node.stop().await;
        let node = Node::start(folder.path(), Limits { keep: Duration::ZERO, ..NEVER }).await;
        until(20, || async { if journal.exists() { Err("it is still there".into()) } else { Ok(()) } }).await;
        node.check_is_silent().await;

        let spool = folder.path().join("spool");
        for key in clip.objects() {
            copy(&node.objects, &s3, key).await;
        }
        for objects in [&node.objects, &s3] {
            let rebuilt = rebuild(objects, &spool, &clip, &clip.broadcast, RANGE).await.expect("the units come back");
            assert_equal(codec, &units(rebuilt.path()), &expected);
            let fetched = rebuilt.fetched_bytes();
            assert!(fetched * 3 < clip.size, "{codec:?}: {fetched} bytes of {}", clip.size);
            assert_eq!(files(&spool).len(), 1, "nothing but the journal");
            println!("     {codec:?} from a {}: {fetched} bytes of {}", objects.kind(), clip.size);
        }
        assert_eq!(files(&spool), [""; 0], "and it goes with whoever needed it");

        // what cannot come back is told apart
        let without = Clip { units: None, ..clip.clone() };
        assert_eq!(refusal(&node.objects, &spool, &without).await, StorageError::NotFound);
        let another = Clip { size: clip.size + 1, ..clip.clone() };
        assert!(matches!(refusal(&node.objects, &spool, &another).await, StorageError::Corrupt(_)));
        s3.put_bytes(&clip.object, vec![7; 1000].into(), "video/webm").await.unwrap();
        assert!(matches!(refusal(&s3, &spool, &clip).await, StorageError::Corrupt(_) | StorageError::Range { .. }));
        s3.put_bytes(clip.units.as_ref().unwrap(), vec![7; 1000].into(), "video/webm").await.unwrap();
        assert!(matches!(refusal(&s3, &spool, &clip).await, StorageError::Corrupt(_)));
        assert_eq!(files(&spool), [""; 0]);
        node.stop().await;
    }
}

/// The same range, across a border of parts, from the journals and again when they are gone.
pub async fn an_order_months_later_is_as_one_on_the_day() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::start(folder.path(), every_seconds(3)).await;
        let broadcast = node.begin();
        play(&node, broadcast, Live::new(codec).up_to(LENGTH));
        node.end(broadcast, EndReason::Stopped);
        node.settle(3).await;
        let wanted = || vec![Piece::new(id(broadcast), RANGE.from_ns, RANGE.to_ns)];
        let first = order(&node, wanted()).await;
        let first = stored(&node, &first).await;
        node.stop().await;
        let node = Node::start(folder.path(), Limits { keep: Duration::ZERO, ..NEVER }).await;
        let root = folder.path().join("journal");
        let left = || files(&root).iter().map(|name| files(&root.join(name)).len()).sum::<usize>();
        until(20, || async { if left() == 0 { Ok(()) } else { Err("journals are still there".into()) } }).await;
        let again = order(&node, wanted()).await;
        let again = stored(&node, &again).await;
        let shows = |clip: &Clip| (clip.frames, clip.packets, clip.from_ns, clip.to_ns, clip.duration_ms);
        assert_eq!(shows(&again), shows(&first), "{codec:?}");
        let pictures =
            |clip: &Clip| inspect::clip(&node.object(&clip.object)).expect("it decodes").numbers().expect("numbers");
        assert_eq!(pictures(&again), pictures(&first), "{codec:?}");
        // the spool is empty then: what was brought back is gone
        node.settle_all().await;
        node.stop().await;
    }
}
