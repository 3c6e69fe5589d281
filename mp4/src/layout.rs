//! The index of a file whose samples are known by time and size, and the order in which they follow it.
//!
//! Picture and sound take turns every half second, so that a player that reads the file from its begin never waits for one of them. Times are counted
//! from the begin of the file, and each is rounded by itself, so that no error adds up. A sample lasts until the next one.

use mp4_atom::{
    Co64, Edts, Elst, ElstEntry, Encode, FourCC, Ftyp, Moov, Mvhd, Stbl, Stco, Stsc, StscEntry, Stss, Stsz,
    StszSamples, Stts, SttsEntry, Trak,
};

use crate::entry::{sound_track, video_track};
use crate::format::{Codec, Kind, SOUND_CLOCK, SOUND_TRACK, Sound, Unsuitable, VIDEO_CLOCK, Video, ticks};

/// Of a chunk.
const CHUNK_NS: u64 = 500_000_000;
/// Of the movie header and of edit lists, in Hz.
const MOVIE_CLOCK: u64 = VIDEO_CLOCK;
/// Of the box with the samples: its size in four bytes, and in eight more.
const MDAT_HEAD: u64 = 8;
const LARGE_MDAT_HEAD: u64 = 16;

/// A sample, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// From the begin of the file; increasing.
    pub at_ns: u64,
    /// What the last one lasts; the others last until the next.
    pub duration_ns: u64,
    /// In the file.
    pub bytes: u32,
    /// Needs no other to be decoded.
    pub key: bool,
}

/// A track and its samples, at least one.
#[derive(Clone, Debug)]
pub struct Media<F> {
    pub format: F,
    pub samples: Vec<Sample>,
}

/// What a file holds; at least one of both.
#[derive(Clone, Debug, Default)]
pub struct Tracks {
    pub video: Option<Media<Video>>,
    pub sound: Option<Media<Sound>>,
}

/// Samples of one track that follow each other in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub kind: Kind,
    /// Number of its first sample.
    pub first: usize,
    pub samples: usize,
}

/// A file but for its samples.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What the file begins with, up to its first sample.
    pub head: Vec<u8>,
    /// What follows, without room between.
    pub chunks: Vec<Chunk>,
    /// Of the whole file.
    pub bytes: u64,
}

impl Layout {
    /// # Errors
    /// [`Unsuitable`] when there is no sample, a track lacks what a decoder needs, or a number does not fit into its box.
    pub fn new(tracks: &Tracks) -> Result<Self, Unsuitable> {
        let samples = |kind: Kind| match kind {
            Kind::Video => tracks.video.as_ref().map_or(&[][..], |media| &media.samples),
            Kind::Sound => tracks.sound.as_ref().map_or(&[][..], |media| &media.samples),
        };
        if samples(Kind::Video).is_empty() && samples(Kind::Sound).is_empty() {
            return Err(Unsuitable::Empty);
        }
        let chunks = interleaved(samples(Kind::Video), samples(Kind::Sound));
        let mut offsets = Vec::with_capacity(chunks.len());
        let mut data = 0;
        for chunk in &chunks {
            offsets.push(data);
            let inside = &samples(chunk.kind)[chunk.first..chunk.first + chunk.samples];
            data += inside.iter().map(|sample| u64::from(sample.bytes)).sum::<u64>();
        }
        let mdat_head = if fits(data + MDAT_HEAD) { MDAT_HEAD } else { LARGE_MDAT_HEAD };
        let mut index = Index { tracks, chunks: &chunks, offsets: &offsets, begin: 0, wide: false };
        // How long the index is does not depend on the offsets in it, but on how wide they are.
        let mut head = index.encode()?;
        if !fits(head.len() as u64 + mdat_head + data) {
            index.wide = true;
            head = index.encode()?;
        }
        index.begin = head.len() as u64 + mdat_head;
        head = index.encode()?;
        match u32::try_from(data + mdat_head) {
            Ok(size) => size.encode(&mut head)?,
            Err(_) => 1_u32.encode(&mut head)?,
        }
        head.extend_from_slice(b"mdat");
        if mdat_head == LARGE_MDAT_HEAD {
            (data + mdat_head).encode(&mut head)?;
        }
        Ok(Self { bytes: head.len() as u64 + data, head, chunks })
    }
}

