//! Seeded broadcasts through the writer and real journals: whatever they do, each unit is in exactly one part, or written down as
//! given up, and the chain of continuity records is whole. The same with real files: `tests/stories/rollovers.rs`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use journal::{Cause, Index};
use media::message::{Codec, CodecConfig};
use pipeline::ExportedTrack;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::{Clip, ClipCause, Continuity, Link};

use super::*;
use crate::chain::{self, Member};
use crate::continuity;
use crate::medium::Job;
use crate::writer::Told;

const VIDEO: TrackId = TrackId(0);
const SOUND: TrackId = TrackId(1);
const MS: u64 = 1_000_000;
const PICTURE_NS: u64 = 33_333_333;
const CODECS: [Codec; 4] = [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1];
/// Rollovers of each codec, two hundred in all.
const ROLLOVERS: usize = 50;

/// One seeded broadcast.
struct Live {
    rng: StdRng,
    stream: Stream,
    desk: Desk,
    told: Told,
    /// What the medium has not done yet.
    jobs: Vec<Job>,
    root: tempfile::TempDir,
    start: Instant,
    at_ns: u64,
    /// Times of the next picture and the next sound.
    picture_ns: u64,
    sound_ns: u64,
    sent: BTreeMap<TrackId, u64>,
    first_seq: u64,
    parts: Vec<PathBuf>,
}

