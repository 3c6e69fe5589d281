//! An MP4 whose units are all copied: sizes and times are known from the plan, so its index is written first and its media once, in one go. What is
//! written is hashed at the same time by another thread, and a third has the disk write meanwhile.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use journal::Reader;
use media::message::Codec;
use mp4::h264::{self, Sets};
use mp4::{Kind, Layout, Media, Sound, Tracks, Video};
use sha2::{Digest, Sha256};

use super::av1;
use super::places::{Place, Places};
use super::plan::{Origin, Plan, Sample, Track, open_error};
use crate::job::ExportError;

/// Written and hashed at a time.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Blocks that wait for the hash.
const BLOCKS: usize = 8;
/// As often the disk is told to begin, so that little is left to write when the file is whole.
const SYNC_BYTES: u64 = 64 * 1024 * 1024;
/// Journals that stay open. At the border of two, picture and sound are not written in the same order.
const OPEN: usize = 2;

/// The finished file, not yet synced.
pub(super) struct Copied {
    pub places: Places,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// Writes the file of a plan.
pub(super) fn copy(plan: &Plan, to: &Path) -> Result<Copied, ExportError> {
    let tracks = tracks(plan)?;
    let layout = Layout::new(&tracks).map_err(|error| ExportError::Refused(error.to_string()))?;
    let file = File::create(to)?;
    let sha256 = write(&file, |output| {
        output.take(|block| {
            block.extend_from_slice(&layout.head);
            Ok(())
        })?;
        let mut units = Units::of(plan);
        for chunk in &layout.chunks {
            let track = if chunk.kind == Kind::Video { &plan.video } else { &plan.sound };
            let Some(track) = track else { continue };
            for sample in &track.samples[chunk.first..chunk.first + chunk.samples] {
                output.take(|block| units.append(track, sample, block))?;
            }
        }
        Ok(())
    })?;
    Ok(Copied { places: places(&tracks, &layout), bytes: layout.bytes, sha256 })
}

fn tracks(plan: &Plan) -> Result<Tracks, ExportError> {
    let video = plan.video.as_ref().map(|track| Ok::<_, ExportError>(media(track, video(track)?))).transpose()?;
    let sound = plan.sound.as_ref().map(|track| media(track, Sound { channels: track.channels.clamp(1, 2) }));
    Ok(Tracks { video, sound })
}

fn media<F>(track: &Track, format: F) -> Media<F> {
    let sample = |sample: &Sample| mp4::Sample {
        at_ns: sample.at_ns,
        duration_ns: sample.duration_ns,
        bytes: written(track, sample),
        key: sample.key,
    };
    Media { format, samples: track.samples.iter().map(sample).collect() }
}

fn video(track: &Track) -> Result<Video, ExportError> {
    let refused = |why: &str| ExportError::Refused(why.into());
    let (width, height) = (track.width, track.height);
    if width == 0 || height == 0 {
        return Err(ExportError::Refused(format!("a picture of {width}x{height}")));
    }
    let codec = match track.codec {
        Codec::H264 if track.parameter_sets.is_single() => {
            mp4::Codec::H264 { parameter_sets: track.parameter_sets.annex_b().into() }
        }
        Codec::H264 => mp4::Codec::H264InBand { parameter_sets: track.parameter_sets.first().annex_b().into() },
        Codec::Vp9 => {
            let header = track.vp9.ok_or_else(|| refused("VP9 without a keyframe"))?;
            mp4::Codec::Vp9(mp4::Vp9 {
                profile: header.profile,
                bit_depth: header.bit_depth,
                subsampling: header.subsampling,
                full_range: header.full_range,
            })
        }
        Codec::Av1 => {
            let configuration = av1::configuration(&track.av1_sequence);
            mp4::Codec::Av1(configuration.ok_or_else(|| refused("AV1 without a sequence header"))?)
        }
        Codec::Vp8 | Codec::Opus => return Err(refused("no picture that belongs into an MP4")),
    };
    Ok(Video { codec, width, height, quarters: track.orientation.quarters() })
}

fn sets(track: &Track) -> Sets {
    if track.parameter_sets.is_single() { Sets::InFront } else { Sets::InBand }
}

/// Bytes of a sample in the file.
pub(super) fn written(track: &Track, sample: &Sample) -> u32 {
    match sets(track) {
        Sets::InFront => sample.written.in_front,
        Sets::InBand => sample.written.in_band,
    }
}

fn places(tracks: &Tracks, layout: &Layout) -> Places {
    let mut places = Places::default();
    let mut offset = layout.head.len() as u64;
    for chunk in &layout.chunks {
        let (samples, list) = match chunk.kind {
            Kind::Video => (tracks.video.as_ref().map(|media| &media.samples), &mut places.video),
            Kind::Sound => (tracks.sound.as_ref().map(|media| &media.samples), &mut places.sound),
        };
        for sample in samples.into_iter().flatten().skip(chunk.first).take(chunk.samples) {
            list.push(Place { offset, size: sample.bytes });
            offset += u64::from(sample.bytes);
        }
    }
    places
}

/// Units as they stand in the file.
pub(super) struct Units<'a> {
    plan: &'a Plan,
    open: Vec<(usize, Reader)>,
}