fn fits(bytes: u64) -> bool {
    u32::try_from(bytes).is_ok()
}

fn interleaved(video: &[Sample], sound: &[Sample]) -> Vec<Chunk> {
    let mut chunks: Vec<(u64, Chunk)> = chunked(Kind::Video, video).chain(chunked(Kind::Sound, sound)).collect();
    chunks.sort_by_key(|(turn, chunk)| (*turn, chunk.kind));
    chunks.into_iter().map(|(_, chunk)| chunk).collect()
}

/// The chunks of a track, and whose turn each is.
fn chunked(kind: Kind, samples: &[Sample]) -> impl Iterator<Item = (u64, Chunk)> {
    let turn = |sample: &Sample| sample.at_ns / CHUNK_NS;
    let mut first = 0;
    samples.chunk_by(move |one, next| turn(one) == turn(next)).map(move |run| {
        let chunk = Chunk { kind, first, samples: run.len() };
        first += run.len();
        (turn(&run[0]), chunk)
    })
}

/// What the boxes before the samples are made of.
struct Index<'a> {
    tracks: &'a Tracks,
    chunks: &'a [Chunk],
    /// Of each chunk, from the first sample on.
    offsets: &'a [u64],
    /// Of the first sample.
    begin: u64,
    /// Offsets take eight bytes.
    wide: bool,
}

impl Index<'_> {
    fn encode(&self) -> Result<Vec<u8>, Unsuitable> {
        let mut out = Vec::new();
        self.ftyp().encode(&mut out)?;
        self.moov()?.encode(&mut out)?;
        Ok(out)
    }

    fn ftyp(&self) -> Ftyp {
        let codec = self.tracks.video.as_ref().map(|media| &media.format.codec);
        let own: Option<&[u8; 4]> = match codec {
            Some(Codec::H264 { .. } | Codec::H264InBand { .. }) => Some(b"avc1"),
            Some(Codec::Av1(_)) => Some(b"av01"),
            Some(Codec::Vp9(_)) | None => None,
        };
        let brands = [b"isom", b"iso2", b"mp41"].into_iter().chain(own);
        Ftyp {
            major_brand: FourCC::new(b"isom"),
            minor_version: 0x200,
            compatible_brands: brands.map(FourCC::new).collect(),
        }
    }

    fn moov(&self) -> Result<Moov, Unsuitable> {
        let mut trak = Vec::new();
        if let Some(media) = &self.tracks.video {
            trak.push(self.fill(video_track(&media.format)?, Kind::Video, &media.samples)?);
        }
        if let Some(media) = &self.tracks.sound {
            trak.push(self.fill(sound_track(media.format), Kind::Sound, &media.samples)?);
        }
        let mvhd = Mvhd {
            timescale: MOVIE_CLOCK as u32,
            duration: trak.iter().map(|track| track.tkhd.duration).max().unwrap_or(0),
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: SOUND_TRACK + 1,
            ..Mvhd::default()
        };
        Ok(Moov { mvhd, trak, ..Moov::default() })
    }

    fn fill(&self, mut track: Trak, kind: Kind, samples: &[Sample]) -> Result<Trak, Unsuitable> {
        let clock = if kind == Kind::Video { VIDEO_CLOCK } else { SOUND_CLOCK };
        let times = Times::of(samples, clock)?;
        let lasts = ticks(times.lasts.saturating_mul(1_000_000_000) / clock, MOVIE_CLOCK);
        track.mdia.mdhd.duration = times.lasts;
        track.tkhd.duration = times.begins + lasts;
        if times.begins > 0 {
            let edit = |segment_duration, media_time| ElstEntry { segment_duration, media_time, media_rate: 1.into() };
            let entries = vec![edit(times.begins, None), edit(lasts, Some(0))];
            track.edts = Some(Edts { elst: Some(Elst { entries }) });
        }
        let sizes = samples.iter().map(|sample| sample.bytes).collect();
        let (stco, co64) = self.chunk_offsets(kind);
        track.mdia.minf.stbl = Stbl {
            stsd: track.mdia.minf.stbl.stsd,
            stts: times.table,
            stss: sync_samples(samples),
            stsc: self.samples_per_chunk(kind),
            stsz: Stsz { samples: StszSamples::Different { sizes } },
            stco,
            co64,
            ..Stbl::default()
        };
        Ok(track)
    }

    fn chunk_offsets(&self, kind: Kind) -> (Option<Stco>, Option<Co64>) {
        let chunks = self.chunks.iter().zip(self.offsets).filter(|(chunk, _)| chunk.kind == kind);
        let entries = chunks.map(|(_, offset)| self.begin + offset);
        if self.wide {
            (None, Some(Co64 { entries: entries.collect() }))
        } else {
            (Some(Stco { entries: entries.map(|offset| offset as u32).collect() }), None)
        }
    }

    fn samples_per_chunk(&self, kind: Kind) -> Stsc {
        let mut entries: Vec<StscEntry> = Vec::new();
        for (number, chunk) in (1..).zip(self.chunks.iter().filter(|chunk| chunk.kind == kind)) {
            let samples_per_chunk = chunk.samples as u32;
            if entries.last().is_none_or(|run| run.samples_per_chunk != samples_per_chunk) {
                entries.push(StscEntry { first_chunk: number, samples_per_chunk, sample_description_index: 1 });
            }
        }
        Stsc { entries }
    }
}

