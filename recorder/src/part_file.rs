//! One part on its way to the disk. Records wait here while the disk refuses them or is not done with its file, up to a bound that the writer sets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::{AppendError, Appender, Cause, Header, Record};
use media::id::TrackId;
use media::message::{AccessUnit, CodecConfig};

use crate::medium::{Answer, Medium, Outcome};

/// The number of a track's next unit is told so often, in nanoseconds of the timeline, and its configuration with it, as at each keyframe: a
/// reader that had to pass over damage counts back from there, and shows what it could not without.
const COUNT_EVERY_NS: u64 = 2_000_000_000;
/// A medium that has not answered within this counts as one that refuses.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// A part that is open, or closed and not yet wholly written.
#[derive(Debug)]
pub(crate) struct PartFile {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    appender: Option<Appender>,
    /// The file has its name, durably. Until then it is no part (docs/journal.md, steps 1 and 7).
    named: bool,
    naming: Option<Asked<Result<(), AppendError>>>,
    /// Cuts and ends that were pushed, how many of them the medium has confirmed, and what it is asked about.
    wanted: u32,
    confirmed: u32,
    asked: Option<Asked<io::Result<()>>>,
    /// Records that the appender has not confirmed, oldest first; the first `given` of them it holds already.
    waiting: Vec<Record>,
    given: usize,
    waiting_bytes: usize,
    /// The number that a reader expects of the next unit of each track, and the time of the one that was told last.
    expected: BTreeMap<TrackId, (u64, u64)>,
    /// In force, and whether a unit has followed the record that said so last.
    configs: BTreeMap<TrackId, (CodecConfig, bool)>,
    /// Where the next part begins, once this one was cut.
    cut: Option<Record>,
    /// Set when the part is to be closed.
    pub(crate) end: Option<Cause>,
    /// The requests that its cut answers.
    pub(crate) requests: Vec<storage::Id>,
}

/// A question to the medium.
#[derive(Debug)]
struct Asked<T> {
    outcome: Outcome<T>,
    since: Instant,
    /// The confirmation that its answer is.
    confirms: u32,
}

impl<T> Asked<T> {
    /// `None` before there is an answer.
    fn answer(&self, now: Instant) -> Option<io::Result<T>> {
        match self.outcome.look() {
            Answer::Done(answer) => Some(Ok(answer)),
            Answer::Never => Some(Err(io::Error::other("the thread that waits for the disk is gone"))),
            Answer::NotYet if now.saturating_duration_since(self.since) >= ANSWERS_WITHIN => {
                Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")))
            }
            Answer::NotYet => None,
        }
    }
}

/// What a flush did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flushed {
    /// The file was created just now.
    pub(crate) created: bool,
    /// Bytes written by it.
    pub(crate) bytes: u64,
}

/// Units that were given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) units: u64,
    pub(crate) tracks: BTreeSet<TrackId>,
    pub(crate) from_ns: Option<u64>,
}

impl PartFile {
    pub(crate) fn new(header: Header, path: PathBuf) -> Self {
        let (waiting, requests) = (Vec::new(), Vec::new());
        Self {
            header,
            path,
            appender: None,
            named: false,
            naming: None,
            wanted: 0,
            confirmed: 0,
            asked: None,
            waiting,
            given: 0,
            waiting_bytes: 0,
            expected: BTreeMap::new(),
            configs: BTreeMap::new(),
            cut: None,
            end: None,
            requests,
        }
    }

    /// Takes any other record. The tap bounds units below what a journal takes; should one be larger it is left out, and named.
    pub(crate) fn push(&mut self, record: Record) {
        if record.size() > journal::format::DATA_BYTES {
            tracing::error!(bytes = record.size(), "an access unit is too large to record");
            self.expected.clear();
            return;
        }
        match &record {
            Record::Cut { .. } => self.cut = Some(record.clone()),
            Record::Config { track, config } => drop(self.configs.insert(*track, (config.clone(), false))),
            _ => {}
        }
        self.wanted += u32::from(matches!(record, Record::Cut { .. } | Record::End { .. }));
        self.waiting_bytes += record.size();
        self.waiting.push(record);
    }

