//! Figures for /metrics that somebody has to fetch: the media plane's, the recorder's, the state of the stores.
//!
//! They are fetched every two seconds whoever scrapes, so that a scrape costs nothing but its text.

use std::time::Duration;

use media::message::ShardStats;
use metrics::{counter, gauge};
use recorder::RecorderStatus;
use shard::MediaPlane;
use storage::{Health, StoreStatus};
use tokio::sync::watch;

const EVERY: Duration = Duration::from_secs(2);

/// Never returns.
pub async fn collect(plane: MediaPlane, recorder: watch::Receiver<RecorderStatus>, health: Health) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        of_plane(&plane.stats().await);
        of_recorder(&recorder.borrow());
        for (part, status) in [("storage", health.objects()), ("database", health.database())] {
            gauge!("oxbow_part_up", "part" => part).set(f64::from(matches!(status, StoreStatus::Here { .. })));
        }
    }
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
    gauge!("oxbow_journal_bytes").set(status.journal_bytes as f64);
    gauge!("oxbow_disk_free_bytes").set(status.disk_free_bytes as f64);
    gauge!("oxbow_recordings").set(status.open as f64);
    gauge!("oxbow_recordings_failing").set(status.failing as f64);
    counter!("oxbow_recorded_units_total").absolute(status.units);
    counter!("oxbow_recorded_bytes_total").absolute(status.written_bytes);
    counter!("oxbow_recorder_dropped_units_total").absolute(status.dropped_units);
    counter!("oxbow_recorder_dropped_events_total").absolute(status.dropped_events);
}