/// When the samples of a track are shown.
struct Times {
    /// From the begin of the file to the first sample, by the clock of the movie.
    begins: u64,
    /// Of all samples together, by the clock of the track.
    lasts: u64,
    table: Stts,
}

impl Times {
    fn of(samples: &[Sample], clock: u64) -> Result<Self, Unsuitable> {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Err(Unsuitable::Empty) };
        let since_first = |ns: u64| ticks(ns.saturating_sub(first.at_ns), clock);
        let ends = samples.iter().skip(1).map(|sample| sample.at_ns).chain([last.at_ns + last.duration_ns]);
        let mut entries: Vec<SttsEntry> = Vec::new();
        let mut at = 0;
        for end in ends {
            // What lasts for no tick would be at the time of the next.
            let next = since_first(end).max(at + 1);
            let sample_delta = u32::try_from(next - at)
                .map_err(|_| Unsuitable::Boxes("a sample lasts longer than a file can say".into()))?;
            match entries.last_mut() {
                Some(run) if run.sample_delta == sample_delta => run.sample_count += 1,
                _ => entries.push(SttsEntry { sample_count: 1, sample_delta }),
            }
            at = next;
        }
        Ok(Self { begins: ticks(first.at_ns, MOVIE_CLOCK), lasts: at, table: Stts { entries } })
    }
}

