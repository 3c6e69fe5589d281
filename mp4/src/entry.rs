//! The boxes of a track, without its samples.

use mp4_atom::{
    Audio, Av01, Av1c, Avc1, Avc3, Avcc, Compressor, Dinf, Dops, Dref, DrefEntry, FourCC, Hdlr, Matrix, Mdhd, Mdia,
    Minf, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Url, Visual, Vmhd, Vp09, VpcC,
};

use crate::format::{Av1, Codec, SOUND_CLOCK, SOUND_TRACK, Sound, Unsuitable, VIDEO_CLOCK, VIDEO_TRACK, Video, Vp9};
use crate::h264::ParameterSets;

/// One in the fixed point of a matrix.
const ONE: i32 = 0x1_0000;
/// A level that does not understate any picture of ours (VP9 level 5.1); decoders do not go by it.
const VP9_LEVEL: u8 = 51;
/// `unspecified` of ISO/IEC 23091-2.
const UNSPECIFIED: u8 = 2;

/// The track with the picture. Its tables and durations are empty.
///
/// # Errors
/// [`Unsuitable::NoParameterSets`].
pub fn video_track(video: &Video) -> Result<Trak, Unsuitable> {
    let tkhd = Tkhd {
        track_id: VIDEO_TRACK,
        enabled: true,
        in_movie: true,
        matrix: turned(video),
        width: video.width.into(),
        height: video.height.into(),
        ..Tkhd::default()
    };
    let media = Minf { vmhd: Some(Vmhd::default()), ..boxes(entry(video)?) };
    Ok(track(tkhd, VIDEO_CLOCK, b"vide", media))
}

fn entry(video: &Video) -> Result<mp4_atom::Codec, Unsuitable> {
    let visual = Visual {
        data_reference_index: 1,
        width: video.width,
        height: video.height,
        compressor: Compressor::default(),
        ..Visual::default()
    };
    let avcc = |sets: &[u8]| -> Result<Avcc, Unsuitable> { ParameterSets::of(sets).configuration() };
    Ok(match &video.codec {
        Codec::H264 { parameter_sets } => {
            mp4_atom::Codec::Avc1(Avc1 { visual, avcc: avcc(parameter_sets)?, ..Avc1::default() })
        }
        Codec::H264InBand { parameter_sets } => {
            mp4_atom::Codec::Avc3(Avc3 { visual, avcc: avcc(parameter_sets)?, ..Avc3::default() })
        }
        Codec::Vp9(header) => mp4_atom::Codec::Vp09(Vp09 { visual, vpcc: vpcc(header), ..Vp09::default() }),
        Codec::Av1(header) => mp4_atom::Codec::Av01(Av01 { visual, av1c: av1c(header), ..Av01::default() }),
    })
}

fn av1c(header: &Av1) -> Av1c {
    Av1c {
        seq_profile: header.profile,
        seq_level_idx_0: header.level,
        seq_tier_0: header.tier,
        high_bitdepth: header.bit_depth > 8,
        twelve_bit: header.bit_depth == 12,
        monochrome: header.monochrome,
        chroma_subsampling_x: header.subsampling.0,
        chroma_subsampling_y: header.subsampling.1,
        chroma_sample_position: header.chroma_position,
        initial_presentation_delay: None,
        config_obus: header.sequence_header.to_vec(),
    }
}

/// The track with the sound. Its tables and durations are empty.
#[must_use]
pub fn sound_track(sound: Sound) -> Trak {
    let entry = mp4_atom::Codec::Opus(mp4_atom::Opus {
        audio: Audio {
            data_reference_index: 1,
            channel_count: u16::from(sound.channels),
            sample_size: 16,
            sample_rate: (SOUND_CLOCK as u16).into(),
        },
        dops: Dops {
            output_channel_count: sound.channels,
            pre_skip: 0,
            input_sample_rate: SOUND_CLOCK as u32,
            output_gain: 0,
            channel_mapping: None,
        },
        btrt: None,
    });
    let tkhd = Tkhd { track_id: SOUND_TRACK, enabled: true, in_movie: true, volume: 1.into(), ..Tkhd::default() };
    let media = Minf { smhd: Some(Smhd::default()), ..boxes(entry) };
    track(tkhd, SOUND_CLOCK, b"soun", media)
}

fn track(tkhd: Tkhd, clock: u64, handler: &[u8; 4], minf: Minf) -> Trak {
    let mdia = Mdia {
        mdhd: Mdhd { timescale: clock as u32, language: "und".into(), ..Mdhd::default() },
        hdlr: Hdlr { handler: FourCC::new(handler), name: String::new() },
        minf,
    };
    Trak { tkhd, mdia, ..Trak::default() }
}

/// Tables without samples: those are in the segments.
fn boxes(entry: mp4_atom::Codec) -> Minf {
    let stbl = Stbl { stsd: Stsd { codecs: vec![entry] }, stco: Some(Stco::default()), ..Stbl::default() };
    let here = DrefEntry::Url(Url::default());
    Minf { dinf: Dinf { dref: Dref { entries: vec![here] } }, stbl, ..Minf::default() }
}

fn vpcc(header: &Vp9) -> VpcC {
    let chroma_subsampling = match header.subsampling {
        (true, true) => 1, // 4:2:0, co-sited with luma
        (true, false) => 2,
        _ => 3,
    };
    VpcC {
        profile: header.profile,
        level: VP9_LEVEL,
        bit_depth: header.bit_depth,
        chroma_subsampling,
        video_full_range_flag: header.full_range,
        color_primaries: UNSPECIFIED,
        transfer_characteristics: UNSPECIFIED,
        matrix_coefficients: UNSPECIFIED,
        codec_initialization_data: Vec::new(),
    }
}

/// The matrix that turns the picture clockwise and moves it back into view.
fn turned(video: &Video) -> Matrix {
    let (width, height) = (i32::from(video.width) << 16, i32::from(video.height) << 16);
    let (a, b, c, d, x, y) = match video.quarters & 3 {
        0 => return Matrix::default(),
        1 => (0, ONE, -ONE, 0, height, 0),
        2 => (-ONE, 0, 0, -ONE, width, height),
        _ => (0, -ONE, ONE, 0, 0, width),
    };
    Matrix { a, b, c, d, x, y, ..Matrix::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_come_to_lie_where_they_are_seen() {
        // Where the upper left and the lower right corner go to, clockwise.
        let table =
            [(0, (0, 0), (640, 360)), (1, (360, 0), (0, 640)), (2, (640, 360), (0, 0)), (3, (0, 640), (360, 0))];
        for (quarters, upper_left, lower_right) in table {
            let codec = Codec::H264 { parameter_sets: bytes::Bytes::new() };
            let Matrix { a, b, c, d, x, y, .. } = turned(&Video { codec, width: 640, height: 360, quarters });
            let shown = |across: i32, down: i32| {
                let seen = |by: [i32; 2], moved: i32| (across * (by[0] >> 16)) + down * (by[1] >> 16) + (moved >> 16);
                (seen([a, c], x), seen([b, d], y))
            };
            assert_eq!((shown(0, 0), shown(640, 360)), (upper_left, lower_right), "{quarters}");
        }
    }
}
