//! What the holder of the key is shown of a node's disk, its stored clips and its outbox: the bodies of `GET /api/storage`
//! and `GET /api/retention`.

use serde::Serialize;
use storage::retention::Plan;
use storage::{ChannelUsage, Keep, NodeStatus, Retention};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::view::ClipState;

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageReport {
    pub disk: DiskReport,
    /// Of all journals, those included whose clips are stored.
    pub journal_bytes: u64,
    /// Of finished clips on their way to the store.
    pub spool_bytes: u64,
    /// Stored clips, by channel; null while the database is away.
    pub channels: Option<Vec<ChannelStorage>>,
    pub outbox: OutboxReport,
    /// What needed somebody's attention lately, oldest first.
    pub alarms: Vec<AlarmReport>,
}

/// The volume of the server's data folder. All zero in the first seconds.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskReport {
    pub total_bytes: u64,
    pub free_bytes: u64,
    /// Below it space is made.
    pub soft_bytes: u64,
    /// Below it nothing is recorded.
    pub hard_bytes: u64,
    pub state: DiskState,
    /// When recording would stop if the disk filled as it does now; null when it does not fill.
    pub full_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskState {
    Ok,
    /// Little is free: journals of stored clips go early.
    Low,
    /// Nothing is recorded until there is space again.
    Full,
}

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStorage {
    pub channel: String,
    pub clips: u64,
    pub bytes: u64,
    /// Those of them that are kept for good, published, or made by somebody.
    pub kept_clips: u64,
    pub kept_bytes: u64,
}

/// Finished clips that are not stored yet.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxReport {
    /// Every state that a clip can wait in, 0 included.
    pub states: Vec<OutboxState>,
    /// When the oldest that waits was made; null when none does.
    pub oldest_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, Serialize, TS, ToSchema)]
pub struct OutboxState {
    pub state: ClipState,
    pub clips: u64,
}

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct AlarmReport {
    pub at: i64,
    /// Null when it concerns the whole server.
    pub channel: Option<String>,
    pub text: String,
}

/// What is kept of stored clips, and what would be deleted now.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionReport {
    /// Of channels that are not named.
    pub keep: KeepReport,
    pub channels: Vec<ChannelKeep>,
    /// How many clips would go, and the bytes of their files.
    pub clips: u64,
    pub bytes: u64,
    /// Oldest first, at most 1000.
    pub items: Vec<Doomed>,
}

/// Null where there is no bound.
#[derive(Clone, Copy, Debug, Serialize, TS, ToSchema)]
pub struct KeepReport {
    pub days: Option<u32>,
    pub bytes: Option<u64>,
}

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct ChannelKeep {
    pub channel: String,
    pub keep: KeepReport,
}

/// A clip that would be deleted.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Doomed {
    pub id: String,
    pub channel: String,
    pub title: String,
    pub started_at: i64,
    pub duration_ms: u64,
    pub size: u64,
    pub why: Why,
    /// Address of the page that plays it.
    pub watch: String,
}

/// Which bound a clip is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    Age,
    Size,
}

impl RetentionReport {
    pub fn new(policy: &Retention, plan: Plan) -> Self {
        let of_rule =
            |(channel, keep): (&String, &Keep)| ChannelKeep { channel: channel.clone(), keep: (*keep).into() };
        let of_clip = |(clip, why): (storage::Clip, storage::retention::Why)| Doomed {
            watch: format!("/c/{}", clip.id),
            id: clip.id.to_string(),
            channel: clip.channel,
            title: clip.title,
            started_at: clip.started_at_ms,
            duration_ms: clip.duration_ms,
            size: clip.size,
            why: match why {
                storage::retention::Why::Age => Why::Age,
                storage::retention::Why::Size => Why::Size,
            },
        };
        Self {
            keep: policy.all.into(),
            channels: policy.channels.iter().map(of_rule).collect(),
            clips: plan.count,
            bytes: plan.bytes,
            items: plan.clips.into_iter().map(of_clip).collect(),
        }
    }
}

impl From<Keep> for KeepReport {
    fn from(Keep { days, bytes }: Keep) -> Self {
        Self { days, bytes }
    }
}

impl StorageReport {
    pub fn new(node: NodeStatus, channels: Option<Vec<ChannelUsage>>, outbox: OutboxReport) -> Self {
        let NodeStatus { disk, alarms } = node;
        let of_alarm = |alarm: storage::Alarm| AlarmReport {
            at: alarm.utc_ms,
            channel: Some(alarm.channel).filter(|channel| !channel.is_empty()),
            text: alarm.text,
        };
        Self {
            journal_bytes: disk.journal_bytes,
            spool_bytes: disk.spool_bytes,
            disk: disk.into(),
            channels: channels.map(|channels| channels.into_iter().map(ChannelStorage::from).collect()),
            outbox,
            alarms: alarms.into_iter().map(of_alarm).collect(),
        }
    }
}

impl From<storage::Disk> for DiskReport {
    fn from(disk: storage::Disk) -> Self {
        Self {
            total_bytes: disk.total_bytes,
            free_bytes: disk.free_bytes,
            soft_bytes: disk.soft_bytes,
            hard_bytes: disk.hard_bytes,
            state: match disk.state {
                storage::DiskState::Ok => DiskState::Ok,
                storage::DiskState::Low => DiskState::Low,
                storage::DiskState::Full => DiskState::Full,
            },
            full_at: disk.full_at_ms,
        }
    }
}

impl From<ChannelUsage> for ChannelStorage {
    fn from(usage: ChannelUsage) -> Self {
        let ChannelUsage { channel, clips, bytes, kept_clips, kept_bytes } = usage;
        Self { channel, clips, bytes, kept_clips, kept_bytes }
    }
}
