//! Seeded libraries: what a preview names is what a run deletes, and nothing that is kept, pending or within its bounds is ever named.

mod support;

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::local::NewPart;
use storage::retention::{self, Keep, Retention, Why};
use storage::{Clip, ClipKind, ClipState, Id, Local, Visibility};
use support::place::{Place, sqlite};

const DAY_MS: i64 = 24 * 3600 * 1000;
const NOW_MS: i64 = 1_700_000_000_000;
const CHANNELS: [&str; 3] = ["main", "side", "third"];

/// A library, and which of its clips are still on their way to the store.
struct Library {
    place: Place,
    local: Local,
    clips: Vec<Clip>,
    on_its_way: BTreeSet<Id>,
}

impl Library {
    async fn new(rng: &mut StdRng) -> Self {
        let place = sqlite().expect("SQLite is always there");
        let local = Local::open(place.directory.path().join("local.db")).expect("the job table");
        let mut library = Self { place, local, clips: Vec::new(), on_its_way: BTreeSet::new() };
        for _ in 0..rng.random_range(0..160) {
            let clip = library.random_clip(rng);
            library.place.database.insert_clip(&clip).await.expect("inserted");
            if rng.random_bool(0.1) {
                library.begin_upload(&clip).await;
                library.on_its_way.insert(clip.id.clone());
            }
            library.clips.push(clip);
        }
        library
    }

    fn random_clip(&self, rng: &mut StdRng) -> Clip {
        let age_ms = rng.random_range(0..40 * DAY_MS);
        let mut clip = self.place.clip(NOW_MS - age_ms, "a clip");
        clip.channel = CHANNELS[rng.random_range(0..CHANNELS.len())].into();
        clip.size = rng.random_range(0..4_000_000);
        clip.pinned = rng.random_bool(0.1);
        clip.visibility = Visibility::ALL[rng.random_range(0..Visibility::ALL.len())];
        clip.kind = if rng.random_bool(0.1) { ClipKind::Made } else { ClipKind::Part };
        clip
    }

    /// In the database, but not yet known to be.
    async fn begin_upload(&self, clip: &Clip) {
        let (id, journal) = (clip.id.clone(), "/nowhere/a.oxj".into());
        let (broadcast, channel) = (clip.broadcast.clone(), clip.channel.clone());
        let part = NewPart { clip: id.clone(), broadcast, channel, part: clip.part, journal, created_ms: 1 };
        self.local.open_part(part).await.expect("opened");
        self.local.close_part(id.clone(), clip.cause, None, 0).await.expect("closed");
        self.local.exported(clip.clone(), "/nowhere/a.mp4".into(), None).await.expect("exported");
        for (from, to) in [(ClipState::Queued, ClipState::Uploading), (ClipState::Uploading, ClipState::Verified)] {
            assert!(self.local.advance(id.clone(), from, to).await.expect("advanced"));
        }
    }

    async fn plan(&self, policy: &Retention) -> retention::Plan {
        retention::plan(policy, &self.place.database, &self.local, NOW_MS).await.expect("a plan")
    }

    async fn left(&self) -> BTreeSet<Id> {
        let mut left = BTreeSet::new();
        for clip in &self.clips {
            left.extend(self.place.database.clip(&clip.id).await.expect("an answer").map(|clip| clip.id));
        }
        left
    }
}

fn random_policy(rng: &mut StdRng) -> Retention {
    let mut keep = || Keep {
        days: rng.random_bool(0.6).then(|| rng.random_range(1..40)),
        bytes: rng.random_bool(0.6).then(|| rng.random_range(1..60_000_000)),
    };
    let all = keep();
    let channels = [("side".to_owned(), keep())];
    Retention { all, channels: if rng.random_bool(0.5) { channels.into() } else { Default::default() } }
}

