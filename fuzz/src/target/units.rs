//! Tables of units: whatever is in them, what is read holds and is written the same.

use journal::{Range, Units, units};

use crate::bytes::Bytes;

/// The first byte says whether the checksum is put right, so that what lies behind it is reached.
pub fn table(data: &[u8]) {
    let mut bytes = Bytes(data);
    let table = if bytes.u8() & 1 == 0 {
        bytes.0.to_vec()
    } else {
        [bytes.0, &crc32fast::hash(bytes.0).to_le_bytes()].concat()
    };
    let Ok(table) = Units::decode(&table) else { return };
    assert_eq!(Units::decode(&table.encode()).as_ref(), Ok(&table), "what was read is written");
    for piece in &table.pieces {
        let moment = piece.units.last().map_or(0, |unit| unit.pts_ns);
        let chosen: Vec<_> = piece.select(Range { from_ns: moment / 2, to_ns: moment }).collect();
        assert!(chosen.len() <= piece.units.len());
        for span in units::spans(chosen, 100) {
            assert!(span.start <= span.end && span.end <= table.file_bytes);
        }
        for place in 0..piece.units.len() {
            assert!(piece.config(place).is_some(), "every unit has a configuration");
        }
    }
    for (place, range) in table.within(0, u64::MAX) {
        assert!(place < table.pieces.len() && range.from_ns < range.to_ns);
    }
}
