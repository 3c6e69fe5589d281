//! One file per case, and what they have in common.

use std::sync::Arc;

use anyhow::Result;

use crate::peer::{Identity, Offered};
use crate::stream::{self, Keyframes, Publishers};
use crate::target::{self, Target};

pub mod clip;
pub mod fanout;
pub mod join;
pub mod latency;
pub mod look;
pub mod loss;
pub mod memory;
pub mod profile;
pub mod publish;
pub mod record;

/// One line of output.
pub type Line = serde_json::Value;

/// Where a case takes place.
pub struct Scene {
    pub target: Target,
    pub identity: Arc<Identity>,
}

impl Scene {
    /// # Errors
    /// As [`Target::open`].
    pub async fn open(options: &target::Options) -> Result<Scene> {
        Ok(Scene { target: Target::open(options).await?, identity: Identity::generate(Offered::LikeChromium) })
    }

    /// One broadcast on [`one_channel`], not on air yet.
    ///
    /// # Errors
    /// As [`Publishers::start`].
    pub async fn publish(&self, stream: &stream::Options, keyframes: Keyframes) -> Result<Publishers> {
        Publishers::start(&self.target, &self.identity, &[one_channel(0)], stream, keyframes).await
    }
}

/// The channel of cases with one broadcast.
fn one_channel(_: usize) -> String {
    "main".to_owned()
}