    /// Takes the unit with this number of its track; the number is written down where a reader could not count to it.
    pub(crate) fn push_unit(&mut self, number: u64, unit: AccessUnit, after_given_up: bool) {
        let (track, now_ns) = (unit.track, unit.pts_ns);
        let told = self.expected.get(&track).filter(|(expected, told_ns)| {
            !after_given_up && *expected == number && now_ns < told_ns.saturating_add(COUNT_EVERY_NS)
        });
        let told_ns = told.map(|(_, told_ns)| *told_ns);
        let is_keyframe = unit.key && self.configs.get(&track).is_some_and(|(config, _)| config.codec.is_video());
        if is_keyframe || told_ns.is_none() {
            self.say_configs(|of| is_keyframe || of == track);
        }
        if told_ns.is_none() {
            self.push(Record::Count { track, number, given_up: after_given_up });
        }
        if let Some((_, followed)) = self.configs.get_mut(&track) {
            *followed = true;
        }
        self.expected.insert(track, (number + 1, told_ns.unwrap_or(now_ns)));
        self.push(Record::Unit(unit));
    }

    /// Once more, where units have followed.
    fn say_configs(&mut self, of: impl Fn(TrackId) -> bool) {
        let followed = self.configs.iter().filter(|(track, (_, followed))| *followed && of(**track));
        let said: Vec<_> =
            followed.map(|(track, (config, _))| Record::Config { track: *track, config: config.clone() }).collect();
        said.into_iter().for_each(|record| self.push(record));
    }

    /// Ends the part. What a reader needs to make sense of the units is said once more, lest it stand in one damaged place alone.
    pub(crate) fn close(&mut self, utc_us: u64, cause: Cause) {
        self.say_configs(|_| true);
        for (track, (number, _)) in std::mem::take(&mut self.expected) {
            self.push(Record::Count { track, number, given_up: false });
        }
        if let Some(cut) = self.cut.take() {
            self.push(cut);
        }
        self.push(Record::End { utc_us, cause });
        self.end = Some(cause);
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// The file has its name.
    pub(crate) fn exists(&self) -> bool {
        self.named
    }

    /// Everything that was pushed is in the file, for all to read.
    pub(crate) fn is_written(&self) -> bool {
        self.waiting.is_empty() && (self.named || self.appender.is_none())
    }

    /// And the medium has confirmed all up to the last cut or end.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_written() && self.confirmed == self.wanted
    }

    /// Something is asked of the medium.
    pub(crate) fn waits_for_medium(&self) -> bool {
        self.asked.is_some() || self.naming.is_some()
    }

    /// Writes what waits, and asks the medium for what must be durable. The file gets its name when it `may_be_named`.
    ///
    /// # Errors
    /// When the disk refuses, or does not answer in time. What is not written goes on waiting.
    pub(crate) fn flush(&mut self, now: Instant, medium: &Medium, may_be_named: bool) -> Result<Flushed, AppendError> {
        let mut flushed = Flushed::default();
        if self.appender.is_none() && !self.waiting.is_empty() {
            self.appender = Some(Appender::begin(&self.path, &self.header)?);
        }
        let Some(appender) = &mut self.appender else { return Ok(flushed) };
        let before = appender.written();
        for record in &self.waiting[self.given..] {
            appender.append(record)?;
        }
        self.given = self.waiting.len();
        appender.flush()?;
        flushed.bytes = appender.written() - before;
        self.waiting.clear();
        (self.given, self.waiting_bytes) = (0, 0);
        if !self.named {
            flushed.created = self.name(now, medium, may_be_named)?;
        }
        if self.named {
            self.confirm(now, medium)?;
        }
        Ok(flushed)
    }

    /// True when the file has its name since this call.
    fn name(&mut self, now: Instant, medium: &Medium, may_be_named: bool) -> Result<bool, AppendError> {
        let failed = |source| AppendError::Create { path: self.path.clone(), source };
        if let Some(asked) = &self.naming {
            match asked.answer(now) {
                None => return Ok(false),
                Some(Err(source)) if source.kind() == io::ErrorKind::TimedOut => return Err(failed(source)),
                Some(answer) => {
                    self.naming = None;
                    answer.map_err(failed)??;
                    self.named = true;
                    return Ok(true);
                }
            }
        }
        if let Some(appender) = self.appender.as_ref().filter(|_| may_be_named) {
            let (file, path) = (appender.file(), self.path.clone());
            let outcome = medium.hand(move || journal::establish(&file, &path));
            self.naming = outcome.map(|outcome| Asked { outcome, since: now, confirms: 0 });
        }
        Ok(false)
    }

