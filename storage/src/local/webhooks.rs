//! Webhooks: the addresses that are told of events, with the secrets that sign what they are told. What waits for each is in
//! [`super::deliveries`].
//!
//! Secrets have to be kept as they are, since they sign; they are never given out again, nor printed.

use std::net::{IpAddr, Ipv6Addr};

use rusqlite::{Connection, Row, params};
use url::{Host, Url};

use super::{Local, column, deliveries, execute, id_column, json_of, of_json, row, rows};
use crate::event::EventType;
use crate::{Id, Secret, StorageError};

/// Webhooks at a time. More are refused.
pub const WEBHOOKS: u32 = 32;
/// Channels that one may be narrowed to.
pub const CHANNELS: usize = 64;
const URL_BYTES: usize = 2000;
const DESCRIPTION_CHARS: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookState {
    /// Told of what happens.
    Active,
    /// What happens waits until somebody lets it go on.
    Paused,
    /// Its receiver asked for no more (410). Nothing waits for it.
    Disabled,
}

impl WebhookState {
    pub const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Disabled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    fn parse(text: &str) -> Result<Self, StorageError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| StorageError::Corrupt(format!("the local job table: '{text}' is no state of a webhook")))
    }
}

#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: Id,
    /// `http` or `https`, as [`check_url`] allows it. A path or query may be a secret of its receiver.
    pub url: String,
    pub description: String,
    /// Empty: all.
    pub kinds: Vec<EventType>,
    /// Empty: all, and what concerns the node.
    pub channels: Vec<String>,
    pub state: WebhookState,
    pub created_ms: i64,
    /// `whsec_` and base64.
    pub secret: Secret,
    /// Signs as well until this time, UTC milliseconds.
    pub old_secret: Option<(Secret, i64)>,
}

/// A change of a webhook. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct WebhookEdit {
    pub url: Option<String>,
    pub description: Option<String>,
    pub kinds: Option<Vec<EventType>>,
    pub channels: Option<Vec<String>>,
    /// [`WebhookState::Disabled`] is its receiver's to say.
    pub state: Option<WebhookState>,
}

impl Local {
    /// # Errors
    /// [`StorageError::Invalid`] for what [`Webhook::check`] refuses, [`StorageError::Refused`] when there are [`WEBHOOKS`].
    pub async fn add_webhook(&self, webhook: Webhook) -> Result<(), StorageError> {
        webhook.check()?;
        self.write(move |t| {
            let count: Option<u32> = row(t, "SELECT count(*) AS number FROM webhooks", [], |r| column(r, "number"))?;
            if count.unwrap_or_default() >= WEBHOOKS {
                return Err(StorageError::Refused(format!(
                    "there are {WEBHOOKS} webhooks, which is as many as can be"
                )));
            }
            save(t, &webhook)
        })
        .await
    }

    /// All of them, oldest first.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StorageError> {
        let sql = "SELECT * FROM webhooks ORDER BY id LIMIT ?1";
        self.read(move |c| rows(c, sql, [WEBHOOKS], webhook)).await
    }

    pub async fn webhook(&self, id: Id) -> Result<Option<Webhook>, StorageError> {
        self.read(move |c| find(c, &id)).await
    }

    /// One that is let go on is told at once of what has waited, for a day from now on.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Invalid`] for what [`Webhook::check`] refuses.
    pub async fn edit_webhook(&self, id: Id, edit: WebhookEdit, now_ms: i64) -> Result<Webhook, StorageError> {
        self.write(move |t| {
            let mut found = find(t, &id)?.ok_or(StorageError::NotFound)?;
            let before = found.state;
            let WebhookEdit { url, description, kinds, channels, state } = edit;
            found.url = url.unwrap_or(found.url);
            found.description = description.unwrap_or(found.description);
            found.kinds = kinds.unwrap_or(found.kinds);
            found.channels = channels.unwrap_or(found.channels);
            found.state = state.unwrap_or(found.state);
            found.check()?;
            save(t, &found)?;
            if before == WebhookState::Paused && found.state == WebhookState::Active {
                deliveries::resume(t, &found.id, now_ms)?;
            }
            Ok(found)
        })
        .await
    }

    /// A new secret; the one that it had signs as well until `old_until_ms`.
    ///
    /// # Errors
    /// [`StorageError::NotFound`].
    pub async fn rotate_webhook(&self, id: Id, secret: Secret, old_until_ms: i64) -> Result<Webhook, StorageError> {
        self.write(move |t| {
            let mut found = find(t, &id)?.ok_or(StorageError::NotFound)?;
            found.old_secret = Some((std::mem::replace(&mut found.secret, secret), old_until_ms));
            save(t, &found)?;
            Ok(found)
        })
        .await
    }

    /// With all that waits for it. False when there is none.
    pub async fn delete_webhook(&self, id: Id) -> Result<bool, StorageError> {
        self.write(move |t| {
            execute(t, "DELETE FROM deliveries WHERE webhook = ?1", [id.as_str()])?;
            execute(t, "DELETE FROM delivery_lines WHERE webhook = ?1", [id.as_str()])?;
            Ok(execute(t, "DELETE FROM webhooks WHERE id = ?1", [id.as_str()])? > 0)
        })
        .await
    }
}

