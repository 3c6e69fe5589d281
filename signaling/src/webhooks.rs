//! Webhooks as the holder of the key sees them: the bodies of `/api/webhooks`. What is sent to them, and when, is not decided here: it is
//! rows of the local job table.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use storage::local::{self, Waiting};
use storage::{EventType, Id, Secret, StorageError};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::app::{App, new_id, now_ms};
use crate::error::{Code, Error};

/// Deliveries that are shown.
pub const SHOWN: u32 = 50;
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// How long an old secret signs as well unless asked otherwise, hours, and at most.
const KEEP_HOURS: u32 = 24;
const MOST_KEEP_HOURS: u32 = 7 * 24;

/// An address that is told of events.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub id: String,
    pub url: String,
    pub description: String,
    /// Types of events that it is told of; empty: all.
    pub types: Vec<String>,
    /// Channels whose events it is told of; empty: all, and what concerns the server.
    pub channels: Vec<String>,
    pub state: WebhookState,
    pub created_at: i64,
    /// Until when its former secret signs as well; null when there is none.
    pub old_secret_until: Option<i64>,
    /// Deliveries that wait, and the time of the oldest event among them.
    pub waiting: u64,
    pub oldest_waiting_at: Option<i64>,
    /// What was tried last.
    pub last: Option<Delivery>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookState {
    Active,
    /// What happens waits until it is made active.
    Paused,
    /// Its receiver answered 410. Nothing waits for it.
    Disabled,
}

/// A webhook to be made.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewWebhook {
    /// `http` or `https`.
    #[schema(max_length = 2000)]
    pub url: String,
    #[serde(default)]
    #[schema(max_length = 200)]
    #[ts(optional, as = "Option<String>")]
    pub description: String,
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub types: Vec<String>,
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub channels: Vec<String>,
}

/// A change of a webhook; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct WebhookEdit {
    #[schema(max_length = 2000)]
    pub url: Option<String>,
    #[schema(max_length = 200)]
    pub description: Option<String>,
    pub types: Option<Vec<String>>,
    pub channels: Option<Vec<String>>,
    /// `active` or `paused`.
    pub state: Option<WebhookState>,
}

/// A secret, shown this once.
#[derive(Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSecret {
    pub webhook: Webhook,
    /// `whsec_` and base64.
    pub secret: String,
}

/// Asks for a new secret.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct NewSecret {
    /// How long the former one signs as well, hours; a day unless said otherwise, at most a week.
    #[schema(maximum = 168)]
    pub keep_hours: Option<u32>,
}

/// One event for one webhook, and what became of it.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub event: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub channel: Option<String>,
    pub broadcast: Option<String>,
    pub sequence: u64,
    pub state: DeliveryState,
    pub attempts: u32,
    /// When it was tried last, or given up.
    pub tried_at: Option<i64>,
    /// Of the last answer; null when there was none.
    pub status: Option<u16>,
    /// How long that took.
    pub took_ms: u64,
    /// Why it was no delivery.
    pub reason: Option<String>,
    /// When it is tried next; null when it is not, or when it is due now.
    pub next_try_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    Waiting,
    Delivered,
    Failed,
}

/// Which events are told again: one of these.
#[derive(Clone, Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ReplayWanted {
    /// This one alone.
    pub event: Option<String>,
    /// This one and all after it.
    pub from_id: Option<String>,
    /// All since this moment, UTC milliseconds.
    #[schema(minimum = 0)]
    pub since: Option<i64>,
    /// All of this broadcast.
    pub broadcast: Option<String>,
}

/// What is told again.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    pub events: u64,
    /// The `fromId` of the next call when there are more; null when there are not.
    pub next: Option<String>,
}

/// The event that tries a webhook.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pinged {
    pub event: String,
}