    /// All that waited is written.
    fn confirm(&mut self, now: Instant, medium: &Medium) -> Result<(), AppendError> {
        let failed = |source| AppendError::Write { path: self.path.clone(), source };
        if let Some(asked) = &self.asked {
            match asked.answer(now) {
                None => return Ok(()),
                Some(Err(source)) if source.kind() == io::ErrorKind::TimedOut => return Err(failed(source)),
                Some(Ok(Ok(()))) => self.confirmed = asked.confirms,
                Some(Ok(Err(source)) | Err(source)) => {
                    let error = failed(source);
                    self.asked = None;
                    return Err(error);
                }
            }
            self.asked = None;
        }
        let Some(appender) = &mut self.appender else { return Ok(()) };
        if self.confirmed != self.wanted {
            let file = appender.file();
            appender.take_dirty();
            if let Some(outcome) = medium.hand(move || file.sync_data()) {
                self.asked = Some(Asked { outcome, since: now, confirms: self.wanted });
            }
        }
        Ok(())
    }

    /// The file, when something was written since the last call.
    pub(crate) fn dirty_file(&mut self) -> Option<Arc<File>> {
        let appender = self.appender.as_mut()?;
        appender.take_dirty().then(|| appender.file())
    }

    /// Gives up the units that wait. The newest configuration of each track, gaps and cuts stay: the file makes no sense without them.
    pub(crate) fn give_up(&mut self) -> GivenUp {
        // What the appender wrote of a batch before it failed is in the file; only the rest is pending there.
        let pending = self.appender.as_mut().map_or(self.given, Appender::discard_pending);
        let written = self.given.saturating_sub(pending);
        let mut given_up = GivenUp::default();
        let kept: Vec<Record> = self
            .waiting
            .drain(..)
            .skip(written)
            .filter(|record| {
                let Record::Unit(unit) = record else { return !matches!(record, Record::Count { .. }) };
                given_up.units += 1;
                given_up.tracks.insert(unit.track);
                given_up.from_ns = Some(given_up.from_ns.map_or(unit.pts_ns, |at: u64| at.min(unit.pts_ns)));
                false
            })
            .collect();
        self.waiting = without_superseded(kept);
        self.expected.clear();
        self.given = 0;
        self.waiting_bytes = self.waiting.iter().map(Record::size).sum();
        given_up
    }
}

