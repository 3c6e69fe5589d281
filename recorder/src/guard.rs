//! The guard of the disk: measures the volume of the data folder, makes space below the soft mark, and has recording stop below the
//! hard one until there is space again. The live and the uploads go on in any case.
//!
//! A state is left only well above the mark at which it began, or it would come and go with every file.

use std::path::Path;

use storage::{Disk, DiskState, StorageError, Watermarks};
use tokio::time::Instant;

use crate::desk::Desk;
use crate::forecast::Forecast;
use crate::writer::Command;
use crate::{clock, house};

/// Journals removed before the disk is measured again.
const ROUND: u32 = 8;

pub(crate) struct Guard {
    marks: Watermarks,
    start: Instant,
    state: DiskState,
    /// What the journal thread was told last.
    held: bool,
    volume: Volume,
    forecast: Forecast,
}

/// Bytes, and those of them that this process may still use.
#[derive(Clone, Copy, Debug, Default)]
struct Volume {
    total: u64,
    free: u64,
}

impl Guard {
    pub(crate) fn new(marks: Watermarks) -> Self {
        let (volume, forecast) = (Volume::default(), Forecast::default());
        Self { marks, start: Instant::now(), state: DiskState::Ok, held: false, volume, forecast }
    }

    /// Measures, and does what the measure asks for.
    ///
    /// # Errors
    /// When journals that should go cannot.
    pub(crate) async fn look(&mut self, desk: &Desk) -> Result<(), StorageError> {
        self.measure(desk).await;
        // nothing is recorded before space is there: told first
        self.tell_writer(desk);
        if self.state != DiskState::Ok {
            self.make_space(desk).await?;
            self.tell_writer(desk);
        }
        Ok(())
    }

    /// What is known now, but for what the housekeeper counts.
    pub(crate) fn disk(&self) -> Disk {
        let Volume { total, free } = self.volume;
        let (soft, hard) = self.marks.of(total);
        let left = self.forecast.until_full(free.saturating_sub(hard)).filter(|_| total > 0);
        Disk {
            total_bytes: total,
            free_bytes: free,
            soft_bytes: soft,
            hard_bytes: hard,
            state: self.state,
            full_at_ms: left.map(|left| clock::utc_ms() + left.as_millis() as i64),
            ..Disk::default()
        }
    }

    async fn measure(&mut self, desk: &Desk) {
        let data = desk.config.data_dir.clone();
        let Ok(Some(volume)) = tokio::task::spawn_blocking(move || Volume::of(&data)).await else { return };
        self.volume = volume;
        self.forecast.note(self.start.elapsed(), volume.total.saturating_sub(volume.free));
        let before = self.state;
        self.state = state_after(before, self.marks, volume);
        if before != self.state {
            self.say(desk, before);
            if let Err(error) = desk.stores.local.note_disk(self.disk()).await {
                tracing::warn!(%error, "nobody outside is told of the disk");
            }
        }
    }

    fn say(&self, desk: &Desk, before: DiskState) {
        let (soft, hard) = self.marks.of(self.volume.total);
        let free = megabytes(self.volume.free);
        match (before, self.state) {
            (_, DiskState::Full) => {
                let kept = megabytes(hard);
                desk.alarm(
                    "",
                    format!("recording has stopped: the disk has {free} MB free, DISK_HARD keeps {kept} MB"),
                );
            }
            (DiskState::Full, _) => {
                tracing::warn!(free_mb = free, "there is space on the disk again: recording goes on")
            }
            (_, DiskState::Low) => {
                let wanted = megabytes(soft);
                desk.alarm("", format!("the disk is nearly full: {free} MB are free, DISK_SOFT asks for {wanted} MB"));
            }
            (_, DiskState::Ok) => tracing::info!(free_mb = free, "there is enough space on the disk again"),
        }
    }

    /// Again with the next look when the thread is behind.
    fn tell_writer(&mut self, desk: &Desk) {
        let hold = self.state == DiskState::Full;
        if hold != self.held && desk.command(Command::Hold(hold)) {
            self.held = hold;
        }
    }

    /// Journals of clips that are stored are a cache: the oldest go first, no more than needed.
    async fn make_space(&mut self, desk: &Desk) -> Result<(), StorageError> {
        let local = &desk.stores.local;
        let mut removed = 0_u64;
        while self.state != DiskState::Ok {
            let oldest = local.expired(clock::utc_ms(), ROUND).await?;
            if oldest.is_empty() {
                break;
            }
            for row in &oldest {
                house::drop_journal(desk, row).await?;
                removed += 1;
            }
            self.measure(desk).await;
        }
        if removed > 0 {
            metrics::counter!("oxbow_journals_dropped_early_total").increment(removed);
            tracing::info!(removed, "journals of stored clips went early, to make space");
        }
        Ok(())
    }
}

/// What may still be written to the volume of this path; none when the system does not say.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    Volume::of(path).map(|volume| volume.free)
}

impl Volume {
    /// None when the system does not say.
    fn of(path: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(path).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self { total: bytes(found.f_blocks), free: bytes(found.f_bavail) })
    }
}

/// Free bytes at which `Full` is left, and those at which `Low` is.
fn leaves(marks: Watermarks, total: u64) -> (u64, u64) {
    let (soft, hard) = marks.of(total);
    (hard + ((soft - hard) / 2).max(hard / 4), soft + soft / 10)
}

fn state_after(before: DiskState, marks: Watermarks, volume: Volume) -> DiskState {
    let Volume { total, free } = volume;
    let (soft, hard) = marks.of(total);
    let (leave_full, leave_low) = leaves(marks, total);
    if free < hard || (before == DiskState::Full && free < leave_full) {
        DiskState::Full
    } else if free < soft || (before != DiskState::Ok && free < leave_low) {
        DiskState::Low
    } else {
        DiskState::Ok
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(before: DiskState, marks: &str, free: u64) -> DiskState {
        let (soft, hard) = marks.split_once(' ').unwrap();
        let marks = Watermarks { soft: soft.parse().unwrap(), hard: hard.parse().unwrap() };
        state_after(before, marks, Volume { total: 100, free })
    }

    #[test]
    fn a_state_is_left_well_above_the_mark_where_it_began() {
        use DiskState::{Full, Low, Ok};
        for (before, free, then) in [
            (Ok, 21, Ok),
            (Ok, 20, Ok),
            (Ok, 19, Low),
            (Ok, 3, Full),
            (Low, 10, Low),
            (Low, 21, Low),
            (Low, 22, Ok),
            (Low, 9, Full),
            (Full, 10, Full),
            (Full, 14, Full),
            (Full, 15, Low),
            (Full, 30, Ok),
        ] {
            assert_eq!(after(before, "20% 10%", free), then, "{before} {free}");
        }
    }

    #[test]
    fn marks_of_nothing_never_ask_for_anything() {
        for state in DiskState::ALL {
            assert_eq!(after(state, "0 0", 0), DiskState::Ok);
        }
    }

    #[test]
    fn one_mark_alone_stops_and_resumes() {
        assert_eq!(after(DiskState::Ok, "0 20%", 19), DiskState::Full);
        assert_eq!(after(DiskState::Full, "0 20%", 24), DiskState::Full);
        assert_eq!(after(DiskState::Full, "0 20%", 25), DiskState::Ok);
    }
}