impl Live {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let root = tempfile::tempdir().expect("a folder");
        let length = Duration::from_millis(rng.random_range(400..4000));
        let limits = Limits::new(rng.random_range(30_000..400_000), length);
        let (desk, told) = Desk::detached(root.path().join("journal"), limits);
        let id = BroadcastId::new(1_700_000_000_000, seed.into());
        let stream = Stream::new(id, "main".parse().expect("a channel"), 1_700_000_000_000_000, limits);
        let late = |rng: &mut StdRng| if rng.random_bool(0.3) { rng.random_range(200..3000) * MS } else { 0 };
        Self {
            stream,
            desk,
            told,
            jobs: Vec::new(),
            root,
            start: Instant::now(),
            at_ns: 0,
            picture_ns: late(&mut rng),
            sound_ns: late(&mut rng) + rng.random_range(0..20) * MS,
            sent: BTreeMap::new(),
            // they go on over the border of 16 bits, as the tap extends them
            first_seq: 65_000,
            parts: Vec::new(),
            rng,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.at_ns)
    }

    fn fact(&mut self, fact: TapFact) {
        let now = self.now();
        self.stream.fact(now, fact, &self.desk);
        self.listen();
    }

    fn tick(&mut self) {
        let now = self.now();
        self.stream.tick(now, true, &self.desk);
        self.listen();
    }

    /// The medium does some of what it is asked for, in any order.
    fn medium(&mut self, chance: f64) {
        self.jobs.extend(self.told.jobs.try_iter());
        let mut at = 0;
        while at < self.jobs.len() {
            if self.rng.random_bool(chance) {
                self.jobs.swap_remove(at)();
            } else {
                at += 1;
            }
        }
    }

    /// Until nothing is asked of the medium.
    fn settle(&mut self) {
        self.tick();
        while self.stream.waits_for_medium() {
            self.medium(1.0);
            self.tick();
        }
    }

    fn listen(&mut self) {
        while let Ok(fact) = self.told.told.try_recv() {
            if let Fact::PartClosed { path, .. } = fact {
                self.parts.push(path);
            }
        }
    }

    fn config(&mut self, track: TrackId, codec: Codec, width: u16) {
        let channels = if codec.is_video() { 0 } else { 2 };
        let config = CodecConfig { codec, width, height: width / 2, channels, parameter_sets: Bytes::new() };
        self.fact(TapFact::Config { track, config });
    }

    /// The number of the unit is its data, so that what is read back can be told.
    fn unit(&mut self, track: TrackId, key: bool, pts_ns: u64, size: usize) {
        let number = self.sent.entry(track).or_default();
        let mut data = number.to_le_bytes().to_vec();
        data.resize(size.max(8), 0);
        let first_seq = self.first_seq + *number * 3;
        *number += 1;
        let utc_us = 1_700_000_000_000_000 + pts_ns / 1000;
        let (dts_ns, last_seq, data) = (pts_ns, first_seq + 2, data.into());
        self.fact(TapFact::Unit(AccessUnit { track, key, pts_ns, dts_ns, utc_us, first_seq, last_seq, data }));
    }

    /// Pictures at 30 a second and sound each 20 ms with delays of their own; pauses of sound, changes of resolution, requests.
    /// Keyframes each two seconds or so, and when they are asked for.
    fn play(&mut self, codec: Codec, seconds: u64) {
        let end = self.at_ns + seconds * 1000 * MS;
        let (mut silent_until, mut key_at, mut width) = (0, 0, 640);
        while self.at_ns < end {
            self.at_ns += 5 * MS;
            let delay = self.rng.random_range(0..120) * MS;
            if self.picture_ns + delay <= self.at_ns {
                let asked = std::iter::from_fn(|| self.told.asked.try_recv().ok()).count() > 0;
                let first = !self.sent.contains_key(&VIDEO);
                let key = first || asked || self.picture_ns >= key_at;
                if first || (key && self.rng.random_bool(0.1)) {
                    width = if width == 640 { 320 } else { 640 };
                    self.config(VIDEO, codec, width);
                }
                if key {
                    key_at = self.picture_ns + self.rng.random_range(500..3000) * MS;
                }
                let size = if key { 9000 } else { self.rng.random_range(8..4000) };
                self.unit(VIDEO, key, self.picture_ns, size);
                self.picture_ns += PICTURE_NS;
            }
            if self.sound_ns + delay <= self.at_ns {
                if !self.sent.contains_key(&SOUND) {
                    self.config(SOUND, Codec::Opus, 0);
                }
                if self.sound_ns >= silent_until {
                    self.unit(SOUND, true, self.sound_ns, 80);
                }
                if self.rng.random_bool(0.004) {
                    silent_until = self.sound_ns + self.rng.random_range(100..4000) * MS;
                }
                self.sound_ns += 20 * MS;
            }
            if self.rng.random_bool(0.001) {
                let now = self.now();
                self.stream.request(now, Vec::new(), &self.desk);
            }
            if self.at_ns.is_multiple_of(100 * MS) {
                self.medium(0.5);
                self.tick();
            }
        }
    }

    fn end(&mut self) {
        self.fact(TapFact::Closed { utc_us: 0, reason: EndReason::Stopped });
        self.at_ns += 1000 * MS;
        self.settle();
        assert!(self.stream.is_done());
    }

    fn indexes(&self) -> Vec<Index> {
        let mut indexes: Vec<_> = self.parts.iter().map(|path| Index::build(path).expect("a journal")).collect();
        indexes.sort_by_key(|index| index.header.part);
        indexes
    }
}

/// What a worker that muxed everything would say.
fn exported(index: &Index) -> Vec<ExportedTrack> {
    let of_track = |track: TrackId| {
        let all = || index.entries.iter().filter(move |entry| entry.track == track);
        let shown = || all().skip_while(|entry| !entry.key);
        let (first, last) = (shown().next()?, shown().last()?);
        Some(ExportedTrack {
            track: track.0,
            codec: String::new(),
            units: shown().count() as u64,
            bytes: 0,
            first_pts_ns: first.pts_ns,
            last_pts_ns: last.pts_ns,
            end_ns: last.pts_ns,
            media_ns: 0,
            longest_gap_ns: 0,
            first_seq: first.first_seq,
            last_seq: last.last_seq,
            undecodable: (all().count() - shown().count()) as u64,
        })
    };
    index.tracks().into_iter().filter_map(of_track).collect()
}

