//! A piece begins with the picture that was asked for, also between two keyframes: the pictures from there to the next keyframe are encoded anew, all
//! others stay as they were received.

use std::path::PathBuf;
use std::time::Duration;

use media::message::Codec;
use media::rtp::codec::av1::SequenceHeader;

use super::av1;
use super::plan::{Origin, Sample, Track, Written};
use super::redo::{Redone, redo};
use crate::job::ExportError;

/// Two times are one picture's.
const SAME_NS: u64 = 1_000_000;

/// Takes away what comes before `from_ns`. The track begins with a keyframe before it. Leaves no sample when none is left.
pub(super) fn begin(
    track: &mut Track,
    from_ns: u64,
    journals: &[PathBuf],
    timeout: Duration,
) -> Result<(), ExportError> {
    let first = track.samples.partition_point(|sample| sample.pts_ns < from_ns);
    let next = track.samples[first..].iter().position(|sample| sample.key).map_or(track.samples.len(), |at| first + at);
    if first == 0 || first == next {
        track.forget(first);
        return Ok(());
    }
    can_be_redone(track)?;
    let redone = redo(track, &track.samples[..next], track.samples[first].pts_ns, journals, timeout)?;
    let made = replace(track, first, next, redone)?;
    track.forget(first);
    let rest = track.samples.split_off(next - first);
    track.samples = made;
    let lost = (next - first) - track.samples.len();
    track.undecodable += lost as u64;
    track.shift_configs(next - first, track.samples.len());
    track.samples.extend(rest);
    Ok(())
}

/// The encoders here make 4:2:0 of 8 bits, and a decoder does not change its sample format in the middle of a file.
fn can_be_redone(track: &Track) -> Result<(), ExportError> {
    let is_usual = match track.codec {
        Codec::Vp9 => track.vp9.is_some_and(|key| key.profile == 0),
        Codec::Av1 => av1::sequence(&track.av1_sequence)
            .is_some_and(|header: SequenceHeader| header.profile == 0 && header.bit_depth == 8 && !header.monochrome),
        Codec::Vp8 | Codec::H264 | Codec::Opus => true,
    };
    if is_usual {
        return Ok(());
    }
    Err(ExportError::Refused("its pictures are not 4:2:0 of 8 bits, which can only be cut at keyframes".into()))
}

/// The samples from `first` to `next` with their new content.
fn replace(track: &mut Track, first: usize, next: usize, redone: Vec<Redone>) -> Result<Vec<Sample>, ExportError> {
    let mut made: Vec<Sample> = Vec::with_capacity(next - first);
    let mut redone = redone.into_iter().peekable();
    for at in first..next {
        let old = &track.samples[at];
        let Some(new) = redone.next_if(|new| new.pts_ns.abs_diff(old.pts_ns) < SAME_NS) else {
            if at == first {
                return Err(ExportError::Unfaithful("the picture asked for cannot be decoded".into()));
            }
            // It is damaged; the one before it stays.
            if let Some(before) = made.last_mut() {
                before.duration_ns += old.duration_ns;
            }
            continue;
        };
        if at == first && !new.key {
            return Err(ExportError::Unfaithful("the first picture is no keyframe".into()));
        }
        if track.codec == Codec::H264 && new.key {
            track.parameter_sets.collect(&new.data);
        }
        made.push(Sample {
            origin: Origin::Made(track.made.len()),
            size: u32::try_from(new.data.len()).unwrap_or(u32::MAX),
            written: Written::of(track.codec, &new.data),
            key: new.key,
            first_seq: 0,
            last_seq: 0,
            number: None,
            after_given_up: false,
            ..old.clone()
        });
        track.made.push(new.data);
    }
    if redone.next().is_some() {
        return Err(ExportError::Unfaithful("a picture that nobody asked for was made".into()));
    }
    Ok(made)
}
