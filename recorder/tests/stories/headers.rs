//! Journals as a real recording leaves them whose header the disk has spoilt, and the pages behind it: they get it back, once, whenever the
//! process dies, and what is whole becomes a clip.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use journal::{Header, Hints, Index, Reader, RestoreError};
use media::message::Codec;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::ClipCause;

use crate::damage::{CODECS, PAGE, alarms, check, count, put, recorded, spoil};
use crate::kill::{self, Victim};
use crate::node::*;

/// Spoils the header, and whatever else is hit with it.
fn spoil_front(bytes: &mut Vec<u8>, head: usize, rng: &mut StdRng) -> &'static str {
    match rng.random_range(0..6) {
        0 => {
            (0..rng.random_range(1..20)).for_each(|_| bytes[rng.random_range(0..head)] ^= 1 << rng.random_range(0..8));
            "bits flipped"
        }
        1 => {
            bytes[..PAGE].fill(0);
            "a page of zeroes"
        }
        2 => {
            let end = rng.random_range(1..20_000);
            rng.fill(&mut bytes[..end]);
            "rubbish"
        }
        3 => {
            bytes.drain(..rng.random_range(1..20_000));
            "the front gone"
        }
        4 => {
            let page = rng.random_range(1..bytes.len() / PAGE) * PAGE;
            bytes.copy_within(page..page + PAGE, 0);
            "another page"
        }
        _ => {
            bytes[..head].fill(0xff);
            spoil(bytes, head, rng).0
        }
    }
}

/// As a node knows its part by its rows.
fn hints(header: &Header) -> Hints {
    let Header { broadcast, part, clip, ref channel, media_zero_utc_us, opened_utc_us } = *header;
    let within_ms = |us: u64| vec![us / 1000 * 1000..=us / 1000 * 1000 + 999];
    Hints {
        broadcast,
        part,
        clip,
        channels: vec![channel.clone()],
        media_zero_utc_us: within_ms(media_zero_utc_us),
        opened_utc_us: within_ms(opened_utc_us),
    }
}

pub async fn journals_of_four_codecs_get_their_header_back() {
    for codec in CODECS {
        let (bytes, below) = recorded(codec).await;
        let folder = tempfile::tempdir().unwrap();
        let path = put(folder.path(), &below, &bytes);
        let (header, written) = (journal::header_of(&path).unwrap(), Index::build(&path).unwrap());
        let head = Reader::open(&path).unwrap().offset() as usize;
        let (mut units, mut lost, mut refused) = (0, 0, 0);
        for seed in 0..count() / 3 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut spoilt = bytes.clone();
            let what = spoil_front(&mut spoilt, head, &mut rng);
            std::fs::write(&path, &spoilt).unwrap();
            if journal::header_of(&path).is_ok() {
                continue; // a bit flipped twice
            }
            let what = format!("{codec:?}, seed {seed}, {what}");
            match journal::restore(&path, &hints(&header)) {
                Ok(found) => assert_eq!(found, header, "{what}"),
                // little was left
                Err(RestoreError::NoRecords { .. }) if spoilt.len() < 3 * PAGE => {
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("{what}: {error}"),
            }
            let index = Index::build(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
            check(&index, &written, 0, &what);
            units += written.entries.len();
            lost += written.entries.len() - index.entries.len();
        }
        println!(
            "     {codec:?}: {lost} of {units} units in {} journals are lost, {refused} are left alone",
            count() / 3
        );
        assert!(lost < units / 5, "{codec:?}: {lost} of {units}");
        become_a_clip(bytes, &below).await;
    }
}

/// Two bits of its header are flipped, one of them of the channel's name, and nobody else knows of it.
async fn become_a_clip(whole: Vec<u8>, below: &Path) {
    let mut damaged = whole.clone();
    damaged[66] ^= 0x10;
    damaged[50] ^= 0x02;
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), below, &damaged);
    let mut node = Node::start(folder.path(), NEVER).await;
    node.settle(1).await;
    let clip = node.clips().await.remove(0);
    assert_eq!((clip.cause, clip.channel.as_str(), clip.lost_ms), (ClipCause::Recovered, "main", 0));
    assert_consecutive(&numbers(&node, std::slice::from_ref(&clip)), 6 * u64::from(FPS));
    let alarms = alarms(&mut node);
    assert!(alarms.iter().any(|text| text.contains("restored") && text.contains(".oxj")), "{alarms:?}");
    assert!(std::fs::read(&path).unwrap() == whole, "as if nothing had been");
    node.check_is_silent().await;
    node.stop().await;
}

