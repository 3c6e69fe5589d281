//! The table of units of the finished file ([`journal::units`]): what the plan says of each sample, and where the file has it.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use journal::{Record, Unit, Units, UnitsPiece};
use media::message::{Codec, CodecConfig};

use super::places::{Place, Places};
use super::plan::{Origin, Plan, Sample, Track};
use crate::job::ExportError;

/// Writes the table and syncs it.
pub(super) fn write(plan: &Plan, places: &Places, file_bytes: u64, to: &Path) -> Result<(), ExportError> {
    let table = table(plan, places, file_bytes)?.encode();
    let mut file = File::create(to)?;
    file.write_all(&table)?;
    Ok(file.sync_all()?)
}

fn table(plan: &Plan, places: &Places, file_bytes: u64) -> Result<Units, ExportError> {
    let mut samples: Vec<(&Track, usize, Place)> = Vec::new();
    for (track, places) in [(&plan.video, &places.video), (&plan.sound, &places.sound)] {
        let Some(track) = track else { continue };
        if places.len() != track.samples.len() {
            let (found, expected) = (places.len(), track.samples.len());
            return Err(ExportError::Unfaithful(format!("{found} samples in its index instead of {expected}")));
        }
        samples.extend(places.iter().enumerate().map(|(at, place)| (track, at, *place)));
    }
    samples.sort_unstable_by_key(|(track, at, place)| (track.samples[*at].piece, place.offset));
    let mut pieces: Vec<UnitsPiece> = plan
        .pieces
        .iter()
        .zip(&plan.sources)
        .map(|(shown, source)| UnitsPiece {
            header: source.header.clone(),
            from_ns: shown.from_ns,
            to_ns: shown.to_ns,
            offset_ns: shown.offset_ns,
            records: source.gaps.iter().map(|gap| (0, gap.clone())).collect(),
            units: Vec::new(),
        })
        .collect();
    for (track, at, place) in samples {
        let sample = &track.samples[at];
        let piece = &mut pieces[sample.piece];
        let begins = at == 0 || track.samples[at - 1].piece != sample.piece;
        if let Some(config) = track.config_at(at).filter(|(from, _)| begins || *from == at).map(|(_, config)| config) {
            let before = piece.units.len();
            piece.records.push((before, Record::Config { track: sample.track, config: in_force(track, config) }));
            if begins && track.orientation.quarters() != 0 {
                let (track, orientation) = (sample.track, track.orientation);
                piece.records.push((before, Record::Orientation { track, from_ns: sample.pts_ns, orientation }));
            }
        }
        piece.units.push(unit(sample, place));
    }
    Ok(Units { file_bytes, pieces })
}

/// A file with one configuration has the parameter sets nowhere else.
fn in_force(track: &Track, config: &CodecConfig) -> CodecConfig {
    match track.codec {
        Codec::H264 if track.parameter_sets.is_single() => {
            CodecConfig { parameter_sets: track.parameter_sets.annex_b().into(), ..config.clone() }
        }
        _ => config.clone(),
    }
}

/// For another file, of whose table the journal was rebuilt: no packets brought it.
fn was_made(sample: &Sample) -> bool {
    sample.number.is_none() && (sample.first_seq, sample.last_seq) == (0, 0)
}

fn unit(sample: &Sample, place: Place) -> Unit {
    Unit {
        track: sample.track,
        key: sample.key,
        made: matches!(sample.origin, Origin::Made(_)) || was_made(sample),
        pts_ns: sample.pts_ns,
        duration_ns: sample.duration_ns,
        utc_us: sample.utc_us,
        first_seq: sample.first_seq,
        last_seq: sample.last_seq,
        number: sample.number,
        after_given_up: sample.after_given_up,
        offset: place.offset,
        size: place.size,
    }
}
