//! Sidecars: the JSON descriptions beside the objects, from which the database can be rebuilt. What they hold and how a
//! reader finds out, `docs/protocol.md` tells as well.
//!
//! A sidecar is the row as it stands in the database, and a version. Which kind it is, its name and the mark `deleted` say. Those
//! of an older Oxbow lack the version and are read as the first.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Broadcast, Clip, StorageError, Tombstone, key};

/// Of what this program writes, and the newest that it reads.
pub const VERSION: u64 = 1;
/// The type that a sidecar is stored with.
pub const MIME: &str = "application/json";

/// What a sidecar says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sidecar {
    Clip(Box<Clip>),
    /// In place of a deleted clip's.
    Tombstone(Box<Tombstone>),
    Broadcast(Box<Broadcast>),
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u64,
    #[serde(flatten)]
    of: &'a T,
}

impl Sidecar {
    /// Where it lies in the store.
    pub fn key(&self) -> String {
        match self {
            Self::Clip(clip) => clip.key("json"),
            Self::Tombstone(left) => left.sidecar(),
            Self::Broadcast(broadcast) => key::broadcast(&broadcast.channel, &broadcast.id),
        }
    }

    /// # Errors
    /// [`StorageError::Invalid`], which no row of ours brings about.
    pub fn json(&self) -> Result<Bytes, StorageError> {
        match self {
            Self::Clip(clip) => json_of(clip),
            Self::Tombstone(left) => json_of(left),
            Self::Broadcast(broadcast) => json_of(broadcast),
        }
    }

    /// Reads what lies under `key`.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] naming what is wrong with it: no JSON, a newer version, a field that is missing, or that it speaks of
    /// something else than its name does.
    pub fn read(key: &str, bytes: &[u8]) -> Result<Self, StorageError> {
        let corrupt = |why: String| StorageError::Corrupt(why);
        let value: Value = serde_json::from_slice(bytes).map_err(|e| corrupt(format!("it is no JSON: {e}")))?;
        match value.get("version").map(Value::as_u64) {
            None | Some(Some(0..=VERSION)) => {}
            Some(Some(newer)) => {
                return Err(corrupt(format!("it has version {newer}, this program knows {VERSION}")));
            }
            Some(None) => return Err(corrupt("its version is no number".into())),
        }
        let said = if key.ends_with("/broadcast.json") {
            Self::Broadcast(of_value(value)?)
        } else if value.get("deleted") == Some(&Value::Bool(true)) {
            Self::Tombstone(of_value(value)?)
        } else {
            Self::Clip(of_value(value)?)
        };
        match said.key() {
            named if named == key => Ok(said),
            other => Err(corrupt(format!("it speaks of {other}"))),
        }
    }
}

fn json_of(of: &impl Serialize) -> Result<Bytes, StorageError> {
    let json = serde_json::to_vec(&Versioned { version: VERSION, of });
    json.map(Bytes::from).map_err(|error| StorageError::Invalid(error.to_string()))
}

fn of_value<T: for<'de> Deserialize<'de>>(value: Value) -> Result<Box<T>, StorageError> {
    serde_json::from_value(value).map(Box::new).map_err(|error| StorageError::Corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClipKind, Id};

    fn tombstone() -> Tombstone {
        Tombstone {
            id: Id::new(2, 2),
            broadcast: Id::new(1, 1),
            channel: "main".into(),
            part: 7,
            sha256: String::new(),
            continuity: None,
            deleted: true,
            kind: ClipKind::Part,
        }
    }

    fn broadcast() -> Broadcast {
        Broadcast {
            id: Id::new(1, 1),
            channel: "main".into(),
            title: "main".into(),
            started_at_ms: 1,
            ended_at_ms: None,
            clips: 3,
            duration_ms: 4,
            recorded: true,
            end_reason: None,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for sidecar in [Sidecar::Tombstone(Box::new(tombstone())), Sidecar::Broadcast(Box::new(broadcast()))] {
            let json = sidecar.json().unwrap();
            assert!(String::from_utf8_lossy(&json).starts_with(r#"{"version":1,"#));
            assert_eq!(Sidecar::read(&sidecar.key(), &json), Ok(sidecar));
        }
    }

    #[test]
    fn one_without_a_version_is_an_old_one() {
        let json = serde_json::to_vec(&tombstone()).unwrap();
        let sidecar = Sidecar::Tombstone(Box::new(tombstone()));
        assert_eq!(Sidecar::read(&sidecar.key(), &json), Ok(sidecar));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let sidecar = Sidecar::Broadcast(Box::new(broadcast()));
        let (key, json) = (sidecar.key(), String::from_utf8(sidecar.json().unwrap().to_vec()).unwrap());
        let elsewhere = key::broadcast("other", &Id::new(1, 1));
        for (key, json, why) in [
            (&key, "", "no JSON"),
            (&key, &json[..json.len() - 1], "no JSON"),
            (&key, "{}", "missing field"),
            (&key, "[]", "invalid"),
            (&key, &json.replace(r#""version":1"#, r#""version":2"#), "version 2"),
            (&key, &json.replace(r#""version":1"#, r#""version":"x""#), "no number"),
            (&elsewhere, &json, "speaks of main/"),
        ] {
            let error = Sidecar::read(key, json.as_bytes()).unwrap_err();
            assert!(matches!(&error, StorageError::Corrupt(said) if said.contains(why)), "{why}: {error}");
        }
    }
}
