//! Journals as a real recording leaves them, in four codecs, after the disk has spoilt them: bits flipped, pages zeroed, swapped or
//! doubled, the end gone.

use std::path::{Path, PathBuf};

use journal::{Entry, Index, Reader, Tail};
use media::message::{Codec, EndReason, GapReason};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::ClipCause;

use crate::node::*;

pub const PAGE: usize = 4096;
pub const CODECS: [Codec; 4] = [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1];

/// Spoilt journals of each codec.
pub fn count() -> u64 {
    if std::env::var_os("OXBOW_SOAK").is_some() { 1000 } else { 90 }
}

/// The journal of a live of six seconds, and its file name below the folder of journals.
pub async fn recorded(codec: Codec) -> (Vec<u8>, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), NEVER).await;
    let broadcast = node.begin();
    play(&node, broadcast, Live::new(codec).up_to(6 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(1).await;
    let clip = node.clips().await.remove(0);
    let path = node.local.local_clip(clip.id).await.unwrap().expect("its row").journal;
    let bytes = std::fs::read(&path).unwrap();
    let below = path.strip_prefix(folder.path()).unwrap().to_owned();
    node.stop().await;
    (bytes, below)
}

/// Spoils something behind the header. What, and the first place that is not as it was.
pub fn spoil(bytes: &mut Vec<u8>, head: usize, rng: &mut StdRng) -> (&'static str, usize) {
    let pages = bytes.len() / PAGE;
    let page = |rng: &mut StdRng| rng.random_range(1..pages) * PAGE;
    match rng.random_range(0..6) {
        0 => {
            let places: Vec<usize> =
                (0..rng.random_range(1..20)).map(|_| rng.random_range(head..bytes.len())).collect();
            for at in &places {
                bytes[*at] ^= 1 << rng.random_range(0..8);
            }
            ("bits flipped", places.into_iter().min().unwrap_or(head))
        }
        1 => {
            let at = page(rng);
            bytes[at..at + PAGE].fill(0);
            ("a page of zeroes", at)
        }
        2 => {
            let (from, to) = (page(rng), page(rng));
            let copy = bytes[from..from + PAGE].to_vec();
            bytes.splice(to..to, copy);
            ("a page twice", to)
        }
        3 => {
            let (one, other) = (page(rng), page(rng));
            for at in 0..PAGE {
                bytes.swap(one + at, other + at);
            }
            ("pages swapped", one.min(other))
        }
        4 => {
            let at = rng.random_range(head..bytes.len());
            bytes.truncate(at);
            ("the end gone", at)
        }
        _ => {
            let at = rng.random_range(head..bytes.len() - 1);
            let end = bytes.len().min(at + rng.random_range(1..40_000));
            rng.fill(&mut bytes[at..end]);
            ("rubbish", at)
        }
    }
}

/// All of a unit but where it lies and what is known of those before it.
fn unit(entry: &Entry) -> Entry {
    Entry { offset: 0, after_given_up: false, number: None, ..*entry }
}

/// `written` is what was recorded; `sound` is the first place that is not as it was.
pub fn check(index: &Index, written: &Index, sound: u64, what: &str) {
    for track in index.tracks() {
        let mut originals = written.entries.iter().filter(|entry| entry.track == track);
        for entry in index.entries.iter().filter(|entry| entry.track == track) {
            // in order, none twice, none invented
            let original = originals.find(|one| unit(one) == unit(entry));
            let original = original.unwrap_or_else(|| panic!("{what}: {entry:?} was not written here"));
            assert!(entry.number <= original.number, "{what}: {entry:?} {original:?}");
        }
    }
    let is_there = |one: &Entry| index.entries.iter().any(|entry| unit(entry) == unit(one));
    let record_end = |entry: &Entry| entry.offset + u64::from(entry.size) + 56;
    for lost in written.entries.iter().filter(|one| !is_there(one)) {
        assert!(record_end(lost) > sound, "{what}: {lost:?} lies before the damage");
        let later = index.entries.iter().any(|entry| entry.track == lost.track && entry.pts_ns > lost.pts_ns);
        let named = index.gaps.iter().any(|gap| {
            gap.reason == GapReason::Damage
                && gap.track == Some(lost.track)
                && (gap.from_ns..=gap.to_ns).contains(&lost.pts_ns)
        });
        assert!(named || !later, "{what}: nobody says that {lost:?} is missing: {:?}", index.gaps);
    }
    for track in index.tracks() {
        // where damage took the first count of a part and came again before the next, nobody knows
        let numbers: Vec<_> = index.entries.iter().filter(|e| e.track == track).filter_map(|e| e.number).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{what}: {numbers:?}");
    }
}

pub async fn journals_of_four_codecs_give_back_what_is_whole() {
    for codec in CODECS {
        let (bytes, below) = recorded(codec).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(below.file_name().unwrap());
        std::fs::write(&path, &bytes).unwrap();
        let written = Index::build(&path).unwrap();
        assert!(written.closed && written.tail == Tail::Clean);
        let head = Reader::open(&path).unwrap().offset() as usize;
        let (mut units, mut lost) = (0, 0);
        for seed in 0..count() {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut spoilt = bytes.clone();
            let (what, sound) = spoil(&mut spoilt, head, &mut rng);
            std::fs::write(&path, &spoilt).unwrap();
            let index = Index::build(&path).unwrap_or_else(|error| panic!("{codec:?}, seed {seed}, {what}: {error}"));
            check(&index, &written, sound as u64, &format!("{codec:?}, seed {seed}, {what}"));
            units += written.entries.len();
            lost += written.entries.len() - index.entries.len();
        }
        println!("     {codec:?}: {lost} of {units} units in {} spoilt journals are lost", count());
    }
}

pub fn put(data: &Path, below: &Path, bytes: &[u8]) -> PathBuf {
    let path = data.join(below);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// What was raised so far.
pub fn alarms(node: &mut Node) -> Vec<String> {
    let mut alarms = Vec::new();
    while let Ok(event) = node.events.try_recv() {
        if let recorder::RecorderEvent::Alarm { text, .. } = event {
            alarms.push(text);
        }
    }
    alarms
}

pub async fn a_clip_of_a_damaged_journal_shows_what_is_whole_and_says_what_is_not() {
    for codec in CODECS {
        let (mut bytes, below) = recorded(codec).await;
        // the process died after 5 s, and of the third second a page is gone
        bytes.truncate(bytes.len() * 5 / 6);
        let page = bytes.len() / 2 / PAGE * PAGE;
        bytes[page..page + PAGE].fill(0);
        let folder = tempfile::tempdir().unwrap();
        let header = journal::header_of(put(folder.path(), &below, &bytes)).unwrap();
        let mut node = Node::start(folder.path(), NEVER).await;
        node.settle(1).await;
        let clip = node.clips().await.remove(0);
        assert_eq!((clip.cause, clip.id.as_str()), (ClipCause::Recovered, &*header.clip.to_string()));
        let shown = numbers(&node, std::slice::from_ref(&clip));
        assert!(shown.is_sorted_by(|one, next| one < next) && shown[0] == 0, "{shown:?}");
        let missing = u64::from(shown[shown.len() - 1] + 1) - shown.len() as u64;
        let said =
            clip.continuity.as_ref().and_then(|c| c.tracks.iter().find(|t| t.track == VIDEO.0)).unwrap().given_up;
        println!("     {codec:?}: {missing} pictures missing, {} ms lost", clip.lost_ms);
        assert!((1..=30).contains(&missing) && said == missing, "{missing} missing, {said} said");
        assert!(clip.lost_ms >= missing * 33, "{} ms", clip.lost_ms);
        let alarms = alarms(&mut node);
        assert!(alarms.iter().any(|text| text.contains("is damaged: ")), "{alarms:?}");
        let problems = node.check().await.problems;
        assert!(problems.len() == 1 && problems[0].contains("damaged bytes from"), "{problems:#?}");
        node.stop().await;
    }
}
