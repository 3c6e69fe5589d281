//! The database: what people look up. Clips and broadcasts, in SQLite or MongoDB, behind one domain-level door.
//!
//! Writes are idempotent, so an outbox may repeat them: a clip inserted twice is there once, a deleted one never comes back,
//! an ended broadcast never un-ends. The contents can be rebuilt from the objects' sidecars.
//!
//! What does not belong here: jobs and the outbox (`local`), accounts, and any query language.

mod cursor;
mod mongo;
mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;

pub use self::mongo::MongoConfig;
use crate::clock::utc_ms;
use crate::model::{self, PAGE_ROWS, TITLE_CHARS};
use crate::{
    Broadcast, BroadcastQuery, ChannelUsage, Clip, ClipEdit, ClipFacts, ClipQuery, Id, Page, Recipe, StorageError,
    Tombstone, continuity, key,
};

/// The door. Clones share one database.
#[derive(Clone, Debug)]
pub struct Database(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Sqlite(sqlite::Sqlite),
    Mongo(Box<mongo::Mongo>),
}

/// What [`Database::restore_clip`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restored {
    /// It was not there.
    Added,
    /// An older revision of it was there.
    Updated,
    /// It is there, as new or newer.
    Kept,
    /// It was deleted, and stays so.
    Buried,
}

/// Sends a call to the back end. The futures of the driver are deep; boxed here, they stay out of the callers' own.
macro_rules! call {
    ($self:ident . $method:ident ( $($argument:expr),* )) => {
        match &*$self.0 {
            Kind::Sqlite(back) => back.$method($($argument),*).await,
            Kind::Mongo(back) => back.$method($($argument),*).boxed().await,
        }
    };
}

