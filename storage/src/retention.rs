//! Which stored clips go, and why: by age and by size, for each channel. What people keep for good, publish or make themselves never
//! goes this way ([`Clip::is_kept`]), nor does what is not stored yet.
//!
//! The preview is the plan and the run carries out a plan, so that one shows what the other does.

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;

use crate::local::{ClipState, DeletedBy};
use crate::model::PAGE_ROWS;
use crate::{Clip, ClipKind, ClipQuery, Database, Id, Local, StorageError};

/// Most clips that one plan names; the rest is counted, and named by the next.
pub const PLAN_CLIPS: usize = 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;
const MEGABYTE: u64 = 1_000_000;
const GIGABYTE: u64 = 1_000_000_000;

/// What is kept of one channel. None: no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Days since a clip began.
    pub days: Option<u32>,
    /// Of all clips that may go; those that are kept anyway do not count.
    pub bytes: Option<u64>,
}

/// What is kept of all channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Of channels that are not named.
    pub all: Keep,
    pub channels: BTreeMap<String, Keep>,
}

/// Why a text is no [`Keep`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is kept is days (30d), a size (50GB, 500MB), both (30d/50GB), or all")]
pub struct KeepError;

impl FromStr for Keep {
    type Err = KeepError;

    fn from_str(text: &str) -> Result<Self, KeepError> {
        let mut keep = Self::default();
        if text == "all" {
            return Ok(keep);
        }
        for part in text.split('/') {
            let number = |digits: &str| digits.parse::<u64>().ok().filter(|n| *n > 0);
            if let Some(days) = part.strip_suffix('d') {
                let days = number(days).and_then(|n| u32::try_from(n).ok()).filter(|_| keep.days.is_none());
                keep.days = Some(days.ok_or(KeepError)?);
            } else {
                let sized = [("GB", GIGABYTE), ("MB", MEGABYTE)].into_iter().find_map(|(unit, bytes)| {
                    number(part.strip_suffix(unit)?)?.checked_mul(bytes).filter(|bytes| i64::try_from(*bytes).is_ok())
                });
                keep.bytes = Some(sized.filter(|_| keep.bytes.is_none()).ok_or(KeepError)?);
            }
        }
        Ok(keep)
    }
}

impl Retention {
    /// Whether all is kept.
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        [&self.all].into_iter().chain(self.channels.values()).all(|keep| *keep == Keep::default())
    }

    #[must_use]
    pub fn of(&self, channel: &str) -> Keep {
        self.channels.get(channel).copied().unwrap_or(self.all)
    }
}

/// Which bound a clip is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Age,
    Size,
}

/// What would go now.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Oldest first; at most [`PLAN_CLIPS`].
    pub clips: Vec<(Clip, Why)>,
    /// All there are, those among them that are not named.
    pub count: u64,
    /// Of their files.
    pub bytes: u64,
}

/// What the policy has go at this time.
///
/// # Errors
/// Away, Refused or Corrupt.
pub async fn plan(policy: &Retention, database: &Database, local: &Local, now_ms: i64) -> Result<Plan, StorageError> {
    let mut plan = Plan::default();
    if policy.keeps_all() {
        return Ok(plan);
    }
    for usage in database.usage().await? {
        let keep = policy.of(&usage.channel);
        let oldest_ms = keep.days.map(|days| now_ms - i64::from(days) * DAY_MS);
        let most = keep.bytes.filter(|most| usage.bytes.saturating_sub(usage.kept_bytes) > *most);
        let of_channel = of_channel(&usage.channel, oldest_ms, most, database, local).await?;
        plan.count += of_channel.count;
        plan.bytes += of_channel.bytes;
        plan.clips.extend(of_channel.clips);
    }
    plan.clips.sort_by(|(a, _), (b, _)| (a.started_at_ms, &a.id).cmp(&(b.started_at_ms, &b.id)));
    plan.clips.truncate(PLAN_CLIPS);
    Ok(plan)
}

