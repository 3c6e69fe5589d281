//! The continuity record of one clip, from the journal of its part and what the worker made of it. Which clip comes before is the job
//! table's to say, whether a chain of them is whole is said in `chain.rs`.

use journal::{Entry, Index};
use media::id::TrackId;
use media::message::Codec;
use pipeline::ExportedTrack;
use storage::{Continuity, TrackContinuity};

/// None when the journal's writer did not count its units. `exported` is empty when there is no file.
pub(crate) fn of(index: &Index, exported: &[ExportedTrack]) -> Option<Continuity> {
    let tracks = index.tracks().into_iter().map(|track| of_track(index, track, exported));
    Some(Continuity { tracks: tracks.collect::<Option<_>>()?, ..Continuity::default() })
}

fn of_track(index: &Index, id: TrackId, exported: &[ExportedTrack]) -> Option<TrackContinuity> {
    let entries: Vec<&Entry> = index.entries.iter().filter(|entry| entry.track == id).collect();
    let (first, last) = (*entries.first()?, *entries.last()?);
    let (first_unit, last_unit) = (first.number?, last.number?);
    let received = entries.len() as u64;
    let file = exported.iter().find(|track| track.track == id.0);
    let units = file.map_or(0, |track| track.units);
    Some(TrackContinuity {
        track: id.0,
        codec: codec_name(index.epochs_of(id).last()?.config.codec).into(),
        first_unit,
        last_unit,
        units,
        unshown: received.saturating_sub(units),
        given_up: (last_unit + 1).saturating_sub(first_unit + received),
        given_up_before: first.after_given_up,
        first_seq: first.first_seq,
        last_seq: last.last_seq,
        first_utc_us: first.utc_us,
        last_utc_us: last.utc_us,
        from_ns: first.pts_ns,
        last_ns: last.pts_ns,
        to_ns: file.map_or(last.pts_ns, |track| track.end_ns),
        media_ms: file.map_or(0, |track| track.media_ns / 1_000_000),
        longest_gap_ms: file.map_or(0, |track| track.longest_gap_ns / 1_000_000),
    })
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::H264 => "h264",
        Codec::Av1 => "av1",
        Codec::Opus => "opus",
    }
}