impl Database {
    /// A file, created with its folders by the first call that needs it.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Kind::Sqlite(sqlite::Sqlite::new(path.into()))))
    }

    /// A server. The first call connects.
    pub fn mongo(config: MongoConfig) -> Self {
        Self(Arc::new(Kind::Mongo(Box::new(mongo::Mongo::new(config)))))
    }

    /// `"sqlite"` or `"mongo"`.
    pub fn kind(&self) -> &'static str {
        match &*self.0 {
            Kind::Sqlite(_) => "sqlite",
            Kind::Mongo(_) => "mongo",
        }
    }

    /// Whether it answers; creates indexes that are missing.
    ///
    /// # Errors
    /// Away or Refused.
    pub async fn ping(&self) -> Result<(), StorageError> {
        call!(self.ping())
    }

    /// Adds a clip. Nothing happens when its id is there already or was deleted.
    ///
    /// # Errors
    /// Invalid when a field is out of bounds; Away or Refused.
    pub async fn insert_clip(&self, clip: &Clip) -> Result<(), StorageError> {
        check_clip(clip)?;
        call!(self.insert_clip(clip))
    }

    /// # Errors
    /// Away, Refused or Corrupt.
    pub async fn clip(&self, id: &Id) -> Result<Option<Clip>, StorageError> {
        call!(self.clip(id))
    }

    /// # Errors
    /// Invalid when the query is; Away, Refused or Corrupt.
    pub async fn clips(&self, query: &ClipQuery) -> Result<Page<Clip>, StorageError> {
        check_limit(query.limit)?;
        check_filter("channel", query.channel.as_deref())?;
        check_filter("text", query.text.as_deref())?;
        query.tag.as_deref().map_or(Ok(()), model::check_tag)?;
        let after = query.cursor.as_deref().map(str::parse).transpose()?;
        let rows = call!(self.clips(query, after))?;
        Ok(page(rows, query.limit, |clip| (clip.started_at_ms, &clip.id)))
    }

    /// Changes what people say about a clip and returns it as it is then, its revision one higher.
    ///
    /// # Errors
    /// NotFound; Conflict when `if_revision` is given and is not the clip's revision; Invalid for what [`ClipEdit::check`] refuses or
    /// a poster that the clip does not have; Away, Refused or Corrupt.
    pub async fn edit_clip(&self, id: &Id, edit: &ClipEdit, if_revision: Option<u32>) -> Result<Clip, StorageError> {
        edit.check()?;
        let (edit, now_ms) = (edit.clone(), utc_ms() as i64);
        let change = move |clip: &mut Clip| {
            edit.apply(clip, now_ms)?;
            clip.revision += 1;
            Ok(())
        };
        call!(self.change_clip(id, if_revision, change))
    }

    /// Notes what was measured of a clip and returns it as it is then.
    ///
    /// # Errors
    /// NotFound; Invalid for what [`ClipFacts::check`] refuses; Away, Refused or Corrupt.
    pub async fn note_facts(&self, id: &Id, facts: &ClipFacts) -> Result<Clip, StorageError> {
        facts.check()?;
        let facts = facts.clone();
        let change = move |clip: &mut Clip| {
            clip.note(facts.clone());
            Ok(())
        };
        call!(self.change_clip(id, None, change))
    }

    /// Brings a clip to the state that somebody else knows, unless the one that is here was edited more often: what people say about
    /// it, and facts that are missing here.
    ///
    /// # Errors
    /// NotFound; Invalid when a field is out of bounds; Away, Refused or Corrupt.
    pub async fn revise_clip(&self, newer: &Clip) -> Result<Clip, StorageError> {
        check_clip(newer)?;
        let (id, newer) = (newer.id.clone(), newer.clone());
        let change = move |clip: &mut Clip| {
            *clip = if newer.revision < clip.revision { clip.clone() } else { newer.clone().with_facts_of(clip) };
            Ok(())
        };
        call!(self.change_clip(&id, None, change))
    }

    /// Deletes the row for ever, but for its [`Tombstone`], and returns what it was, so that its objects can be deleted next; none when there is no such
    /// clip (any more).
    ///
    /// # Errors
    /// Away, Refused or Corrupt.
    pub async fn delete_clip(&self, id: &Id) -> Result<Option<Clip>, StorageError> {
        call!(self.delete_clip(id))
    }

    /// A clip was deleted before it came here: it never will, and its place in the chain is known. One that is here goes.
    ///
    /// # Errors
    /// Away or Refused.
    pub async fn bury(&self, tombstone: &Tombstone) -> Result<(), StorageError> {
        call!(self.bury(tombstone))
    }

    /// What is left of deleted clips, in no order. Those that an older Oxbow deleted left nothing.
    ///
    /// # Errors
    /// Away, Refused or Corrupt.
    pub async fn tombstones(&self) -> Result<Vec<Tombstone>, StorageError> {
        call!(self.tombstones())
    }

    /// What the clips of each channel take, in the order of their names.
    ///
    /// # Errors
    /// Away, Refused or Corrupt.
    pub async fn usage(&self) -> Result<Vec<ChannelUsage>, StorageError> {
        let mut usage = call!(self.usage())?;
        usage.sort_by(|a, b| a.channel.cmp(&b.channel));
        Ok(usage)
    }

    /// What is left of one deleted clip.
    ///
    /// # Errors
    /// Away, Refused or Corrupt.
    pub async fn tombstone(&self, id: &Id) -> Result<Option<Tombstone>, StorageError> {
        call!(self.tombstone(id))
    }

    /// Puts a clip back as its sidecar describes it, unless it was deleted. One that is here stays, but for edits and facts that it
    /// lacks.
    ///
    /// # Errors
    /// Invalid when a field is out of bounds; Away or Refused.
    pub async fn restore_clip(&self, clip: &Clip) -> Result<Restored, StorageError> {
        let Some(there) = self.clip(&clip.id).await? else {
            self.insert_clip(clip).await?;
            let added = self.clip(&clip.id).await?.is_some();
            return Ok(if added { Restored::Added } else { Restored::Buried });
        };
        if restored(there.clone(), clip) == there {
            return Ok(Restored::Kept);
        }
        let described = clip.clone();
        let change = move |clip: &mut Clip| {
            *clip = restored(clip.clone(), &described);
            Ok(())
        };
        match call!(self.change_clip(&clip.id, None, change)) {
            Ok(_) => Ok(Restored::Updated),
            Err(StorageError::NotFound) => Ok(Restored::Buried),
            Err(error) => Err(error),
        }
    }

    /// Adds a broadcast or brings it up to date. An open one that arrives after its end changes nothing; counts and durations
    /// never shrink.
    ///
    /// # Errors
    /// Invalid when a field is out of bounds; Away or Refused.
    pub async fn upsert_broadcast(&self, broadcast: &Broadcast) -> Result<(), StorageError> {
        check_broadcast(broadcast)?;
        call!(self.upsert_broadcast(broadcast))
    }

    /// # Errors
    /// Away, Refused or Corrupt.
    pub async fn broadcast(&self, id: &Id) -> Result<Option<Broadcast>, StorageError> {
        call!(self.broadcast(id))
    }

    /// # Errors
    /// Invalid when the query is; Away, Refused or Corrupt.
    pub async fn broadcasts(&self, query: &BroadcastQuery) -> Result<Page<Broadcast>, StorageError> {
        check_limit(query.limit)?;
        check_filter("channel", query.channel.as_deref())?;
        let after = query.cursor.as_deref().map(str::parse).transpose()?;
        let rows = call!(self.broadcasts(query, after))?;
        Ok(page(rows, query.limit, |broadcast| (broadcast.started_at_ms, &broadcast.id)))
    }
}

