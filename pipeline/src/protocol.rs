//! The lines between supervisor and worker: one JSON value per line, requests on the worker's stdin, replies on its stdout.
//!
//! The first line is a [`Setup`]. Then one [`Request`] at a time, each answered by [`Reply::Started`] and then by its result. A worker ends when its
//! stdin ends, also in the middle of a job, so that it never outlives its parent.

use serde::{Deserialize, Serialize};

use crate::inspection::{InspectJob, Inspected};
use crate::job::{ExportError, ExportJob, Exported};

/// Longest line in bytes. A journal path is at most 4 KB and a job names few of them.
pub(crate) const LINE_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Private writable memory the worker may map (`RLIMIT_DATA`).
    pub memory_bytes: u64,
    /// For each pipeline of a job, in milliseconds; the supervisor bounds the whole job.
    pub pipeline_timeout_ms: u64,
}

/// A job of either kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Export(ExportJob),
    Inspect(InspectJob),
}

impl Request {
    /// For logs.
    pub(crate) fn stem(&self) -> &str {
        match self {
            Self::Export(job) => &job.stem,
            Self::Inspect(job) => &job.stem,
        }
    }

    /// How long it may take, when a short one may take `least`.
    pub(crate) fn time_limit(&self, least: std::time::Duration) -> std::time::Duration {
        match self {
            Self::Export(job) => job.time_limit(least),
            Self::Inspect(job) => job.time_limit(least),
        }
    }

    /// What a job that did not finish may have left behind.
    pub(crate) fn remove_temporaries(&self) {
        match self {
            Self::Export(job) => job.remove_temporaries(),
            Self::Inspect(job) => job.remove_temporaries(),
        }
    }

    /// The same without its riskiest part, decoding a picture for the poster; none when there is no such part.
    pub(crate) fn with_less_risk(&self) -> Option<Self> {
        match self {
            Self::Export(job) if job.poster => Some(Self::Export(ExportJob { poster: false, ..job.clone() })),
            Self::Export(_) | Self::Inspect(_) => None,
        }
    }
}

/// What came of a job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    Exported(Box<Exported>),
    Inspected(Box<Inspected>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The job was read and is begun. A worker that dies before it says so had not touched the job.
    Started,
    Failed(ExportError),
    #[serde(untagged)]
    Done(Done),
}

pub(crate) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default(); // plain structs with string keys cannot fail
    line.push(b'\n');
    line
}