/// As the exporter and the job table make them.
fn clips(indexes: &[Index]) -> Vec<Clip> {
    let mut clips: Vec<Clip> = Vec::new();
    for index in indexes.iter().filter(|index| !index.entries.is_empty()) {
        let record = continuity::of(index, &exported(index)).expect("the writer counts");
        let part = index.header.part;
        let before = clips.last().map(|c| Link { clip: c.id.clone(), part: c.part, sha256: c.sha256.clone() });
        let passed = part - before.as_ref().map_or(0, |link| link.part + 1);
        let from_ns = index.entries.iter().map(|entry| entry.pts_ns).min().unwrap_or(0);
        let clip = crate::ledger::clip_id(&index.header).expect("an id");
        let broadcast = crate::ledger::id(index.header.broadcast).expect("an id");
        clips.push(Clip {
            cause: index.cause.map_or(ClipCause::Recovered, crate::ledger::clip_cause),
            started_at_ms: (index.header.media_zero_utc_us / 1000 + from_ns / MS) as i64,
            from_ns,
            sha256: format!("{part:064}"),
            continuity: Some(Continuity { before, passed, ..record }),
            ..Clip::at(clip, broadcast, "main", part)
        });
    }
    clips
}

fn walk(clips: &[Clip]) -> Vec<String> {
    chain::walk(&mut clips.iter().map(Member::from).collect::<Vec<_>>())
}

/// The numbers that were sent, as they are in the parts, and as the writer counted them.
fn numbers(indexes: &[Index], paths: &[PathBuf], track: TrackId) -> Vec<(u64, u64)> {
    let mut numbers = Vec::new();
    for index in indexes {
        let path = paths.iter().find(|path| path.to_string_lossy().contains(&index.header.clip.to_string()));
        let mut reader = journal::Reader::open(path.expect("its file")).expect("a journal");
        for entry in index.entries.iter().filter(|entry| entry.track == track) {
            let Ok(Record::Unit(unit)) = reader.read_at(entry.offset) else { panic!("no unit") };
            let sent = u64::from_le_bytes(unit.data[..8].try_into().expect("eight bytes"));
            numbers.push((sent, entry.number.expect("the writer counts")));
        }
    }
    numbers
}

#[test]
fn random_rollovers_lose_nothing_and_the_chain_is_whole() {
    for codec in CODECS {
        let (mut seed, mut cuts) = (0, 0);
        while cuts < ROLLOVERS {
            seed += 1;
            let mut live = Live::new(seed * 10 + codec as u64);
            live.play(codec, 20);
            live.end();
            let indexes = live.indexes();
            cuts += indexes.len() - 1;
            for (track, sent) in &live.sent {
                let found = numbers(&indexes, &live.parts, *track);
                let wrong = (0..*sent).zip(&found).find(|(n, found)| (*n, *n) != **found);
                assert_eq!((wrong, found.len() as u64), (None, *sent), "{codec:?} seed {seed} track {track:?}");
            }
            // the picture of one part ends where that of the next begins, so their durations add up
            for pair in indexes.windows(2) {
                let next = pair[1].entries.iter().find(|entry| entry.track == VIDEO).map(|entry| entry.pts_ns);
                let last = pair[0].entries.iter().rev().find(|entry| entry.track == VIDEO).map(|entry| entry.pts_ns);
                if let (Some(last), Some(next)) = (last, next) {
                    assert_eq!(next - last, PICTURE_NS, "{codec:?} seed {seed}");
                    assert_eq!(pair[0].cut_ns, Some(next), "{codec:?} seed {seed}");
                }
            }
            let clips = clips(&indexes);
            assert_eq!(walk(&clips), Vec::<String>::new(), "{codec:?} seed {seed}");
            if clips.len() > 2 {
                let without: Vec<_> = clips.iter().filter(|clip| clip.part != 1).cloned().collect();
                assert!(!walk(&without).is_empty(), "{codec:?} seed {seed}: a clip is missing");
            }
        }
    }
}

