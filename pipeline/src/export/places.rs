//! Where the samples of a file lie.

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
