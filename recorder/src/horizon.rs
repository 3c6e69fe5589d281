//! How far each recording that goes on is on disk, told by the journal thread once a turn. Whoever wants what is just being recorded
//! waits here until it is written. No file is read here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use media::id::{BroadcastId, TrackId};
use tokio::sync::watch;

/// Sound that is late for its picture, or a track that has fallen silent, is waited for this long: the tap's own patience and a
/// little more.
const LATE_NS: u64 = 700_000_000;

/// What is in the files of one broadcast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Time of the newest unit of each track.
    pub(crate) tracks: BTreeMap<TrackId, u64>,
    /// The track with pictures.
    pub(crate) video: Option<TrackId>,
    /// The newest part that has a file.
    pub(crate) part: Option<u32>,
}

impl Written {
    /// Everything before `to_ns` that will ever come is in the files.
    pub(crate) fn holds(&self, to_ns: u64) -> bool {
        let lead = self.video.and_then(|video| self.tracks.get(&video)).or_else(|| self.tracks.values().max());
        let Some(lead) = lead.filter(|lead| **lead >= to_ns) else { return false };
        self.tracks.values().all(|last| *last >= to_ns) || *lead >= to_ns.saturating_add(LATE_NS)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Horizon {
    broadcasts: Mutex<BTreeMap<BroadcastId, Written>>,
    turns: watch::Sender<u64>,
}

impl Horizon {
    /// `None`: nothing more will come.
    pub(crate) fn tell(&self, broadcast: BroadcastId, written: Option<Written>) {
        let mut broadcasts = self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Some(written) => drop(broadcasts.insert(broadcast, written)),
            None => drop(broadcasts.remove(&broadcast)),
        }
    }

    /// Wakes those who wait.
    pub(crate) fn turned(&self) {
        self.turns.send_modify(|turns| *turns += 1);
    }

    pub(crate) fn turns(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }

    /// None of a broadcast that is not recorded at the moment: what there is of it is on disk.
    pub(crate) fn of(&self, broadcast: BroadcastId) -> Option<Written> {
        self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner).get(&broadcast).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_moment_is_written_when_every_track_has_passed_it_or_is_silent() {
        let (picture, sound) = (TrackId(0), TrackId(1));
        let written = |video: u64, audio: Option<u64>| Written {
            tracks: [Some((picture, video)), audio.map(|at| (sound, at))].into_iter().flatten().collect(),
            video: Some(picture),
            part: Some(0),
        };
        assert!(!Written::default().holds(0), "nothing has come yet");
        assert!(written(SECOND, None).holds(SECOND));
        assert!(!written(SECOND - 1, Some(SECOND * 9)).holds(SECOND), "the picture leads");
        assert!(!written(SECOND, Some(SECOND - 1)).holds(SECOND), "sound may still come");
        assert!(written(SECOND, Some(SECOND)).holds(SECOND));
        assert!(written(SECOND + LATE_NS, Some(5)).holds(SECOND), "the sound is silent");
        let radio = Written { tracks: [(sound, SECOND)].into(), video: None, part: None };
        assert!(radio.holds(SECOND) && !radio.holds(SECOND + 1));
    }

    #[test]
    fn what_has_ended_is_not_waited_for() {
        let horizon = Horizon::default();
        let mut turns = horizon.turns();
        horizon.tell(BroadcastId(1), Some(Written::default()));
        horizon.turned();
        assert!(turns.has_changed().unwrap());
        turns.mark_unchanged();
        assert_eq!(horizon.of(BroadcastId(1)), Some(Written::default()));
        horizon.tell(BroadcastId(1), None);
        assert_eq!(horizon.of(BroadcastId(1)), None);
        assert!(!turns.has_changed().unwrap());
    }
}
