//! Figures for /metrics that somebody has to fetch: the media plane's, the recorder's, the state of the stores.
//!
//! They are fetched every two seconds whoever scrapes, so that a scrape costs nothing but its text.

use std::collections::HashMap;
use std::time::Duration;

use media::id::ShardId;
use media::message::ShardStats;
use media::stats::Spans;
use metrics::{counter, gauge, histogram};
use recorder::RecorderStatus;
use shard::MediaPlane;
use storage::{Disk, DiskState, Health, StoreStatus};
use tokio::sync::watch;

const EVERY: Duration = Duration::from_secs(2);

/// Never returns.
pub async fn collect(plane: MediaPlane, recorder: watch::Receiver<RecorderStatus>, health: Health) {
    let mut seen = Seen::default();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let shards = plane.stats().await;
        of_plane(&shards);
        seen.spans(&shards);
        of_recorder(&recorder.borrow());
        for (part, status) in [("storage", health.objects()), ("database", health.database())] {
            gauge!("oxbow_part_up", "part" => part).set(f64::from(matches!(status, StoreStatus::Here { .. })));
        }
    }
}

/// What histograms were given so far: shards count since their start, histograms take what is new.
#[derive(Default)]
struct Seen(HashMap<(ShardId, &'static str), Spans>);

impl Seen {
    fn spans(&mut self, shards: &[ShardStats]) {
        for stats in shards {
            for (name, now) in
                [("oxbow_join_seconds", stats.join), ("oxbow_first_picture_seconds", stats.first_picture)]
            {
                let before = self.0.insert((stats.shard, name), now).unwrap_or_default();
                for (class, count) in fresh(before, now) {
                    histogram!(name).record_many(class, count);
                }
            }
        }
    }
}

/// Upper bounds in seconds of the classes that grew, and by how much. A shard that was started anew counts from zero.
fn fresh(before: Spans, now: Spans) -> impl Iterator<Item = (f64, usize)> {
    let anew = before.classes.iter().zip(now.classes).any(|(before, now)| now < *before);
    let before = if anew { Spans::default() } else { before };
    let longest = Spans::BOUNDS_US[Spans::BOUNDS_US.len() - 1];
    // What has no bound lies beyond the last.
    let bounds = Spans::BOUNDS_US.into_iter().chain([2 * longest]);
    let grown = before.classes.into_iter().zip(now.classes).map(|(before, now)| (now - before) as usize);
    bounds.map(|us| us as f64 / 1e6).zip(grown).filter(|(_, count)| *count > 0)
}

fn of_plane(shards: &[ShardStats]) {
    let (mut broadcasts, mut viewers, mut connected) = (0_u32, 0_u32, 0_u32);
    for stats in shards {
        let shard = stats.shard.0.to_string();
        let totals = [
            ("oxbow_packets_in_total", stats.packets_in),
            ("oxbow_packets_out_total", stats.packets_out),
            ("oxbow_bytes_in_total", stats.bytes_in),
            ("oxbow_bytes_out_total", stats.bytes_out),
            ("oxbow_nacks_in_total", stats.nacks_in),
            ("oxbow_nacks_out_total", stats.nacks_out),
            ("oxbow_retransmitted_total", stats.retransmitted),
            ("oxbow_plis_in_total", stats.plis_in),
            ("oxbow_plis_out_total", stats.plis_out),
            ("oxbow_layer_switches_total", stats.layer_switches),
            ("oxbow_picture_pauses_total", stats.picture_pauses),
        ];
        for (name, value) in totals {
            counter!(name, "shard" => shard.clone()).absolute(value);
        }
        for (reason, dropped) in &stats.dropped {
            counter!("oxbow_packets_dropped_total", "shard" => shard.clone(), "reason" => *reason).absolute(*dropped);
        }
        for (name, value) in stats.drive.counters() {
            counter!(name, "shard" => shard.clone()).absolute(value);
        }
        for (name, value) in stats.drive.gauges() {
            gauge!(name, "shard" => shard.clone()).set(value as f64);
        }
        gauge!("oxbow_sessions", "shard" => shard.clone()).set(stats.sessions);
        for room in &stats.rooms {
            broadcasts += 1;
            viewers += room.viewers;
            connected += u32::from(room.connected);
        }
    }
    gauge!("oxbow_broadcasts").set(broadcasts);
    gauge!("oxbow_broadcasts_waiting").set(broadcasts - connected);
    gauge!("oxbow_viewers").set(viewers);
}

fn of_recorder(status: &RecorderStatus) {
    for state in storage::local::ClipState::ALL {
        let clips = status.clips.get(&state).copied().unwrap_or(0);
        gauge!("oxbow_clips", "state" => state.as_str()).set(clips as f64);
    }
    gauge!("oxbow_outbox_depth").set(status.outbox as f64);
    gauge!("oxbow_outbox_age_seconds").set(status.outbox_age_ms as f64 / 1000.0);
    for reason in storage::Reason::ALL {
        let clips = status.waiting.get(&reason).copied().unwrap_or(0);
        gauge!("oxbow_outbox_waiting", "reason" => reason.as_str()).set(clips as f64);
    }
    of_disk(&status.node.disk);
    gauge!("oxbow_recordings").set(status.open as f64);
    gauge!("oxbow_recordings_failing").set(status.failing as f64);
    counter!("oxbow_recorded_units_total").absolute(status.units);
    counter!("oxbow_recorded_bytes_total").absolute(status.written_bytes);
    counter!("oxbow_recorder_dropped_units_total").absolute(status.dropped_units);
    counter!("oxbow_recorder_dropped_events_total").absolute(status.dropped_events);
}

fn of_disk(disk: &Disk) {
    for (name, bytes) in [
        ("oxbow_journal_bytes", disk.journal_bytes),
        ("oxbow_spool_bytes", disk.spool_bytes),
        ("oxbow_disk_total_bytes", disk.total_bytes),
        ("oxbow_disk_free_bytes", disk.free_bytes),
        ("oxbow_disk_soft_bytes", disk.soft_bytes),
        ("oxbow_disk_hard_bytes", disk.hard_bytes),
    ] {
        gauge!(name).set(bytes as f64);
    }
    for state in DiskState::ALL {
        gauge!("oxbow_disk_state", "state" => state.as_str()).set(f64::from(state == disk.state));
    }
    // as Prometheus writes a time that never comes
    gauge!("oxbow_disk_full_timestamp_seconds").set(disk.full_at_ms.map_or(f64::INFINITY, |at| at as f64 / 1000.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_given_what_is_new() {
        let (mut before, mut now) = (Spans::default(), Spans::default());
        before.classes[1] = 2;
        now.classes[1] = 5;
        now.classes[19] = 1;
        assert_eq!(fresh(before, now).collect::<Vec<_>>(), [(0.0005, 3), (60.0, 1)]);
        assert_eq!(fresh(now, now).count(), 0);
        assert_eq!(fresh(now, before).collect::<Vec<_>>(), [(0.0005, 2)], "after a restart of the shard");
    }
}