fn journals(data: &Path) -> Vec<PathBuf> {
    let root = data.join("journal");
    let folders = files(&root).into_iter().map(|folder| root.join(folder));
    let mut found: Vec<_> =
        folders.flat_map(|folder| files(&folder).into_iter().map(move |name| folder.join(name))).collect();
    found.sort();
    found
}

fn zero(path: &Path, bytes: usize) {
    let mut content = std::fs::read(path).unwrap();
    let end = bytes.min(content.len());
    content[..end].fill(0);
    std::fs::write(path, content).unwrap();
}

pub async fn parts_of_a_crash_without_their_headers_become_clips() {
    for bytes in [64, PAGE] {
        let folder = tempfile::tempdir().unwrap();
        let given = kill::kill(folder.path(), |v| v.given.load(Ordering::Relaxed) > 165, Duration::ZERO).await;
        let parts = journals(folder.path());
        assert!(parts.len() >= 2, "{parts:?}");
        parts.iter().for_each(|path| zero(path, bytes));
        let mut node = Node::start(folder.path(), NEVER).await;
        node.settle_all().await;
        let alarms = alarms(&mut node);
        assert_eq!(alarms.iter().filter(|text| text.contains("restored")).count(), parts.len(), "{alarms:?}");
        let clips = node.clips().await;
        assert!(clips.iter().map(|clip| clip.part).eq(0..parts.len() as u32), "{clips:?}");
        let last = clips.last().unwrap();
        assert_eq!(last.cause, ClipCause::Recovered);
        let shown = numbers(&node, &clips);
        assert!(shown.is_sorted_by(|one, next| one < next), "{shown:?}");
        println!("     {bytes} bytes zeroed in {} parts: {} of {given} pictures", parts.len(), shown.len());
        let problems = node.check().await.problems;
        if bytes < 100 {
            assert_consecutive(&shown, shown.len() as u64);
            assert!(shown.len() as u64 + u64::from(FPS) >= given && problems.is_empty(), "{problems:?}");
        } else {
            // of each part the first group of pictures, a second of them, unless it was stored before
            assert!(shown.len() as u64 + u64::from(FPS) * (1 + parts.len() as u64) >= given);
            assert!(last.lost_ms >= 900, "{last:?}");
            assert_eq!(
                problems.iter().filter(|p| p.contains("damaged bytes from")).count(),
                parts.len(),
                "{problems:?}"
            );
        }
        node.stop().await;
    }
}

pub async fn a_kill_while_a_header_is_restored_leaves_one_file() {
    let (mut bytes, below) = recorded(Codec::Vp8).await;
    bytes.truncate(bytes.len() * 9 / 10);
    // a long file takes its time
    bytes.resize(24 << 20, 0);
    let whole = bytes.clone();
    bytes[20] ^= 0x81;
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), &below, &bytes);
    let (mut before, mut after) = (0, 0);
    let kills = if std::env::var_os("OXBOW_SOAK").is_some() { 40 } else { 5 };
    for seed in 0..kills {
        std::fs::write(&path, &bytes).unwrap();
        let beside = path.with_extension("oxj.restored");
        let victim = Victim::start(folder.path(), true);
        let (watched, damaged) = (path.clone(), bytes[20]);
        let moment = move |_: &Victim| {
            let mut first = [0; 21];
            let read = std::fs::File::open(&watched).and_then(|mut f| std::io::Read::read_exact(&mut f, &mut first));
            beside.exists() || read.is_ok() && first[20] != damaged
        };
        let then = kill::seeded(seed, 250);
        tokio::task::spawn_blocking(move || victim.kill_when(moment, then)).await.unwrap();
        let found = std::fs::read(&path).unwrap();
        assert!(found == bytes || found == whole, "kill {seed}: neither the one nor the other");
        before += u32::from(found == bytes);
        after += u32::from(found == whole);
    }
    println!("     {before} kills left the file as it was, {after} with its header");
    let node = Node::start(folder.path(), NEVER).await;
    node.settle(1).await;
    assert_eq!(journals(folder.path()), [path], "nothing else is left");
    let clips = node.clips().await;
    let shown = numbers(&node, &clips);
    assert_consecutive(&shown, shown.len() as u64);
    assert!(shown.len() > 150, "{} pictures", shown.len());
    node.check_is_silent().await;
    node.stop().await;
}
