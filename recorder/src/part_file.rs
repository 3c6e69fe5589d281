//! One part on its way to the disk. Records wait here while the disk refuses them, up to a bound that the writer sets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use journal::{AppendError, Appender, Cause, Header, Record};
use media::id::TrackId;
use media::message::AccessUnit;

/// The number of a track's next unit is told so often, in nanoseconds of the timeline: a reader that had to pass over damage counts
/// back from there.
const COUNT_EVERY_NS: u64 = 2_000_000_000;

/// A part that is open, or closed and not yet wholly written.
#[derive(Debug)]
pub(crate) struct PartFile {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    appender: Option<Appender>,
    /// Records that the appender has not confirmed, oldest first; the first `given` of them it holds already.
    waiting: Vec<Record>,
    given: usize,
    waiting_bytes: usize,
    /// The number that a reader expects of the next unit of each track, and the time of the one that was told last.
    expected: BTreeMap<TrackId, (u64, u64)>,
    /// Where the next part begins, once this one was cut.
    cut: Option<Record>,
    /// Set when the part is to be closed.
    pub(crate) end: Option<Cause>,
    /// The requests that its cut answers.
    pub(crate) requests: Vec<storage::Id>,
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
        let (waiting, requests, expected) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (appender, cut, end) = (None, None, None);
        Self { header, path, appender, waiting, given: 0, waiting_bytes: 0, expected, cut, end, requests }
    }

    /// Takes any other record. The tap bounds units below what a journal takes; should one be larger it is left out, and named.
    pub(crate) fn push(&mut self, record: Record) {
        if record.size() > journal::format::DATA_BYTES {
            tracing::error!(bytes = record.size(), "an access unit is too large to record");
            self.expected.clear();
            return;
        }
        if matches!(record, Record::Cut { .. }) {
            self.cut = Some(record.clone());
        }
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
        if told_ns.is_none() {
            self.push(Record::Count { track, number, given_up: after_given_up });
        }
        self.expected.insert(track, (number + 1, told_ns.unwrap_or(now_ns)));
        self.push(Record::Unit(unit));
    }

    /// Ends the part. What a reader needs to make sense of the units is said once more, lest it stand in one damaged place alone.
    pub(crate) fn close(&mut self, utc_us: u64, cause: Cause) {
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

    pub(crate) fn exists(&self) -> bool {
        self.appender.is_some()
    }

    /// Creates the file if it is not there and writes what waits.
    pub(crate) fn flush(&mut self) -> Result<Flushed, AppendError> {
        let mut flushed = Flushed::default();
        if self.waiting.is_empty() {
            return Ok(flushed);
        }
        if self.appender.is_none() {
            self.appender = Some(Appender::create(&self.path, &self.header)?);
            flushed.created = true;
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
        Ok(flushed)
    }

    /// Flushes and waits for the medium.
    pub(crate) fn sync(&mut self) -> Result<Flushed, AppendError> {
        let flushed = self.flush()?;
        if let Some(appender) = &mut self.appender {
            appender.sync()?;
        }
        Ok(flushed)
    }

    /// The file, when something was written since the last call.
    pub(crate) fn dirty_file(&mut self) -> Option<Arc<File>> {
        let appender = self.appender.as_mut()?;
        appender.take_dirty().then(|| appender.file())
    }

    /// Gives up the units that wait. Configurations, gaps and cuts stay: the file makes no sense without them.
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
        self.waiting = kept;
        self.expected.clear();
        self.given = 0;
        self.waiting_bytes = self.waiting.iter().map(Record::size).sum();
        given_up
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use journal::{ClipId, Index};
    use media::id::BroadcastId;

    use super::*;

    fn unit(pts_ns: u64) -> AccessUnit {
        let data = Bytes::from_static(b"x");
        let track = TrackId(0);
        AccessUnit { track, key: true, pts_ns, dts_ns: 0, utc_us: 0, first_seq: 0, last_seq: 0, data }
    }

    #[test]
    fn units_wait_while_the_disk_refuses_and_the_rest_survives_giving_up() {
        let folder = tempfile::tempdir().expect("folder");
        let blocked = folder.path().join("journal");
        std::fs::write(&blocked, "a file where a folder should be").expect("write");
        let header = Header {
            broadcast: BroadcastId(1),
            part: 0,
            clip: ClipId(2),
            channel: "main".parse().expect("a channel"),
            media_zero_utc_us: 0,
            opened_utc_us: 0,
        };
        let mut part = PartFile::new(header, blocked.join("a.oxj"));
        part.push_unit(0, unit(5), false);
        part.push(Record::Cut { at_ns: 9, cause: Cause::Size });
        assert!(part.flush().is_err());
        part.push_unit(1, unit(3), false);
        assert!(part.flush().is_err());
        assert!(!part.exists());
        assert_eq!(part.give_up(), GivenUp { units: 2, tracks: [TrackId(0)].into(), from_ns: Some(3) });

        std::fs::remove_file(&blocked).expect("remove");
        part.push_unit(2, unit(7), true);
        assert!(part.flush().expect("flush").created);
        assert_eq!(part.waiting_bytes(), 0);
        let index = Index::build(&part.path).expect("index");
        assert_eq!(index.cut_ns, Some(9));
        let found: Vec<_> = index.entries.iter().map(|e| (e.pts_ns, e.number, e.after_given_up)).collect();
        assert_eq!(found, [(7, Some(2), true)]);
        assert_eq!(part.give_up(), GivenUp::default());
    }
}
