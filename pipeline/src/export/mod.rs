//! Ranges of journals become one file: plan, copy or mux, compare with the plan, decode its ends, make durable, then give it its name.
//!
//! Runs in a worker process. Everything lies under temporary names until the last step, so that a file under its final name is
//! whole.

mod anew;
mod av1;
mod copy;
mod decodes;
mod exact;
mod machine;
mod moov;
mod mux;
mod places;
mod plan;
mod poster;
mod redo;
mod units;
mod verify;
mod webm;
mod webm_turn;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use media::message::Codec;
use sha2::{Digest, Sha256};

pub(crate) use self::webm_turn::turned as webm_turned;

use self::copy::Copied;
use self::mux::Muxed;
use self::places::Places;
use self::plan::{Plan, Track};
use crate::job::{Container, ExportError, ExportJob, Exported, ExportedTrack, Format};

/// `least` is what each of the pipelines may take for a short job; the supervisor bounds the whole.
pub(crate) fn export(job: &ExportJob, least: Duration) -> Result<Exported, ExportError> {
    let timeout = job.time_limit(least);
    let plan = plan::plan(job, timeout)?;
    let temporary = job.temporary(plan.container);
    let is_copied = plan.container == Container::Mp4 && !plan.tracks().any(|track| plan.is_anew(track));
    let written = if is_copied { copied(&plan, &temporary, timeout)? } else { muxed(&plan, job, &temporary, timeout)? };
    let Written { muxed, places, size, sha256 } = written;
    let undecoded = undecoded(&plan, &temporary, timeout)?;
    let poster = poster(&plan, job);
    // Whoever wants the units has the original.
    let has_units = job.units && job.format != Format::Compatible;
    if has_units {
        units::write(&plan, &places, size, &job.temporary_units())?;
    }

    let file = job.directory.join(format!("{}.{}", job.stem, plan.container.extension()));
    std::fs::rename(&temporary, &file)?;
    let poster = poster.and_then(|temporary| {
        let named = job.directory.join(format!("{}.jpg", job.stem));
        std::fs::rename(&temporary, &named).ok().map(|()| named)
    });
    let units = job.directory.join(format!("{}.{}", job.stem, journal::units::EXTENSION));
    let units = has_units.then(|| std::fs::rename(job.temporary_units(), &units).map(|()| units)).transpose()?;
    File::open(&job.directory)?.sync_all()?;
    let (width, height) =
        plan.video.as_ref().map_or((0, 0), |track| if plan.is_anew(track) { track.canvas() } else { track.shown() });
    Ok(Exported {
        file,
        container: plan.container,
        mime: mime(&plan).into(),
        size,
        sha256,
        duration_ms: muxed.length_ns().div_ceil(1_000_000),
        from_ns: plan.pieces.first().map_or(0, |piece| piece.from_ns),
        to_ns: plan.pieces.last().map_or(0, |piece| piece.to_ns),
        width,
        height,
        tracks: plan.tracks().map(|track| describe(track, &plan, &muxed)).collect(),
        omitted: plan.omitted,
        pieces: plan.pieces,
        poster,
        units,
        torn_bytes: plan.torn_bytes,
        undecoded,
    })
}

/// Why an end of the file does not decode. What was encoded here is refused then; what was received is kept as it came, since nobody has it better.
fn undecoded(plan: &Plan, file: &Path, timeout: Duration) -> Result<Option<String>, ExportError> {
    let Some(track) = &plan.video else { return Ok(None) };
    let is_anew = plan.is_anew(track);
    let codec = if is_anew { Codec::H264 } else { track.codec };
    match decodes::check(file, plan.container, codec, timeout) {
        Ok(()) => Ok(None),
        Err(why) if is_anew => Err(ExportError::Unfaithful(why)),
        Err(why) => Ok(Some(why)),
    }
}

/// A file under its temporary name: verified and synced.
struct Written {
    muxed: Muxed,
    /// Empty where nobody asks for them.
    places: Places,
    size: u64,
    sha256: String,
}