impl<'a> Units<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        Self { plan, open: Vec::new() }
    }

    /// Appends a sample. Its checksum is looked at.
    pub(super) fn append(&mut self, track: &Track, sample: &Sample, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let before = out.len();
        match sample.origin {
            Origin::Made(at) => put(track, &track.made[at], out),
            Origin::Journal { journal, offset } => put(track, self.reader(journal)?.unit_data(offset)?, out),
        }
        if out.len() - before != written(track, sample) as usize {
            return Err(ExportError::Io(format!("a unit at {} ns changed while it was read", sample.pts_ns)));
        }
        Ok(())
    }

    fn reader(&mut self, journal: usize) -> Result<&mut Reader, ExportError> {
        let at = match self.open.iter().position(|(known, _)| *known == journal) {
            Some(at) => at,
            None => {
                self.open.truncate(OPEN - 1);
                let reader = Reader::open_for_copy(&self.plan.journals[journal]).map_err(open_error)?;
                self.open.insert(0, (journal, reader));
                0
            }
        };
        Ok(&mut self.open[at].1)
    }
}

fn put(track: &Track, data: &[u8], out: &mut Vec<u8>) {
    match track.codec {
        Codec::H264 => h264::write_sample(data, sets(track), out),
        Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opus => out.extend_from_slice(data),
    }
}

/// A file while it is written.
struct Output<'a> {
    file: &'a File,
    block: Vec<u8>,
    hashing: SyncSender<Vec<u8>>,
    /// Blocks that were hashed, to be filled again.
    hashed: Receiver<Vec<u8>>,
    syncing: SyncSender<()>,
    unsynced: u64,
}

impl Output<'_> {
    /// Takes what is appended to the block.
    fn take(&mut self, append: impl FnOnce(&mut Vec<u8>) -> Result<(), ExportError>) -> Result<(), ExportError> {
        append(&mut self.block)?;
        if self.block.len() < BLOCK_BYTES {
            return Ok(());
        }
        self.put_down()
    }

    fn put_down(&mut self) -> Result<(), ExportError> {
        self.file.write_all(&self.block)?;
        self.unsynced += self.block.len() as u64;
        if self.unsynced >= SYNC_BYTES && self.syncing.try_send(()).is_ok() {
            self.unsynced = 0;
        }
        let mut next = self.hashed.try_recv().unwrap_or_else(|_| Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4));
        next.clear();
        // refused only when the hasher panicked, which its join tells
        let _ = self.hashing.send(std::mem::replace(&mut self.block, next));
        Ok(())
    }
}

/// Writes a file; the hash of what was written.
fn write(file: &File, fill: impl FnOnce(&mut Output<'_>) -> Result<(), ExportError>) -> Result<String, ExportError> {
    thread::scope(|scope| {
        let (hashing, blocks) = sync_channel::<Vec<u8>>(BLOCKS);
        let (emptied, hashed) = sync_channel(BLOCKS);
        let (syncing, due) = sync_channel(1);
        let hasher = scope.spawn(move || {
            let mut hash = Sha256::new();
            for block in blocks {
                hash.update(&block);
                let _ = emptied.try_send(block); // one too many is let go
            }
            hex::encode(hash.finalize())
        });
        let syncer = scope.spawn(move || due.into_iter().try_for_each(|()| file.sync_data()));
        let mut output = Output { file, block: Vec::new(), hashing, hashed, syncing, unsynced: 0 };
        let filled = fill(&mut output).and_then(|()| output.put_down());
        drop(output); // lets both threads end
        let synced = syncer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let sha256 = hasher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        filled?;
        synced?;
        Ok(sha256)
    })
}
