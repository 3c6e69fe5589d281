//! Where the samples of a finished file lie, as the file itself says it.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{mp4, webm};
use crate::job::Container;

/// Bytes of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub offset: u64,
    pub size: u32,
}

/// Of all samples in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub video: Vec<Place>,
    pub sound: Vec<Place>,
}

pub(super) fn read(path: &Path, container: Container) -> io::Result<Places> {
    match container {
        Container::Mp4 => mp4::places(&File::open(path)?),
        Container::Webm => webm::places(path),
    }
}
