//! Many clips in one request: the same change to all of them, or all of them deleted. Each has its own success or problem; there
//! is no transaction over them, since each lies in a row of its own that others edit as well.

use std::collections::HashSet;

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use storage::Id;
use storage::model::tidy_tags;
use ts_rs::TS;
use utoipa::ToSchema;

use super::extract::Json;
use crate::app::App;
use crate::auth::Streamer;
use crate::clips;
use crate::error::{Code, Error};
use crate::openapi::Problems;
use crate::view::{Clip, ClipEdit, List, Problem};

/// Most clips of one request.
const CLIPS: usize = 100;
/// Somebody else may save between our reading of the tags and our writing; then it is read again, so often.
const ATTEMPTS: u32 = 4;

/// One change to many clips: an edit and tags that are added and removed, or `delete` alone.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct BulkChange {
    /// 1 to 100; one that is named twice counts once.
    #[ts(optional = false)]
    pub ids: Vec<String>,
    pub edit: Option<ClipEdit>,
    pub add_tags: Option<Vec<String>>,
    pub remove_tags: Option<Vec<String>>,
    pub delete: Option<bool>,
}

/// What became of one of them.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct BulkDone {
    pub id: String,
    /// As it is now; null when it was deleted, and when there is a problem.
    pub clip: Option<Clip>,
    /// Null when all went well.
    pub problem: Option<Problem>,
}

enum Work {
    Delete,
    Change { edit: ClipEdit, add: Vec<String>, remove: Vec<String> },
}

#[utoipa::path(
    post,
    path = "/api/clips/bulk",
    summary = "Change or delete many clips",
    request_body = BulkChange,
    responses((status = 200, description = "What became of each", body = List<BulkDone>), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn change(
    State(app): State<App>,
    _: Streamer,
    Json(wanted): Json<BulkChange>,
) -> Result<Answer<List<BulkDone>>, Error> {
    let (ids, work) = wanted.check()?;
    let mut items = Vec::with_capacity(ids.len());
    let mut away: Option<Error> = None;
    for id in ids {
        // What is away answers after seconds: the first that waited for it answers for the others.
        let done = match &away {
            Some(error) => Err(error.clone()),
            None => work.on(&app, &id).await,
        };
        if let Err(error) = &done
            && error.code == Code::Away
        {
            away = Some(error.clone());
        }
        items.push(match done {
            Ok(clip) => BulkDone { id, clip, problem: None },
            Err(error) => BulkDone { id, clip: None, problem: Some(error.problem()) },
        });
    }
    Ok(Answer(List { items }))
}

impl BulkChange {
    fn check(self) -> Result<(Vec<String>, Work), Error> {
        if self.ids.is_empty() || self.ids.len() > CLIPS {
            return Err(Error::invalid(format!("ids names 1 to {CLIPS} clips")));
        }
        let mut seen = HashSet::new();
        let ids = self.ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
        let (add, remove) = (self.add_tags.unwrap_or_default(), self.remove_tags.unwrap_or_default());
        let (add, remove) = (tidy_tags(&add), tidy_tags(&remove));
        let tagged = !add.is_empty() || !remove.is_empty();
        if self.delete == Some(true) {
            if self.edit.is_some() || tagged {
                return Err(Error::invalid("delete stands alone: what is deleted cannot be changed as well"));
            }
            return Ok((ids, Work::Delete));
        }
        let Some(edit) = self.edit.or_else(|| tagged.then(ClipEdit::default)) else {
            return Err(Error::invalid("a change of many clips has an edit, addTags, removeTags or delete"));
        };
        if tagged && edit.tags.is_some() {
            return Err(Error::invalid("tags are either given whole, or added and removed"));
        }
        Ok((ids, Work::Change { edit, add, remove }))
    }
}

impl Work {
    async fn on(&self, app: &App, id: &str) -> Result<Option<Clip>, Error> {
        let id: Id = id.parse().map_err(|_| Error::not_found())?;
        match self {
            Self::Delete => clips::delete(app, &id).await.map(|()| None),
            Self::Change { edit, add, remove } if add.is_empty() && remove.is_empty() => {
                clips::edit(app, &id, edit.clone(), None).await.map(Some)
            }
            Self::Change { edit, add, remove } => retag(app, &id, edit, add, remove).await.map(Some),
        }
    }
}

/// Adds and removes tags, on whatever tags the clip has by then.
async fn retag(app: &App, id: &Id, edit: &ClipEdit, add: &[String], remove: &[String]) -> Result<Clip, Error> {
    let mut attempt = 1;
    loop {
        let clip = clips::locate(app, id).await?.clip;
        let kept = clip.tags.iter().filter(|tag| !remove.contains(tag)).chain(add);
        let tags = tidy_tags(&kept.cloned().collect::<Vec<_>>());
        let edit = ClipEdit { tags: Some(tags), ..edit.clone() };
        match clips::edit(app, id, edit, Some(clip.revision)).await {
            Err(error) if error.code == Code::Conflict && attempt < ATTEMPTS => attempt += 1,
            done => return done,
        }
    }
}
