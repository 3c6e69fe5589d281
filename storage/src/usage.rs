//! What stored clips take, and which of them nothing but a person deletes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Clip, ClipKind, Visibility};

/// Of the clips of one channel. Bytes are those of their files; posters and descriptions are small beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelUsage {
    pub channel: String,
    pub clips: u64,
    pub bytes: u64,
    /// Those of them that are kept whatever the retention says: see [`Clip::is_kept`].
    pub kept_clips: u64,
    pub kept_bytes: u64,
}

impl Clip {
    /// Kept for good, published, or made by somebody: only a person deletes it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        is_kept(self.pinned, self.visibility, self.kind)
    }
}

fn is_kept(pinned: bool, visibility: Visibility, kind: ClipKind) -> bool {
    pinned || visibility == Visibility::Published || kind == ClipKind::Made
}

/// What of a clip counts, for databases that do not sum by themselves.
#[derive(Deserialize)]
pub(crate) struct Counted {
    channel: String,
    size: u64,
    #[serde(default)]
    kind: ClipKind,
    #[serde(default)]
    visibility: Visibility,
    #[serde(default)]
    pinned: bool,
}

#[derive(Default)]
pub(crate) struct Sums(BTreeMap<String, ChannelUsage>);

impl Sums {
    pub fn add(&mut self, clip: &Counted) {
        let sum = self.0.entry(clip.channel.clone()).or_default();
        sum.clips += 1;
        sum.bytes = sum.bytes.saturating_add(clip.size);
        if is_kept(clip.pinned, clip.visibility, clip.kind) {
            sum.kept_clips += 1;
            sum.kept_bytes = sum.kept_bytes.saturating_add(clip.size);
        }
    }

    pub fn into_usage(self) -> Vec<ChannelUsage> {
        self.0.into_iter().map(|(channel, sum)| ChannelUsage { channel, ..sum }).collect()
    }
}
