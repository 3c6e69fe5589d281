//! A journal again, from the bytes of a finished file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use media::message::{AccessUnit, Codec, CodecConfig};

use super::{Unit, UnitsPiece};
use crate::append::{AppendError, Appender};
use crate::format::{Cause, Record};
use crate::index::Range;

/// Written at a time.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Kind of an H.264 sequence parameter set.
const SPS: u8 = 7;

#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The file's bytes could not be had.
    #[error("the unit at byte {offset} cannot be read: {source}")]
    Fetch { offset: u64, source: io::Error },
    /// They are not what the table says.
    #[error("there is no unit at byte {offset}")]
    Foreign { offset: u64 },
}

impl UnitsPiece {
    /// Writes a journal of what [`UnitsPiece::select`] takes, on the broadcast's timeline. Exported over the same range it gives the same units, bit by
    /// bit. `fetch` gives the bytes of a unit in the file, in the order of the file; see [`super::spans`]. The length of the journal.
    ///
    /// # Errors
    /// [`RebuildError`]; what was written until then stays, without an end.
    pub fn rebuild(
        &self,
        range: Range,
        path: &Path,
        mut fetch: impl FnMut(&Unit) -> io::Result<Bytes>,
    ) -> Result<u64, RebuildError> {
        let from_ns = self.key_before(range.from_ns).unwrap_or(range.from_ns);
        let range = Range { from_ns, ..range };
        let mut appender = Appender::create(path, &self.header)?;
        let mut records = self.records.iter().peekable();
        let mut configs: BTreeMap<_, &CodecConfig> = BTreeMap::new();
        let mut counted = BTreeMap::new();
        let mut last_utc_us = self.header.opened_utc_us;
        for (place, unit) in self.units.iter().enumerate() {
            while let Some((_, record)) = records.next_if(|(before, _)| *before <= place) {
                if let Record::Config { track, config } = record {
                    configs.insert(*track, config);
                }
                appender.append(record)?;
            }
            if !range.holds(unit.pts_ns) {
                continue;
            }
            let offset = unit.offset;
            let bytes = fetch(unit).map_err(|source| RebuildError::Fetch { offset, source })?;
            let config = configs.get(&unit.track).filter(|_| bytes.len() == unit.size as usize);
            let data =
                config.and_then(|config| received(config, unit, bytes)).ok_or(RebuildError::Foreign { offset })?;
            if let Some(number) = unit.number {
                let expected = counted.insert(unit.track, number.wrapping_add(1));
                if expected != Some(number) || unit.after_given_up {
                    appender.append(&Record::Count { track: unit.track, number, given_up: unit.after_given_up })?;
                }
            }
            last_utc_us = last_utc_us.max(unit.utc_us);
            appender.append(&Record::Unit(AccessUnit {
                track: unit.track,
                key: unit.key,
                pts_ns: unit.pts_ns,
                dts_ns: unit.pts_ns,
                utc_us: unit.utc_us,
                first_seq: unit.first_seq,
                last_seq: unit.last_seq,
                data,
            }))?;
            if appender.pending_bytes() > BATCH_BYTES {
                appender.flush()?;
            }
        }
        Ok(appender.close(last_utc_us, Cause::End)?)
    }
}

/// The unit as a tap delivers it. `None`: it is none.
fn received(config: &CodecConfig, unit: &Unit, bytes: Bytes) -> Option<Bytes> {
    if config.codec != Codec::H264 {
        return Some(bytes);
    }
    let mut data = BytesMut::with_capacity(bytes.len() + config.parameter_sets.len() + 64);
    let mut rest = &bytes[..];
    let mut has_sets = false;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let nal = after.get(..length).filter(|nal| !nal.is_empty())?;
        has_sets |= nal[0] & 0x1f == SPS;
        data.put_slice(&START_CODE);
        data.put_slice(nal);
        rest = &after[length..];
    }
    if unit.key && !has_sets {
        // A file with one configuration has it at its head and nowhere else.
        return Some([&config.parameter_sets[..], &data].concat().into());
    }
    Some(data.freeze())
}
