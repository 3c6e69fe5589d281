//! Reads the blocks of a WebM file (RFC 9559), as a demuxer that trusts the file would.

/// Track number and flags of every SimpleBlock.
///
/// # Panics
/// On a BlockGroup: written without ReferenceBlock it would call its picture a keyframe.
pub fn blocks(bytes: &[u8]) -> Vec<(u8, u8)> {
    let mut blocks = Vec::new();
    walk(bytes, &mut blocks);
    blocks
}

fn walk(mut bytes: &[u8], blocks: &mut Vec<(u8, u8)>) {
    while !bytes.is_empty() {
        let id = number(&mut bytes, true);
        let size = number(&mut bytes, false) as usize;
        let (element, rest) = bytes.split_at(size);
        match id {
            0x1853_8067 | 0x1f43_b675 => walk(element, blocks), // Segment, Cluster
            0xa3 => blocks.push((element[0] & 0x7f, element[3])),
            0xa0 => panic!("a BlockGroup"),
            _ => {}
        }
        bytes = rest;
    }
}

fn number(bytes: &mut &[u8], keep_marker: bool) -> u64 {
    let length = bytes[0].leading_zeros() as usize + 1;
    let (number, rest) = bytes.split_at(length);
    *bytes = rest;
    let value = number.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
    if keep_marker { value } else { value & ((1 << (7 * length)) - 1) }
}
