//! Journals whose header is damaged get it back before anything else is read, since every later step begins with a header: which part a file is
//! tells its name, the rest the job table, the parts beside it and, if that is not enough, the database.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use journal::{Header, Hints, OpenError};
use media::id::{BroadcastId, ChannelName};
use storage::local::LocalClip;
use storage::{Broadcast, Id};

use crate::desk::Desk;
use crate::recovery::blocking;
use crate::{RecorderError, house, ledger};

/// The parts that have their header back. What cannot be restored stays as it is: it is named where it is met.
pub(crate) async fn headers(desk: &Desk, rows: &BTreeMap<Id, LocalClip>) -> Result<BTreeSet<PathBuf>, RecorderError> {
    let root = desk.config.journals();
    let looked = blocking(move || look(&root)).await;
    let (mut whole, damaged) =
        looked.map_err(|source| RecorderError::Folder { path: desk.config.journals(), source })?;
    let mut restored = BTreeSet::new();
    for path in damaged {
        let Some((broadcast, part, clip)) = journal::part_of(&path) else { continue };
        let hints = Hints {
            broadcast,
            part,
            clip,
            channels: Vec::new(),
            media_zero_utc_us: Vec::new(),
            opened_utc_us: Vec::new(),
        };
        let hints = gather(desk, rows, whole.get(&broadcast), hints).await?;
        let file = path.clone();
        match blocking(move || journal::restore(&file, &hints)).await {
            Ok(header) => {
                let text = format!("the header of a journal was damaged and is restored: {}", path.display());
                desk.alarm(header.channel.as_str(), text);
                whole.entry(broadcast).or_insert(header);
                let begun = path.extension().is_some_and(|extension| extension == journal::BEGUN);
                restored.insert(if begun { path.with_extension("") } else { path });
            }
            Err(error) => tracing::warn!(%error, "a journal stays as it is"),
        }
    }
    Ok(restored)
}

/// One header of each broadcast that is whole, and the files that have none.
fn look(root: &Path) -> std::io::Result<(BTreeMap<BroadcastId, Header>, Vec<PathBuf>)> {
    let (mut whole, mut damaged) = (BTreeMap::new(), Vec::new());
    for path in house::written_in(root)? {
        match journal::header_of(&path) {
            Ok(header) => drop(whole.entry(header.broadcast).or_insert(header)),
            Err(OpenError::Header { .. }) => damaged.push(path),
            Err(OpenError::Io { .. }) => {} // who reads it says so
        }
    }
    Ok((whole, damaged))
}

/// What this node knows, and the database where that is not enough.
async fn gather(
    desk: &Desk,
    rows: &BTreeMap<Id, LocalClip>,
    beside: Option<&Header>,
    mut hints: Hints,
) -> Result<Hints, RecorderError> {
    let clip = hints.clip.to_string().parse::<Id>().ok().and_then(|id| rows.get(&id));
    if let Some(row) = clip {
        hints.channels.extend(row.channel.parse::<ChannelName>());
        hints.opened_utc_us.extend(within_ms(row.created_ms));
    }
    if let Some(header) = beside {
        hints.channels.push(header.channel.clone());
        hints.media_zero_utc_us.push(header.media_zero_utc_us..=header.media_zero_utc_us);
    }
    let id = ledger::id(hints.broadcast)?;
    if let Some(broadcast) = desk.stores.local.local_broadcast(id.clone()).await? {
        learn(&mut hints, &broadcast);
    }
    if hints.channels.is_empty() || hints.media_zero_utc_us.is_empty() {
        match desk.stores.database.broadcast(&id).await {
            Ok(broadcast) => broadcast.iter().for_each(|broadcast| learn(&mut hints, broadcast)),
            Err(error) => tracing::warn!(%error, "the database was not asked what a damaged journal is of"),
        }
    }
    Ok(hints)
}

fn learn(hints: &mut Hints, broadcast: &Broadcast) {
    hints.channels.extend(broadcast.channel.parse::<ChannelName>());
    hints.media_zero_utc_us.extend(within_ms(broadcast.started_at_ms));
}

/// Rows have milliseconds where headers have microseconds.
fn within_ms(ms: i64) -> Option<RangeInclusive<u64>> {
    let from_us = u64::try_from(ms).ok()?.checked_mul(1000)?;
    Some(from_us..=from_us.checked_add(999)?)
}