impl Webhook {
    /// # Errors
    /// [`StorageError::Invalid`] naming the rule that a value breaks.
    pub fn check(&self) -> Result<(), StorageError> {
        check_url(&self.url)?;
        let text = &self.description;
        if text.chars().count() > DESCRIPTION_CHARS || text.chars().any(char::is_control) {
            return Err(StorageError::Invalid(format!(
                "a description has at most {DESCRIPTION_CHARS} characters and no control character"
            )));
        }
        if self.kinds.contains(&EventType::WebhookPing) {
            return Err(StorageError::Invalid(
                "a webhook.ping is told to the webhook that is tried, and to it alone".into(),
            ));
        }
        if self.channels.len() > CHANNELS || self.kinds.len() > EventType::ALL.len() {
            return Err(StorageError::Invalid(format!(
                "a webhook names at most {CHANNELS} channels, and each type of event once"
            )));
        }
        Ok(())
    }
}

/// Whether events may be sent there: `http` or `https`, a host, no user name and no password, and no [`is_forbidden`] address.
///
/// # Errors
/// [`StorageError::Invalid`] naming the rule; never with the address.
pub fn check_url(text: &str) -> Result<(), StorageError> {
    let invalid = |rule: &str| Err(StorageError::Invalid(format!("the address of a webhook {rule}")));
    if text.len() > URL_BYTES {
        return invalid(&format!("has at most {URL_BYTES} bytes"));
    }
    let Ok(url) = Url::parse(text) else { return invalid("is one such as https://example.org/oxbow") };
    if !matches!(url.scheme(), "http" | "https") {
        return invalid("begins with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("has no user name and no password: what is sent is signed");
    }
    if url.fragment().is_some() {
        return invalid("has no part behind a '#'");
    }
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return invalid("has a host"),
    };
    if literal.is_some_and(is_forbidden) {
        return invalid("is not link-local, unspecified or multicast");
    }
    Ok(())
}

/// Addresses that no receiver has, and at which clouds keep secrets of their machines: link-local, unspecified, multicast, broadcast,
/// and the metadata services that lie elsewhere. This machine and private networks are allowed, since receivers do live there.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let metadata = [[100, 100, 100, 200], [168, 63, 129, 16]];
            v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.is_multicast()
                || v4.is_broadcast()
                || metadata.contains(&v4.octets())
        }
        IpAddr::V6(v6) => {
            let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast() || v6 == metadata
        }
    }
}

pub(super) fn find(connection: &Connection, id: &Id) -> Result<Option<Webhook>, StorageError> {
    row(connection, "SELECT * FROM webhooks WHERE id = ?1", [id.as_str()], webhook)
}

pub(super) fn save(connection: &Connection, webhook: &Webhook) -> Result<(), StorageError> {
    let sql = "INSERT OR REPLACE INTO webhooks
               (id, url, description, types, channels, state, created_ms, secret, old_secret, old_until_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let old = webhook.old_secret.as_ref();
    execute(
        connection,
        sql,
        params![
            webhook.id.as_str(),
            webhook.url,
            webhook.description,
            json_of(&webhook.kinds)?,
            json_of(&webhook.channels)?,
            webhook.state.as_str(),
            webhook.created_ms,
            webhook.secret.expose(),
            old.map(|(secret, _)| secret.expose()),
            old.map(|(_, until_ms)| *until_ms),
        ],
    )
    .map(drop)
}

fn webhook(row: &Row<'_>) -> Result<Webhook, StorageError> {
    let kinds: Vec<String> = of_json(&column::<String>(row, "types")?)?;
    let old: Option<String> = column(row, "old_secret")?;
    let until_ms: Option<i64> = column(row, "old_until_ms")?;
    Ok(Webhook {
        id: id_column(row, "id")?,
        url: column(row, "url")?,
        description: column(row, "description")?,
        kinds: kinds.iter().map(|kind| kind.parse()).collect::<Result<_, _>>()?,
        channels: of_json(&column::<String>(row, "channels")?)?,
        state: WebhookState::parse(&column::<String>(row, "state")?)?,
        created_ms: column(row, "created_ms")?,
        secret: Secret::new(column::<String>(row, "secret")?),
        old_secret: old.map(Secret::new).zip(until_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_receivers() {
        for url in [
            "https://example.org/oxbow?token=1",
            "http://127.0.0.1:9000",
            "http://[::1]:9000/x",
            "http://10.1.2.3/",
            "http://receiver:8080/",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "example.org",
            "/x",
            "ftp://example.org",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://",
            "https://me:secret@example.org/",
            "https://me@example.org/",
            "https://example.org/#x",
            "http://169.254.169.254/latest/meta-data",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://100.100.100.200/",
        ] {
            let refused = check_url(url).unwrap_err();
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
        assert!(check_url(&format!("https://example.org/{}", "x".repeat(URL_BYTES))).is_err());
    }
}