/// While the disk still writes the file is compared with the plan.
fn copied(plan: &Plan, temporary: &Path, timeout: Duration) -> Result<Written, ExportError> {
    let Copied { places, bytes: size, sha256 } = copy::copy(plan, temporary)?;
    let muxed = Muxed::copied(plan);
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| File::open(temporary)?.sync_all());
        let verified = verify::verify_copy(temporary, plan, &muxed, timeout);
        let synced = syncing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        verified.and(synced.map_err(ExportError::from))
    })?;
    Ok(Written { muxed, places, size, sha256 })
}

fn muxed(plan: &Plan, job: &ExportJob, temporary: &Path, timeout: Duration) -> Result<Written, ExportError> {
    let muxed = mux::mux(plan, job, timeout)?;
    if plan.container == Container::Webm {
        webm::correct(temporary, plan.length_ns())?;
    }
    let is_lying = |track: &&Track| !plan.is_anew(track) && track.orientation.quarters() != 0;
    if let Some(track) = plan.video.as_ref().filter(is_lying) {
        match plan.container {
            Container::Mp4 => moov::turn(temporary, track.orientation)?,
            Container::Webm => webm_turn::turn(temporary, track.orientation)?,
        }
    }
    verify::verify(temporary, plan, &muxed, timeout)?;
    let places = match plan.container {
        Container::Webm if job.units => webm::places(temporary)?,
        Container::Webm | Container::Mp4 => Places::default(),
    };
    let (size, sha256) = sync_and_hash(temporary)?;
    Ok(Written { muxed, places, size, sha256 })
}

fn mime(plan: &Plan) -> &'static str {
    match (plan.container, &plan.video) {
        (Container::Webm, _) => "video/webm",
        (Container::Mp4, Some(_)) => "video/mp4",
        (Container::Mp4, None) => "audio/mp4",
    }
}

fn describe(track: &Track, plan: &Plan, muxed: &Muxed) -> ExportedTrack {
    let stamps = if track.codec.is_video() { &muxed.video } else { &muxed.sound };
    let (first, last) = (track.samples.first(), track.samples.last());
    ExportedTrack {
        track: track.id.0,
        codec: match plan.is_anew(track) {
            false => plan::codec_name(track.codec),
            true if track.codec.is_video() => "h264",
            true => "aac",
        }
        .into(),
        units: stamps.len() as u64,
        bytes: track.samples.iter().map(|sample| u64::from(sample.size)).sum(),
        first_pts_ns: first.map_or(0, |sample| sample.pts_ns),
        last_pts_ns: last.map_or(0, |sample| sample.pts_ns),
        end_ns: track.end_pts_ns(),
        media_ns: track.media_ns(),
        longest_gap_ns: track.longest_gap_ns(),
        first_seq: first.map_or(0, |sample| sample.first_seq),
        last_seq: last.map_or(0, |sample| sample.last_seq),
        undecodable: track.undecodable,
    }
}

fn sync_and_hash(path: &Path) -> Result<(u64, String), ExportError> {
    let file = File::open(path)?;
    file.sync_all()?;
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 18];
    let mut size = 0;
    loop {
        match input.read(&mut chunk)? {
            0 => return Ok((size, hex::encode(hash.finalize()))),
            read => {
                hash.update(&chunk[..read]);
                size += read as u64;
            }
        }
    }
}

/// The poster under its temporary name. Without one the clip is shown without: the reason goes to the log.
fn poster(plan: &Plan, job: &ExportJob) -> Option<PathBuf> {
    let track = plan.video.as_ref().filter(|_| job.poster)?;
    let temporary = job.temporary_poster();
    match poster::poster(track, &plan.journals, &temporary) {
        Ok(()) => Some(temporary),
        Err(error) => {
            eprintln!("{}: no poster: {error}", job.stem);
            None
        }
    }
}