/// None where all are.
fn sync_samples(samples: &[Sample]) -> Option<Stss> {
    let keys = (1..).zip(samples).filter(|(_, sample)| sample.key).map(|(number, _)| number);
    samples.iter().any(|sample| !sample.key).then(|| Stss { entries: keys.collect() })
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Decode, Header};
    use proptest::prelude::*;

    use super::*;
    use crate::format::Vp9;

    const VP9: Vp9 = Vp9 { profile: 0, bit_depth: 8, subsampling: (true, true), full_range: false };

    fn video(samples: Vec<Sample>) -> Option<Media<Video>> {
        let format = Video { codec: Codec::Vp9(VP9), width: 640, height: 360, quarters: 0 };
        Some(Media { format, samples })
    }

    fn sound(samples: Vec<Sample>) -> Option<Media<Sound>> {
        Some(Media { format: Sound { channels: 2 }, samples })
    }

    fn every(ns: u64, count: u64, bytes: u32) -> Vec<Sample> {
        let sample = |number| Sample { at_ns: number * ns, duration_ns: ns, bytes, key: number % 60 == 0 };
        (0..count).map(sample).collect()
    }

    /// The index as it stands in the head.
    fn index(layout: &Layout) -> Moov {
        let mut rest = &layout.head[..];
        Ftyp::decode(&mut rest).unwrap();
        Moov::decode(&mut rest).unwrap()
    }

    /// Offset, size and time in ticks of each sample, from the tables.
    fn samples(stbl: &Stbl) -> Vec<(u64, u32, u64)> {
        let StszSamples::Different { sizes } = &stbl.stsz.samples else { panic!("sizes") };
        let deltas = stbl.stts.entries.iter().flat_map(|run| vec![run.sample_delta; run.sample_count as usize]);
        let times: Vec<u64> = deltas.scan(0, |at, delta| Some(std::mem::replace(at, *at + u64::from(delta)))).collect();
        let narrow = stbl.stco.iter().flat_map(|table| &table.entries).map(|offset| u64::from(*offset));
        let chunks: Vec<u64> = narrow.chain(stbl.co64.iter().flat_map(|table| &table.entries).copied()).collect();
        let mut found = Vec::new();
        for (number, chunk) in (1..).zip(chunks) {
            let run = stbl.stsc.entries.iter().rfind(|run| run.first_chunk <= number).unwrap();
            let mut at = chunk;
            for _ in 0..run.samples_per_chunk {
                found.push((at, sizes[found.len()], times[found.len()]));
                at += u64::from(sizes[found.len() - 1]);
            }
        }
        assert_eq!((found.len(), times.len()), (sizes.len(), sizes.len()));
        found
    }

    #[test]
    fn picture_and_sound_take_turns() {
        let (pictures, packets) = (every(100_000_000, 12, 1000), every(250_000_000, 6, 10));
        let layout = Layout::new(&Tracks { video: video(pictures), sound: sound(packets) }).unwrap();
        let order: Vec<(Kind, usize, usize)> = layout.chunks.iter().map(|c| (c.kind, c.first, c.samples)).collect();
        let (video, sound) = (Kind::Video, Kind::Sound);
        assert_eq!(order, [(video, 0, 5), (sound, 0, 2), (video, 5, 5), (sound, 2, 2), (video, 10, 2), (sound, 4, 2)]);
        assert_eq!(layout.bytes, layout.head.len() as u64 + 12 * 1000 + 6 * 10);
    }

    #[test]
    fn sound_that_comes_later_is_put_off() {
        let late = every(20_000_000, 50, 10).into_iter().map(|s| Sample { at_ns: s.at_ns + 1_234_567_890, ..s });
        let layout =
            Layout::new(&Tracks { video: video(every(33_333_333, 90, 1)), sound: sound(late.collect()) }).unwrap();
        let moov = index(&layout);
        assert_eq!(moov.trak[0].edts, None);
        let edits = moov.trak[1].edts.clone().unwrap().elst.unwrap().entries;
        assert_eq!((edits[0].segment_duration, edits[0].media_time), (111_111, None));
        assert_eq!((edits[1].segment_duration, edits[1].media_time), (90_000, Some(0)));
        assert_eq!((moov.mvhd.timescale, moov.mvhd.duration), (90_000, 270_000));
        assert_eq!(moov.trak[1].mdia.mdhd.duration, 48_000);
    }

    #[test]
    fn large_files_have_wide_offsets() {
        // Around 4 GiB, where first the offsets and then the size of the samples' box need more room.
        let of = |sizes: [u32; 4]| {
            let second = 1_000_000_000;
            let sample = |(number, bytes)| Sample { at_ns: number * second, duration_ns: second, bytes, key: true };
            Layout::new(&Tracks { video: video((0..).zip(sizes).map(sample).collect()), sound: None }).unwrap()
        };
        let head = of([0; 4]).head.len() as u32;
        let quarter = 1 << 30;
        for (last, wide, large) in [
            (quarter - head - 1, false, false),
            (quarter - head, true, false),
            (quarter - 9, true, false),
            (quarter - 8, true, true),
            (u32::MAX, true, true),
        ] {
            let sizes = [quarter, quarter, quarter, last];
            let layout = of(sizes);
            let stbl = &index(&layout).trak[0].mdia.minf.stbl;
            assert_eq!((stbl.co64.is_some(), stbl.stco.is_some()), (wide, !wide), "{last}");
            let begin = layout.head.len() as u64;
            let data: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
            assert_eq!(layout.bytes, begin + data);
            let expected = (0..4).map(|at| begin + u64::from(quarter) * at).collect::<Vec<_>>();
            assert_eq!(samples(stbl).iter().map(|(offset, ..)| *offset).collect::<Vec<_>>(), expected);
            let mdat_head = if large { 16 } else { 8 };
            let mut tail = &layout.head[layout.head.len() - mdat_head..];
            let header = Header::decode(&mut tail).unwrap();
            assert_eq!((header.kind, header.size), (FourCC::new(b"mdat"), Some(data as usize)));
            assert_eq!(stbl.stss, None, "all are keyframes");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        assert_eq!(Layout::new(&Tracks::default()).unwrap_err(), Unsuitable::Empty);
        assert_eq!(Layout::new(&Tracks { video: video(Vec::new()), sound: None }).unwrap_err(), Unsuitable::Empty);
        let long = vec![Sample { at_ns: 0, duration_ns: u64::MAX / 2, bytes: 1, key: true }];
        assert!(matches!(Layout::new(&Tracks { video: video(long), sound: None }), Err(Unsuitable::Boxes(_))));
        let codec = Codec::H264 { parameter_sets: bytes::Bytes::new() };
        let format = Video { codec, width: 16, height: 16, quarters: 0 };
        let tracks = Tracks { video: Some(Media { format, samples: every(1, 1, 1) }), sound: None };
        assert_eq!(Layout::new(&tracks).unwrap_err(), Unsuitable::NoParameterSets);
    }

    fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
        let one = (1_u64..3_000_000_000, 0_u32..100_000, any::<bool>());
        (0_u64..2_000_000_000, prop::collection::vec(one, 1..200)).prop_map(|(first, steps)| {
            let mut at_ns = first;
            let mut samples = Vec::new();
            for (step, bytes, key) in steps {
                samples.push(Sample { at_ns, duration_ns: step, bytes, key });
                at_ns += step;
            }
            samples
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn tables_name_every_sample(pictures in any_samples(), packets in any_samples()) {
            let tracks = Tracks { video: video(pictures), sound: sound(packets) };
            let layout = Layout::new(&tracks).unwrap();
            let moov = index(&layout);
            let mut places = Vec::new();
            let wanted = [&tracks.video.unwrap().samples, &tracks.sound.unwrap().samples];
            for ((track, wanted), clock) in moov.trak.iter().zip(wanted).zip([VIDEO_CLOCK, SOUND_CLOCK]) {
                let found = samples(&track.mdia.minf.stbl);
                prop_assert_eq!(found.len(), wanted.len());
                let keys = track.mdia.minf.stbl.stss.as_ref().map(|table| table.entries.clone());
                for (number, ((offset, bytes, at), sample)) in (1..).zip(found.iter().zip(wanted)) {
                    prop_assert_eq!(*bytes, sample.bytes);
                    prop_assert_eq!(keys.as_ref().is_none_or(|keys| keys.contains(&number)), sample.key);
                    // Steps of a few nanoseconds take a tick each.
                    let exact = ticks(sample.at_ns - wanted[0].at_ns, clock);
                    prop_assert!(at.abs_diff(exact) <= 200, "{} instead of {}", at, exact);
                    places.push((*offset, u64::from(*bytes)));
                }
            }
            places.sort_unstable();
            let mut at = layout.head.len() as u64;
            for (offset, bytes) in places.into_iter().filter(|(_, bytes)| *bytes > 0) {
                prop_assert_eq!(offset, at);
                at += bytes;
            }
            prop_assert_eq!(at, layout.bytes);
        }
    }
}
