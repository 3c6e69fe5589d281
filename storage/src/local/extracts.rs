//! Extracts: files that are made of recordings for whoever asks just now, and that are no clips. They lie in the spool for a while, so
//! that a player can go on asking for ranges of them; a start begins without any.

use std::path::PathBuf;

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::{Local, column, execute, id_column, json_of, of_json, row, rows};
use crate::{Id, Recipe, StorageError};

/// Extracts that may wait to be made. More are refused.
pub const OPEN_EXTRACTS: u32 = 16;
/// One that failed is not tried again within this time.
const FAILED_MS: i64 = 5_000;
/// Whether one is still used is noted this exactly.
const USED_MS: i64 = 15_000;

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFile {
    pub file: PathBuf,
    /// For instance `video/mp4`.
    pub mime: String,
    /// Bytes.
    pub size: u64,
    /// 64 lower-case hex characters.
    pub sha256: String,
    pub duration_ms: u64,
    /// What it shows of the broadcast's timeline.
    pub from_ns: u64,
    pub to_ns: u64,
    /// Its first picture (JPEG), when that is what it was made for ([`Recipe::is_moment`]).
    #[serde(default)]
    pub still: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtractState {
    /// To be made.
    Wanted,
    Made(MadeFile),
    /// Why there is none.
    Failed(String),
}

#[derive(Clone, Debug)]
pub struct Extract {
    pub id: Id,
    pub recipe: Recipe,
    pub state: ExtractState,
    /// UTC milliseconds at which somebody last asked for it, to within a quarter of a minute.
    pub used_ms: i64,
}

impl Local {
    /// Asks for the file of a recipe: the one that is there, or that is being made, or a new one by the name `id`.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a recipe that breaks a rule, [`StorageError::Refused`] when [`OPEN_EXTRACTS`] wait.
    pub async fn want_extract(&self, id: Id, recipe: Recipe, now_ms: i64) -> Result<Extract, StorageError> {
        recipe.check()?;
        self.write(move |t| {
            let text = json_of(&recipe)?;
            let found = row(t, "SELECT * FROM extracts WHERE recipe = ?1", [&text], extract)?;
            if let Some(found) = found {
                let again = matches!(found.state, ExtractState::Failed(_)) && found.used_ms + FAILED_MS <= now_ms;
                if !again && found.used_ms + USED_MS > now_ms {
                    return Ok(found);
                }
                let sql = "UPDATE extracts SET used_ms = ?2, state = iif(?3, 'wanted', state) WHERE id = ?1";
                execute(t, sql, params![found.id.as_str(), now_ms, again])?;
                let state = if again { ExtractState::Wanted } else { found.state };
                return Ok(Extract { used_ms: now_ms, state, ..found });
            }
            let open = "SELECT count(*) AS number FROM extracts WHERE state = 'wanted'";
            let open: Option<u32> = row(t, open, [], |r| column(r, "number"))?;
            if open.unwrap_or_default() >= OPEN_EXTRACTS {
                return Err(StorageError::Refused("too many pieces of recordings were asked for at once".into()));
            }
            let sql = "INSERT INTO extracts (id, recipe, state, used_ms) VALUES (?1, ?2, 'wanted', ?3)";
            execute(t, sql, params![id.as_str(), text, now_ms])?;
            Ok(Extract { id, recipe, state: ExtractState::Wanted, used_ms: now_ms })
        })
        .await
    }

    /// The one of a recipe that is there, or that is being made.
    pub async fn extract_of(&self, recipe: &Recipe) -> Result<Option<Extract>, StorageError> {
        let text = json_of(recipe)?;
        self.read(move |c| row(c, "SELECT * FROM extracts WHERE recipe = ?1", [&text], extract)).await
    }

    pub async fn extract(&self, id: Id) -> Result<Option<Extract>, StorageError> {
        self.read(move |c| row(c, "SELECT * FROM extracts WHERE id = ?1", [id.as_str()], extract)).await
    }

    /// All of them, the one that was used longest ago first.
    pub async fn extracts(&self) -> Result<Vec<Extract>, StorageError> {
        self.read(|c| rows(c, "SELECT * FROM extracts ORDER BY used_ms, id LIMIT 10000", [], extract)).await
    }

    /// Those that are to be made, oldest first.
    pub async fn due_extracts(&self) -> Result<Vec<Extract>, StorageError> {
        let sql = "SELECT * FROM extracts WHERE state = 'wanted' ORDER BY id LIMIT ?1";
        self.read(move |c| rows(c, sql, [OPEN_EXTRACTS], extract)).await
    }

    /// It has a file, or none for this reason. False when nobody knows of it any more.
    pub async fn extract_done(
        &self,
        id: Id,
        made: Result<MadeFile, String>,
        now_ms: i64,
    ) -> Result<bool, StorageError> {
        let sql =
            "UPDATE extracts SET state = ?2, made = ?3, error = ?4, used_ms = ?5 WHERE id = ?1 AND state = 'wanted'";
        self.write(move |t| {
            let (state, file, error) = match &made {
                Ok(file) => ("made", Some(json_of(file)?), None),
                Err(error) => ("failed", None, Some(error)),
            };
            Ok(execute(t, sql, params![id.as_str(), state, file, error, now_ms])? > 0)
        })
        .await
    }

    /// Its file is gone, or is about to be.
    pub async fn forget_extract(&self, id: Id) -> Result<(), StorageError> {
        self.write(move |t| execute(t, "DELETE FROM extracts WHERE id = ?1", [id.as_str()]).map(drop)).await
    }

    /// Nobody waits for any of them after a start.
    pub async fn forget_extracts(&self) -> Result<(), StorageError> {
        self.write(|t| execute(t, "DELETE FROM extracts", []).map(drop)).await
    }
}

fn extract(row: &Row<'_>) -> Result<Extract, StorageError> {
    let text = |name| column::<Option<String>>(row, name);
    let state = match (column::<String>(row, "state")?.as_str(), text("made")?) {
        ("made", Some(made)) => ExtractState::Made(of_json(&made)?),
        ("wanted", _) => ExtractState::Wanted,
        _ => ExtractState::Failed(text("error")?.unwrap_or_default()),
    };
    Ok(Extract {
        id: id_column(row, "id")?,
        recipe: of_json(&column::<String>(row, "recipe")?)?,
        state,
        used_ms: column(row, "used_ms")?,
    })
}