/// Walks from the newest to the oldest: what lies beyond a bound goes.
async fn of_channel(
    channel: &str,
    oldest_ms: Option<i64>,
    most: Option<u64>,
    database: &Database,
    local: &Local,
) -> Result<Plan, StorageError> {
    let mut plan = Plan::default();
    if oldest_ms.is_none() && most.is_none() {
        return Ok(plan);
    }
    // where only age counts, what is young enough need not be looked at
    let to_ms = if most.is_none() { oldest_ms } else { None };
    let mut query = ClipQuery {
        channel: Some(channel.to_owned()),
        kind: Some(ClipKind::Part),
        pinned: Some(false),
        to_ms,
        limit: PAGE_ROWS,
        ..ClipQuery::default()
    };
    let mut oldest: VecDeque<(Clip, Why)> = VecDeque::new();
    let mut kept_bytes = 0_u64;
    loop {
        let page = database.clips(&query).await?;
        for clip in page.items.into_iter().filter(|clip| !clip.is_kept()) {
            let old = oldest_ms.is_some_and(|oldest| clip.started_at_ms < oldest);
            let after = kept_bytes.saturating_add(clip.size);
            let why = match most {
                _ if old => Why::Age,
                Some(most) if after > most => Why::Size,
                _ => {
                    kept_bytes = after;
                    continue;
                }
            };
            // nothing older fits where this one did not
            kept_bytes = after;
            if is_on_its_way(local, &clip.id).await? {
                continue;
            }
            plan.count += 1;
            plan.bytes = plan.bytes.saturating_add(clip.size);
            oldest.push_front((clip, why));
            oldest.truncate(PLAN_CLIPS);
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            plan.clips = oldest.into();
            return Ok(plan);
        }
    }
}

/// In the database already, but the outbox has not finished with it, or somebody is deleting it.
async fn is_on_its_way(local: &Local, id: &Id) -> Result<bool, StorageError> {
    let row = local.local_clip(id.clone()).await?;
    Ok(row.is_some_and(|row| row.state != ClipState::Stored || row.deleted))
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    pub clips: u64,
    pub bytes: u64,
}

/// Deletes what a plan names, as a person would. What somebody changed since is left to the next plan.
///
/// # Errors
/// Away, Refused or Corrupt; what is deleted by then stays so.
pub async fn carry_out(plan: Plan, database: &Database, local: &Local) -> Result<Gone, StorageError> {
    let mut gone = Gone::default();
    for (planned, _) in plan.clips {
        let now = database.clip(&planned.id).await?;
        if now.is_some_and(|now| now.revision == planned.revision && !now.is_kept())
            && delete_clip(database, local, &planned.id, DeletedBy::Retention).await?
        {
            gone = Gone { clips: gone.clips + 1, bytes: gone.bytes.saturating_add(planned.size) };
        }
    }
    Ok(gone)
}

/// Deletes a clip wherever it is. The row goes at once; the objects go by the outbox, which tries until the store confirms. False when
/// there is no such clip.
///
/// # Errors
/// Away, Refused or Corrupt.
pub async fn delete_clip(database: &Database, local: &Local, id: &Id, by: DeletedBy) -> Result<bool, StorageError> {
    if local.delete_pending(id.clone()).await?.is_some() {
        return Ok(true);
    }
    let Some(clip) = database.clip(id).await? else { return Ok(false) };
    // Noted before the row goes: it is the last that names them.
    local.remove_clip_by(clip, by).await?;
    database.delete_clip(id).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_one_spelling() {
        let keep = |days, bytes| Ok(Keep { days, bytes });
        for (text, read) in [
            ("all", keep(None, None)),
            ("30d", keep(Some(30), None)),
            ("50GB", keep(None, Some(50 * GIGABYTE))),
            ("30d/500MB", keep(Some(30), Some(500 * MEGABYTE))),
            ("500MB/30d", keep(Some(30), Some(500 * MEGABYTE))),
        ] {
            assert_eq!(text.parse::<Keep>(), read, "{text}");
        }
        for text in ["", "0d", "d", "30", "30d/", "30d/7d", "1GB/1GB", "50gb", "-1d", "99999999999GB", "5000000000d"] {
            assert_eq!(text.parse::<Keep>(), Err(KeepError), "{text}");
        }
    }
}