/// A file stands where the folder of the broadcast should be: what is open goes on, no part can be opened.
fn block(root: &Path, blocked: bool) {
    let folder =
        std::fs::read_dir(root.join("journal")).expect("journals").next().expect("a broadcast").expect("it").path();
    let aside = root.join("aside");
    if blocked {
        std::fs::rename(&folder, &aside).expect("aside");
        std::fs::write(&folder, "in the way").expect("a file");
    } else {
        std::fs::remove_file(&folder).expect("away");
        std::fs::rename(&aside, &folder).expect("back");
    }
}

#[test]
fn what_a_disk_does_not_take_is_written_down_and_no_break() {
    let mut given_up = 0;
    for seed in 0..8 {
        let mut live = Live::new(seed);
        live.play(Codec::Vp8, 5);
        live.settle();
        block(live.root.path(), true);
        live.play(Codec::Vp8, 8);
        block(live.root.path(), false);
        live.play(Codec::Vp8, 6);
        live.end();
        let indexes = live.indexes();
        let clips = clips(&indexes);
        assert_eq!(walk(&clips), Vec::<String>::new(), "seed {seed}");
        for (track, sent) in &live.sent {
            let found = numbers(&indexes, &live.parts, *track);
            assert!(found.iter().all(|(sent, counted)| sent == counted), "seed {seed}");
            assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: twice");
            given_up += sent - found.len() as u64;
        }
        let mut unexplained = clips.clone();
        for track in unexplained.iter_mut().flat_map(|c| &mut c.continuity.as_mut().expect("a record").tracks) {
            track.given_up_before = false;
        }
        let border = clips.iter().flat_map(|c| &c.continuity.as_ref().expect("a record").tracks);
        let explained = border.filter(|track| track.given_up_before).count();
        assert!(walk(&unexplained).len() <= explained, "seed {seed}");
    }
    assert!(given_up > 100, "the disk refused for eight seconds at a time, {given_up} units were given up");
}

/// The first sound behind a hole lies behind the next cut, which takes it over into the next part.
#[test]
fn a_hole_is_told_by_the_part_that_takes_its_first_unit_over() {
    let mut live = Live::new(1);
    let limits = Limits::new(1 << 40, Duration::from_secs(3600));
    let id = BroadcastId::new(1_700_000_000_000, 1);
    live.stream = Stream::new(id, "main".parse().expect("a channel"), 1_700_000_000_000_000, limits);
    live.config(VIDEO, Codec::Vp8, 640);
    live.config(SOUND, Codec::Opus, 0);
    let tenth = |live: &mut Live, at_ms: u64, key: bool| {
        live.at_ns = at_ms * MS;
        live.unit(VIDEO, key, at_ms * MS, 500);
        live.unit(SOUND, true, at_ms * MS, 80);
        live.settle();
    };
    for at_ms in (0..1000).step_by(100) {
        tenth(&mut live, at_ms, at_ms == 0);
    }
    block(live.root.path(), true);
    let now = live.now();
    live.stream.request(now, Vec::new(), &live.desk);
    for at_ms in (1000..8000).step_by(100) {
        tenth(&mut live, at_ms, at_ms == 1000);
    }
    block(live.root.path(), false);
    live.at_ns = 8000 * MS;
    live.settle();

    live.unit(VIDEO, true, 8100 * MS, 500);
    live.unit(SOUND, true, 8300 * MS, 80);
    let now = live.now();
    live.stream.request(now, Vec::new(), &live.desk);
    live.unit(VIDEO, true, 8200 * MS, 500);
    live.at_ns = 8300 * MS;
    live.settle();
    live.end();

    let indexes = live.indexes();
    let last = indexes.last().expect("the part that goes on");
    let of_last = |track| last.entries.iter().find(|entry| entry.track == track).map(|e| (e.pts_ns, e.after_given_up));
    assert_eq!((of_last(VIDEO), of_last(SOUND)), (Some((8200 * MS, false)), Some((8300 * MS, true))));
    assert_eq!(walk(&clips(&indexes)), Vec::<String>::new());
    let found = numbers(&indexes, &live.parts, SOUND);
    assert_eq!(found.last(), Some(&(80, 80)), "{found:?}");
    assert!(found.len() < 60, "there is a hole: {found:?}");
}