#[tokio::test]
async fn a_run_deletes_exactly_what_the_preview_names() {
    let cases = if std::env::var_os("OXBOW_SOAK").is_some() { 300 } else { 25 };
    let (mut named, mut of_age, mut of_size) = (0, 0, 0);
    for seed in 0..cases {
        let mut rng = StdRng::seed_from_u64(seed);
        let library = Library::new(&mut rng).await;
        let policy = random_policy(&mut rng);
        let preview = library.plan(&policy).await;
        let doomed: BTreeSet<Id> = preview.clips.iter().map(|(clip, _)| clip.id.clone()).collect();
        assert_eq!(preview.count, doomed.len() as u64, "seed {seed}");
        assert!(preview.clips.is_sorted_by_key(|(clip, _)| clip.started_at_ms), "seed {seed}: oldest first");
        for (clip, why) in &preview.clips {
            assert!(!clip.is_kept(), "seed {seed}: kept for good, published or made");
            assert!(!library.on_its_way.contains(&clip.id), "seed {seed}: not stored yet");
            let days = policy.of(&clip.channel).days;
            let is_old = days.is_some_and(|days| clip.started_at_ms < NOW_MS - i64::from(days) * DAY_MS);
            assert_eq!(*why == Why::Age, is_old, "seed {seed}");
            of_age += u64::from(is_old);
            of_size += u64::from(!is_old);
        }
        named += doomed.len();

        let again = library.plan(&policy).await;
        let gone = retention::carry_out(again, &library.place.database, &library.local).await.expect("a run");
        assert_eq!((gone.clips, gone.bytes), (preview.count, preview.bytes), "seed {seed}");
        let expected: BTreeSet<Id> = library.clips.iter().map(|clip| clip.id.clone()).collect();
        assert_eq!(library.left().await, &expected - &doomed, "seed {seed}");
        assert_eq!(library.plan(&policy).await.count, 0, "seed {seed}: nothing is left to go");
        // objects and a tombstone for each, by the outbox
        let listed: BTreeSet<String> = library.local.removals().await.expect("a list").into_iter().collect();
        let objects = preview.clips.iter().flat_map(|(clip, _)| clip.objects().cloned().chain([clip.key("json")]));
        assert_eq!(listed, objects.collect(), "seed {seed}");

        for channel in CHANNELS {
            let keep = policy.of(channel);
            let loose = library.clips.iter().filter(|clip| clip.channel == channel && !clip.is_kept());
            let stays = loose.filter(|clip| !doomed.contains(&clip.id) && !library.on_its_way.contains(&clip.id));
            let bytes: u64 = stays.map(|clip| clip.size).sum();
            assert!(keep.bytes.is_none_or(|most| bytes <= most), "seed {seed}: {bytes} bytes of {channel}");
        }
    }
    assert!(named > 200 && of_age > 50 && of_size > 50, "{named} were named, {of_age} old, {of_size} too much");
}

#[tokio::test]
async fn what_somebody_keeps_after_the_preview_stays() {
    let mut rng = StdRng::seed_from_u64(1);
    let library = Library::new(&mut rng).await;
    let policy = Retention { all: Keep { days: Some(1), bytes: None }, ..Retention::default() };
    let preview = library.plan(&policy).await;
    let kept = preview.clips.first().expect("something goes").0.clone();
    let pin = storage::ClipEdit { pinned: Some(true), ..Default::default() };
    library.place.database.edit_clip(&kept.id, &pin, None).await.expect("pinned");
    let count = preview.count;
    let gone = retention::carry_out(preview, &library.place.database, &library.local).await.expect("a run");
    assert_eq!(gone.clips, count - 1);
    assert!(library.left().await.contains(&kept.id));
}

#[tokio::test]
async fn nothing_goes_unless_somebody_said_so() {
    let mut rng = StdRng::seed_from_u64(2);
    let library = Library::new(&mut rng).await;
    assert!(Retention::default().keeps_all());
    assert_eq!(library.plan(&Retention::default()).await.count, 0);
}
