//! The initialisation segment (`ftyp` and `moov`, ISO/IEC 14496-12): what a player reads before the segments of one format.

use mp4::{Format, SOUND_TRACK, Unsuitable, sound_track, video_track};
use mp4_atom::{Encode, FourCC, Ftyp, Moov, Mvex, Mvhd, Trak, Trex};

/// Writes the initialisation segment of a format. Equal formats give equal bytes.
///
/// # Errors
/// [`Unsuitable`] when there is no track, or a track lacks what a decoder needs.
pub fn init(format: &Format) -> Result<Vec<u8>, Unsuitable> {
    if format.video.is_none() && format.sound.is_none() {
        return Err(Unsuitable::Empty);
    }
    let mut tracks = Vec::new();
    if let Some(video) = &format.video {
        tracks.push(video_track(video)?);
    }
    if let Some(sound) = format.sound {
        tracks.push(sound_track(sound));
    }
    let trex = |track: &Trak| Trex {
        track_id: track.tkhd.track_id,
        default_sample_description_index: 1,
        default_sample_duration: 0,
        default_sample_size: 0,
        default_sample_flags: 0,
    };
    let brand = |name: &[u8; 4]| FourCC::new(name);
    let ftyp = Ftyp {
        major_brand: brand(b"iso6"),
        minor_version: 0,
        compatible_brands: vec![brand(b"iso6"), brand(b"cmfc"), brand(b"mp41")],
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale: 1000,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: SOUND_TRACK + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: None, trex: tracks.iter().map(trex).collect() }),
        trak: tracks,
        ..Moov::default()
    };
    let mut out = Vec::with_capacity(1024);
    ftyp.encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(out)
}
