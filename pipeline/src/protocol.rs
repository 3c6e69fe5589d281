//! The lines between supervisor and worker: one JSON value per line, requests on the worker's stdin, replies on its stdout.
//!
//! The first line is a [`Setup`]. Then one [`ExportJob`] at a time, each answered by [`Reply::Started`] and then by its result. A worker ends when its
//! stdin ends, also in the middle of a job, so that it never outlives its parent.

use serde::{Deserialize, Serialize};

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

pub(crate) type Request = ExportJob;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The job was read and is begun. A worker that dies before it says so had not touched the job.
    Started,
    Exported(Box<Exported>),
    Failed(ExportError),
}

pub(crate) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default(); // plain structs with string keys cannot fail
    line.push(b'\n');
    line
}