/// Types of events by their names.
///
/// # Errors
/// `invalid` naming the first that is none.
pub fn kinds(names: &[String]) -> Result<Vec<EventType>, Error> {
    let mut kinds = Vec::new();
    for name in names {
        let kind: EventType = name.parse()?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

fn channels(names: Vec<String>) -> Result<Vec<String>, Error> {
    let mut channels: Vec<String> = Vec::new();
    for name in names {
        let name: media::id::ChannelName =
            name.parse().map_err(|error: media::id::IdError| Error::invalid(error.to_string()))?;
        if !channels.iter().any(|known| *known == name.as_str()) {
            channels.push(name.to_string());
        }
    }
    Ok(channels)
}

fn fresh_secret() -> Secret {
    Secret::new(format!("whsec_{}", STANDARD.encode(rand::random::<[u8; SECRET_BYTES]>())))
}

/// All of them, oldest first.
///
/// # Errors
/// `internal` when the local job table cannot be read.
pub async fn list(app: &App) -> Result<Vec<Webhook>, Error> {
    let mut waiting: HashMap<Id, Waiting> = app.local().waiting_deliveries().await?.into_iter().collect();
    let mut items = Vec::new();
    for webhook in app.local().webhooks().await? {
        let waiting = waiting.remove(&webhook.id).unwrap_or_default();
        items.push(shown(app, webhook, waiting).await?);
    }
    Ok(items)
}

/// # Errors
/// `not_found`.
pub async fn read(app: &App, id: &Id) -> Result<Webhook, Error> {
    let webhook = app.local().webhook(id.clone()).await?.ok_or_else(Error::not_found)?;
    of(app, webhook).await
}

/// # Errors
/// `invalid`, `full`.
pub async fn create(app: &App, wanted: NewWebhook) -> Result<WebhookSecret, Error> {
    let secret = fresh_secret();
    let webhook = local::Webhook {
        id: new_id(),
        url: wanted.url,
        description: wanted.description,
        kinds: kinds(&wanted.types)?,
        channels: channels(wanted.channels)?,
        state: local::WebhookState::Active,
        created_ms: now_ms(),
        secret: secret.clone(),
        old_secret: None,
    };
    match app.local().add_webhook(webhook.clone()).await {
        Ok(()) => {}
        Err(StorageError::Refused(detail)) => return Err(Error::new(Code::Full, detail)),
        Err(error) => return Err(error.into()),
    }
    Ok(WebhookSecret { webhook: shown(app, webhook, Waiting::default()).await?, secret: secret.expose().to_owned() })
}

/// # Errors
/// `not_found`, `invalid`.
pub async fn edit(app: &App, id: &Id, edit: WebhookEdit) -> Result<Webhook, Error> {
    let state = match edit.state {
        None => None,
        Some(WebhookState::Active) => Some(local::WebhookState::Active),
        Some(WebhookState::Paused) => Some(local::WebhookState::Paused),
        Some(WebhookState::Disabled) => {
            return Err(Error::invalid("a webhook is active or paused; its receiver disables it by answering 410"));
        }
    };
    let edit = local::WebhookEdit {
        url: edit.url,
        description: edit.description,
        kinds: edit.types.as_deref().map(kinds).transpose()?,
        channels: edit.channels.map(channels).transpose()?,
        state,
    };
    of(app, app.local().edit_webhook(id.clone(), edit, now_ms()).await?).await
}

/// # Errors
/// `not_found`, `invalid`.
pub async fn rotate(app: &App, id: &Id, wanted: NewSecret) -> Result<WebhookSecret, Error> {
    let hours = wanted.keep_hours.unwrap_or(KEEP_HOURS);
    if hours > MOST_KEEP_HOURS {
        return Err(Error::invalid(format!("keepHours is 0 to {MOST_KEEP_HOURS}")));
    }
    let (secret, until_ms) = (fresh_secret(), now_ms() + i64::from(hours) * 3_600_000);
    let webhook = app.local().rotate_webhook(id.clone(), secret.clone(), until_ms).await?;
    Ok(WebhookSecret { webhook: of(app, webhook).await?, secret: secret.expose().to_owned() })
}

/// # Errors
/// `not_found`.
pub async fn delete(app: &App, id: &Id) -> Result<(), Error> {
    if app.local().delete_webhook(id.clone()).await? { Ok(()) } else { Err(Error::not_found()) }
}

/// What was tried, the last first.
///
/// # Errors
/// `not_found`.
pub async fn deliveries(app: &App, id: &Id) -> Result<Vec<Delivery>, Error> {
    app.local().webhook(id.clone()).await?.ok_or_else(Error::not_found)?;
    Ok(app.local().deliveries(id.clone(), SHOWN).await?.into_iter().map(Delivery::from).collect())
}

/// # Errors
/// `not_found` without such a webhook or event, `invalid`.
pub async fn replay(app: &App, id: &Id, wanted: ReplayWanted) -> Result<Replayed, Error> {
    let named = |text: String| text.parse::<Id>().map_err(|_| Error::not_found());
    let what = match (wanted.event, wanted.from_id, wanted.since, wanted.broadcast) {
        (Some(event), None, None, None) => local::Replay::Event(named(event)?),
        (None, Some(from), None, None) => local::Replay::From(named(from)?),
        (None, None, Some(since), None) => local::Replay::Since(since),
        (None, None, None, Some(broadcast)) => local::Replay::Broadcast(named(broadcast)?),
        _ => return Err(Error::invalid("a replay names one of event, fromId, since and broadcast")),
    };
    let done = app.local().replay(id.clone(), what, now_ms()).await?;
    Ok(Replayed { events: done.events, next: done.next.map(|id| id.to_string()) })
}

/// # Errors
/// `not_found`, `invalid`.
pub async fn test(app: &App, id: &Id) -> Result<Pinged, Error> {
    Ok(Pinged { event: app.local().ping_webhook(id.clone(), now_ms()).await?.to_string() })
}

async fn of(app: &App, webhook: local::Webhook) -> Result<Webhook, Error> {
    let waiting = app.local().waiting_deliveries().await?.into_iter().find(|(id, _)| *id == webhook.id);
    shown(app, webhook, waiting.map(|(_, waiting)| waiting).unwrap_or_default()).await
}

async fn shown(app: &App, webhook: local::Webhook, waiting: Waiting) -> Result<Webhook, Error> {
    let last = app.local().deliveries(webhook.id.clone(), 1).await?.pop();
    Ok(Webhook {
        id: webhook.id.to_string(),
        url: webhook.url,
        description: webhook.description,
        types: webhook.kinds.iter().map(ToString::to_string).collect(),
        channels: webhook.channels,
        state: match webhook.state {
            local::WebhookState::Active => WebhookState::Active,
            local::WebhookState::Paused => WebhookState::Paused,
            local::WebhookState::Disabled => WebhookState::Disabled,
        },
        created_at: webhook.created_ms,
        old_secret_until: webhook.old_secret.map(|(_, until_ms)| until_ms).filter(|until_ms| *until_ms > now_ms()),
        waiting: waiting.deliveries,
        oldest_waiting_at: waiting.oldest_ms,
        last: last.map(Delivery::from),
    })
}

impl From<local::Delivery> for Delivery {
    fn from(delivery: local::Delivery) -> Self {
        let last = delivery.last;
        Self {
            event: delivery.event.to_string(),
            kind: delivery.kind.to_string(),
            channel: delivery.channel,
            broadcast: delivery.broadcast.map(|id| id.to_string()),
            sequence: delivery.sequence,
            state: match delivery.state {
                local::DeliveryState::Waiting => DeliveryState::Waiting,
                local::DeliveryState::Delivered => DeliveryState::Delivered,
                local::DeliveryState::Failed => DeliveryState::Failed,
            },
            attempts: delivery.attempts,
            tried_at: last.as_ref().map(|last| last.at_ms),
            status: last.as_ref().and_then(|last| last.status),
            took_ms: last.as_ref().map_or(0, |last| last.took_ms),
            reason: last.and_then(|last| last.reason),
            next_try_at: delivery.next_try_ms.filter(|ms| *ms > 0),
        }
    }
}
