//! Signatures as the Standard Webhooks specification has them (v1, symmetric): HMAC-SHA256 over `id.timestamp.body`, in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use storage::Secret;
use storage::local::Webhook;

const PREFIX: &str = "whsec_";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of the webhook is not of the form whsec_ and base64")]
pub struct SignerError;

/// Signs with the secret of a webhook, and with its former one as long as that is good.
pub struct Signer {
    keys: Vec<hmac::Key>,
}

impl Signer {
    /// # Errors
    /// [`SignerError`].
    pub fn new(webhook: &Webhook, now_ms: i64) -> Result<Self, SignerError> {
        let old = webhook.old_secret.as_ref().filter(|(_, until_ms)| *until_ms > now_ms).map(|(secret, _)| secret);
        let keys = [&webhook.secret].into_iter().chain(old).map(key).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// The value of `webhook-signature`. `timestamp` in UTC seconds.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        let one = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, &signed)));
        self.keys.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

fn key(secret: &Secret) -> Result<hmac::Key, SignerError> {
    let text = secret.expose().strip_prefix(PREFIX).ok_or(SignerError)?;
    let bytes = STANDARD.decode(text).map_err(|_| SignerError)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}
