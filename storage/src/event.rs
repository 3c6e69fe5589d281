//! What is told to programs outside: the kinds of events and what each carries. The log of them is in [`crate::local`],
//! `docs/events.md` is the contract.
//!
//! What an event carries is what was so when it happened. It holds no address, no key and no text without a bound.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{Broadcast, Clip, Disk, DiskState, Id, Reason, StorageError};

/// Longest text of an error or alarm in an event, in characters.
const TEXT_CHARS: usize = 500;

macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident = $name:literal),* $(,)?) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventType {
            $($(#[$about])* $kind),*
        }

        impl EventType {
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),*
                }
            }
        }
    };
}

kinds! {
    /// It is on air.
    BroadcastStarted = "broadcast.started",
    /// Its streamer dropped and is waited for.
    BroadcastInterrupted = "broadcast.interrupted",
    /// Its streamer is back.
    BroadcastResumed = "broadcast.resumed",
    BroadcastEnded = "broadcast.ended",
    /// It is going to be a file: a part of a recording ended, or somebody asked for it.
    ClipCreated = "clip.created",
    /// It can be played. Again when its file had to be made again.
    ClipReady = "clip.ready",
    /// Something it needs did not work; it is tried again.
    ClipDelayed = "clip.delayed",
    /// No file could be made of it.
    ClipFailed = "clip.failed",
    /// Its file is in the store and its row in the database.
    ClipStored = "clip.stored",
    /// Its health was measured and its pictures are made.
    ClipInspected = "clip.inspected",
    /// Somebody changed what is said of it.
    ClipEdited = "clip.edited",
    /// Everybody may see it from now on.
    ClipPublished = "clip.published",
    /// Not everybody may see it any more.
    ClipUnpublished = "clip.unpublished",
    ClipDeleted = "clip.deleted",
    /// Less than the soft watermark is free on the disk.
    StorageLow = "storage.low",
    /// Less than the hard watermark is free: recording has stopped.
    StorageFull = "storage.full",
    /// There is space again.
    StorageOk = "storage.ok",
    /// A recording needs a person.
    AlarmRaised = "alarm.raised",
    /// Somebody tries a webhook.
    WebhookPing = "webhook.ping",
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        let found = Self::ALL.iter().copied().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| StorageError::Invalid(format!("'{text}' is no type of event")))
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One event, in the form in which everybody is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Ids of one log ascend in the order in which its events happened.
    pub id: Id,
    #[serde(rename = "type")]
    pub kind: EventType,
    /// UTC milliseconds at which it was noted.
    #[serde(rename = "at")]
    pub at_ms: i64,
    /// None when it concerns the node.
    pub channel: Option<String>,
    pub broadcast: Option<Id>,
    /// Counts the events of its broadcast from 1, without a hole; those that belong to no broadcast count together.
    pub sequence: u64,
    pub data: Value,
}

/// An event that is about to be noted.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) kind: EventType,
    pub(crate) channel: Option<String>,
    pub(crate) broadcast: Option<Id>,
    pub(crate) data: Value,
}

impl NewEvent {
    pub(crate) fn of_broadcast(kind: EventType, broadcast: &Broadcast) -> Self {
        let data = json!({ "broadcast": {
            "id": broadcast.id,
            "channel": broadcast.channel,
            "title": broadcast.title,
            "startedAt": broadcast.started_at_ms,
            "endedAt": broadcast.ended_at_ms,
            "durationMs": broadcast.duration_ms,
            "recorded": broadcast.recorded,
            "clips": broadcast.clips,
            "reason": broadcast.end_reason,
        } });
        Self { kind, channel: Some(broadcast.channel.clone()), broadcast: Some(broadcast.id.clone()), data }
    }

    pub(crate) fn of_clip(kind: EventType, clip: &Clip) -> Self {
        let data = json!({ "clip": {
            "id": clip.id,
            "broadcast": clip.broadcast,
            "channel": clip.channel,
            "kind": clip.kind.as_str(),
            "part": clip.part,
            "title": clip.title,
            "cause": clip.cause.as_str(),
            "visibility": clip.visibility.as_str(),
            "pinned": clip.pinned,
            "startedAt": clip.started_at_ms,
            "durationMs": clip.duration_ms,
            "mime": clip.mime,
            "video": clip.video,
            "audio": clip.audio,
            "width": clip.width,
            "height": clip.height,
            "size": clip.size,
            "sha256": clip.sha256,
            "lostMs": clip.lost_ms,
            "score": clip.health.as_ref().map(|health| health.score),
            "revision": clip.revision,
        } });
        Self { kind, channel: Some(clip.channel.clone()), broadcast: Some(clip.broadcast.clone()), data }
    }

    pub(crate) fn of_disk(disk: &Disk) -> Self {
        let kind = match disk.state {
            DiskState::Ok => EventType::StorageOk,
            DiskState::Low => EventType::StorageLow,
            DiskState::Full => EventType::StorageFull,
        };
        let data = json!({ "disk": {
            "totalBytes": disk.total_bytes,
            "freeBytes": disk.free_bytes,
            "softBytes": disk.soft_bytes,
            "hardBytes": disk.hard_bytes,
        } });
        Self { kind, channel: None, broadcast: None, data }
    }

    /// `channel` is empty when it concerns the node.
    pub(crate) fn alarm(channel: &str, text: &str) -> Self {
        let channel = Some(channel.to_owned()).filter(|channel| !channel.is_empty());
        Self { kind: EventType::AlarmRaised, channel, broadcast: None, data: json!({ "text": short(text) }) }
    }

    pub(crate) fn ping(webhook: &Id) -> Self {
        Self { kind: EventType::WebhookPing, channel: None, broadcast: None, data: json!({ "webhook": webhook }) }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.data[name] = json!(value);
        self
    }

    #[must_use]
    pub(crate) fn because(self, error: &str) -> Self {
        self.with("error", short(error))
    }

    #[must_use]
    pub(crate) fn for_reason(self, reason: Reason) -> Self {
        self.with("reason", reason.as_str())
    }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_one_spelling() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            let (group, what) = kind.as_str().split_once('.').unwrap();
            assert!([group, what].iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())), "{kind}");
        }
        for text in ["", "clip", "clip.", "Clip.ready", "clip.ready ", "clip.*"] {
            assert!(text.parse::<EventType>().is_err(), "{text}");
        }
    }

    #[test]
    fn texts_are_bounded() {
        let event = NewEvent::alarm("", &"ü".repeat(10_000));
        assert_eq!(event.data["text"].as_str().unwrap().chars().count(), TEXT_CHARS);
        assert_eq!(event.channel, None);
    }
}
