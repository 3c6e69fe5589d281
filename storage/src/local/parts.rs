//! The journals of a broadcast that are on this node.

use std::path::PathBuf;

use rusqlite::params;

use super::{Local, column, rows};
use crate::{Id, StorageError};

/// Most parts that are told of.
const PARTS: u32 = 10_000;

/// A part whose journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPart {
    /// 0 for the first of the broadcast.
    pub part: u32,
    pub journal: PathBuf,
    /// It grows.
    pub open: bool,
}

impl Local {
    /// The parts of a broadcast whose journals are kept, in order; those of deleted clips are not among them. The newest 10 000.
    pub async fn kept_parts(&self, broadcast: Id) -> Result<Vec<KeptPart>, StorageError> {
        let sql = "SELECT part, journal, state = 'recording' AS open FROM clips
                   WHERE broadcast = ?1 AND deleted = 0 AND journal <> '' ORDER BY part DESC LIMIT ?2";
        let mut found = self
            .read(move |c| {
                rows(c, sql, params![broadcast.as_str(), PARTS], |r| {
                    let journal = PathBuf::from(column::<String>(r, "journal")?);
                    Ok(KeptPart { part: column(r, "part")?, journal, open: column(r, "open")? })
                })
            })
            .await?;
        found.reverse();
        Ok(found)
    }
}