/// Without the configurations that no unit follows before the next one of the track.
fn without_superseded(records: Vec<Record>) -> Vec<Record> {
    let mut newer = BTreeSet::new();
    let mut kept: Vec<Record> = records
        .into_iter()
        .rev()
        .filter(|record| !matches!(record, Record::Config { track, .. } if !newer.insert(*track)))
        .collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use journal::{ClipId, Index};
    use media::id::BroadcastId;
    use media::message::Codec;

    use super::*;

    fn unit(pts_ns: u64) -> AccessUnit {
        let data = Bytes::from_static(b"x");
        let track = TrackId(0);
        AccessUnit { track, key: true, pts_ns, dts_ns: 0, utc_us: 0, first_seq: 0, last_seq: 0, data }
    }

    fn header() -> Header {
        Header {
            broadcast: BroadcastId(1),
            part: 0,
            clip: ClipId(2),
            channel: "main".parse().expect("a channel"),
            media_zero_utc_us: 0,
            opened_utc_us: 0,
        }
    }

    #[test]
    fn units_wait_while_the_disk_refuses_and_the_rest_survives_giving_up() {
        let folder = tempfile::tempdir().expect("folder");
        let blocked = folder.path().join("journal");
        std::fs::write(&blocked, "a file where a folder should be").expect("write");
        let (medium, jobs) = Medium::idle();
        let now = Instant::now();
        let mut part = PartFile::new(header(), blocked.join("a.oxj"));
        part.push_unit(0, unit(5), false);
        part.push(Record::Cut { at_ns: 9, cause: Cause::Size });
        let flush = |part: &mut PartFile, may_open| {
            let asked = part.flush(now, &medium, may_open);
            jobs.try_iter().for_each(|job| job());
            asked.and_then(|first| part.flush(now, &medium, may_open).map(|second| (first.created, second.created)))
        };
        assert!(flush(&mut part, true).is_err());
        part.push_unit(1, unit(3), false);
        assert!(flush(&mut part, true).is_err());
        assert!(!part.exists());
        assert_eq!(part.give_up(), GivenUp { units: 2, tracks: [TrackId(0)].into(), from_ns: Some(3) });

        std::fs::remove_file(&blocked).expect("remove");
        part.push_unit(2, unit(7), true);
        assert_eq!(flush(&mut part, false).expect("it waits for another"), (false, false));
        assert!(!part.waits_for_medium() && !part.path.exists() && journal::begun_path(&part.path).exists());
        assert_eq!(flush(&mut part, true).expect("flush"), (false, true));
        assert!(part.is_written() && !part.is_settled(), "the cut is not durable yet");
        assert_eq!(flush(&mut part, true).expect("confirmed"), (false, false));
        assert!(part.is_settled());
        assert_eq!(part.waiting_bytes(), 0);
        let index = Index::build(&part.path).expect("index");
        assert_eq!(index.cut_ns, Some(9));
        let found: Vec<_> = index.entries.iter().map(|e| (e.pts_ns, e.number, e.after_given_up)).collect();
        assert_eq!(found, [(7, Some(2), true)]);
        assert_eq!(part.give_up(), GivenUp::default());
    }

    #[test]
    fn configurations_are_said_again() {
        let folder = tempfile::tempdir().expect("folder");
        let (medium, jobs) = Medium::idle();
        let now = Instant::now();
        let mut part = PartFile::new(header(), folder.path().join("a.oxj"));
        let config = |width| {
            let config = CodecConfig { codec: Codec::Vp8, width, height: 9, channels: 0, parameter_sets: Bytes::new() };
            Record::Config { track: TrackId(0), config }
        };
        part.push(config(16));
        for number in 0..25 {
            let key = number % 20 == 0;
            part.push_unit(number, AccessUnit { key, ..unit(number * 200_000_000) }, false);
        }
        part.close(0, Cause::End);
        part.flush(now, &medium, true).expect("written");
        jobs.try_iter().for_each(|job| job());
        part.flush(now, &medium, true).expect("named");
        let said = journal::Reader::open(&part.path).expect("open").map(|record| record.expect("read"));
        assert_eq!(
            said.filter(|record| *record == config(16)).count(),
            4,
            "at the head, at 2 s, at the keyframe at 4 s, at the end"
        );
        assert_eq!(Index::build(&part.path).expect("index").epochs.len(), 1);

        let mut waits = PartFile::new(header(), folder.path().join("b.oxj"));
        for round in 0..100 {
            waits.push(config(round));
            waits.push_unit(u64::from(round), unit(u64::from(round)), true);
            assert_eq!(waits.give_up().units, 1);
        }
        assert_eq!(waits.waiting, [config(99)], "a disk that is away for long costs no memory");
    }

    #[test]
    fn a_medium_that_does_not_answer_counts_as_one_that_refuses() {
        let folder = tempfile::tempdir().expect("folder");
        let (medium, jobs) = Medium::idle();
        let now = Instant::now();
        let mut part = PartFile::new(header(), folder.path().join("a.oxj"));
        part.push_unit(0, unit(5), false);
        assert!(part.flush(now, &medium, true).is_ok());
        assert!(part.flush(now + ANSWERS_WITHIN / 2, &medium, true).is_ok());
        let error = part.flush(now + ANSWERS_WITHIN, &medium, true).expect_err("it is late");
        assert!(error.to_string().contains("does not answer"), "{error}");
        assert_eq!(jobs.try_iter().map(|job| job()).count(), 1, "it is asked once");
        assert!(part.flush(now + ANSWERS_WITHIN, &medium, true).expect("at last").created);
        assert!(part.is_settled());

        part.close(0, Cause::End);
        assert!(part.flush(now, &medium, true).is_ok());
        assert!(part.flush(now + ANSWERS_WITHIN, &medium, true).is_err());
        part.push(Record::Cut { at_ns: 9, cause: Cause::Size });
        jobs.try_iter().for_each(|job| job());
        assert!(part.flush(now + ANSWERS_WITHIN, &medium, true).is_ok());
        assert!(!part.is_settled(), "what came after the question is not in the answer");
    }
}