#[test]
fn a_process_that_dies_while_the_medium_is_slow_leaves_each_unit_in_one_part() {
    let mut begun = 0;
    for seed in 0..40 {
        let mut live = Live::new(seed);
        live.play(CODECS[seed as usize % 4], 6 + seed % 3);
        live.tick();
        let root = live.root.path().join("journal");
        let files = |extension: &str| {
            let folder = std::fs::read_dir(&root).expect("journals").next().expect("a broadcast").expect("it");
            let all = std::fs::read_dir(folder.path()).expect("parts").map(|file| file.expect("it").path());
            all.filter(|path| path.extension().is_some_and(|e| e == extension)).collect::<Vec<_>>()
        };
        begun += files(journal::BEGUN).len();
        crate::house::settle_begun(&root).expect("settled");
        assert_eq!(files(journal::BEGUN), Vec::<PathBuf>::new(), "seed {seed}");
        let paths = files(journal::EXTENSION);
        let mut indexes: Vec<_> = paths.iter().map(|path| Index::build(path).expect("a journal")).collect();
        indexes.sort_by_key(|index| index.header.part);
        for (track, sent) in &live.sent {
            let found: Vec<u64> = numbers(&indexes, &paths, *track).into_iter().map(|(sent, _)| sent).collect();
            assert_eq!(found, (0..*sent).collect::<Vec<_>>(), "seed {seed} track {track:?}");
        }
        assert_eq!(walk(&clips(&indexes)), Vec::<String>::new(), "seed {seed}");
    }
    assert!(begun > 5, "{begun} files had no name yet");
}

#[test]
fn a_recording_that_is_held_ends_its_part_and_goes_on_with_a_keyframe() {
    for seed in 0..12 {
        let mut live = Live::new(seed);
        if seed % 4 > 0 {
            live.play(Codec::Vp8, 5);
        }
        live.tick();
        let (now, before) = (live.now(), live.sent.clone());
        live.stream.hold(now, &live.desk);
        live.settle();
        let closed = live.parts.len();
        live.play(Codec::Vp8, 6);
        live.tick();
        assert_eq!(live.parts.len(), closed, "seed {seed}: no part while it is held");
        assert!(live.stream.parts.is_empty(), "seed {seed}: none is open");
        let (now, held) = (live.now(), live.sent.clone());
        live.stream.resume(now, &live.desk);
        live.play(Codec::Vp8, 6);
        live.end();
        let indexes = live.indexes();
        assert_eq!(walk(&clips(&indexes)), Vec::<String>::new(), "seed {seed}");
        let (ended, went_on) = indexes.split_at(closed);
        if let Some(last) = ended.last() {
            assert_eq!(last.cause, Some(Cause::Interrupted), "seed {seed}");
        }
        let first = &went_on.first().expect("it went on").entries[0];
        assert!(first.track == VIDEO && first.key, "seed {seed}: {first:?}");
        let count = |track| before.get(&track).copied().unwrap_or(0);
        for (track, sent) in &live.sent {
            let found = numbers(&indexes, &live.parts, *track);
            assert!(found.iter().all(|(sent, counted)| sent == counted), "seed {seed}");
            assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: twice");
            let of_before: Vec<u64> = found.iter().map(|(n, _)| *n).filter(|n| *n < count(*track)).collect();
            assert_eq!(of_before, (0..count(*track)).collect::<Vec<_>>(), "seed {seed}: nothing before is lost");
            assert!(found.iter().all(|(n, _)| *n < count(*track) || *n >= held[track]), "seed {seed}: nothing between");
            let of_after = found.iter().filter(|(n, _)| *n >= held[track]).count() as u64;
            assert!(of_after > 0 && sent - held[track] - of_after < 200, "seed {seed}: it waits for a keyframe only");
        }
    }
}