/// A row that is there, and what its sidecar knows more.
fn restored(there: Clip, described: &Clip) -> Clip {
    if described.revision > there.revision {
        described.clone().with_facts_of(&there)
    } else {
        there.with_facts_of(described)
    }
}

/// Back ends return up to one row more than a page holds, to say that there is more.
fn page<T>(mut rows: Vec<T>, limit: u32, place: impl Fn(&T) -> (i64, &Id)) -> Page<T> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last = rows.last().filter(|_| more).map(|row| {
        let (started_at_ms, id) = place(row);
        cursor::Cursor { started_at_ms, id: id.clone() }.to_string()
    });
    Page { items: rows, next: last }
}

/// The form in which titles are searched: upper and lower case alike in all scripts, in both databases.
fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn check_limit(limit: u32) -> Result<(), StorageError> {
    if (1..=PAGE_ROWS).contains(&limit) {
        Ok(())
    } else {
        Err(StorageError::Invalid(format!("a page has 1 to {PAGE_ROWS} rows")))
    }
}

fn check_filter(name: &str, text: Option<&str>) -> Result<(), StorageError> {
    match text {
        Some(text) => check_text(name, text, TITLE_CHARS),
        None => Ok(()),
    }
}

fn check_text(name: &str, text: &str, chars: usize) -> Result<(), StorageError> {
    if text.chars().count() > chars || text.chars().any(char::is_control) {
        return Err(StorageError::Invalid(format!(
            "{name} has at most {chars} characters, none of them a control character"
        )));
    }
    Ok(())
}

fn check_number(name: &str, number: u64) -> Result<(), StorageError> {
    if i64::try_from(number).is_err() {
        return Err(StorageError::Invalid(format!("{name} is too large")));
    }
    Ok(())
}

fn check_clip(clip: &Clip) -> Result<(), StorageError> {
    check_text("the title", &clip.title, TITLE_CHARS)?;
    check_text("the channel", &clip.channel, 64)?;
    check_text("the type", &clip.mime, 100)?;
    check_text("the codec", clip.video.as_deref().unwrap_or_default(), 32)?;
    check_text("the codec", clip.audio.as_deref().unwrap_or_default(), 32)?;
    check_text("the hash", &clip.sha256, 64)?;
    key::check(&clip.object)?;
    clip.poster.as_deref().map_or(Ok(()), key::check)?;
    clip.continuity.as_ref().map_or(Ok(()), continuity::check)?;
    model::check_description(&clip.description)?;
    model::check_tags(&clip.tags)?;
    model::check_links(&clip.links)?;
    clip.recipe.as_ref().map_or(Ok(()), Recipe::check)?;
    clip.facts().check()?;
    for (name, number) in [
        ("duration_ms", clip.duration_ms),
        ("from_ns", clip.from_ns),
        ("to_ns", clip.to_ns),
        ("frames", clip.frames),
        ("packets", clip.packets),
        ("size", clip.size),
        ("lost_ms", clip.lost_ms),
    ] {
        check_number(name, number)?;
    }
    Ok(())
}

fn check_broadcast(broadcast: &Broadcast) -> Result<(), StorageError> {
    check_text("the title", &broadcast.title, TITLE_CHARS)?;
    check_text("the channel", &broadcast.channel, 64)?;
    check_text("the reason", broadcast.end_reason.as_deref().unwrap_or_default(), 100)?;
    check_number("duration_ms", broadcast.duration_ms)
}
