//! Seeded changes of an input: what a fuzzer without coverage can do, the same on every machine.

use rand::rngs::StdRng;
use rand::{RngExt, seq::IndexedRandom};

use crate::Target;

/// Bytes at which parsers decide.
const EDGES: [u8; 12] = [0, 1, 3, 4, 0x0f, 0x10, 0x1f, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
/// Changes of one input at most.
const CHANGES: u32 = 8;

/// An input of `target` that comes from one or two of `corpus`.
#[must_use]
pub fn input(target: &Target, corpus: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = corpus.choose(rng).cloned().unwrap_or_default();
    for _ in 0..rng.random_range(1..=CHANGES) {
        change(target, corpus, &mut bytes, rng);
    }
    bytes.truncate(target.max_len);
    bytes
}

fn change(target: &Target, corpus: &[Vec<u8>], bytes: &mut Vec<u8>, rng: &mut StdRng) {
    let at = rng.random_range(0..=bytes.len());
    let len = rng.random_range(0..=(bytes.len() - at).min(64));
    match rng.random_range(0..9) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = *EDGES.choose(rng).unwrap_or(&0)),
        2 => bytes.iter_mut().skip(at).take(2).for_each(|byte| *byte = rng.random()),
        3 => drop(bytes.drain(at..at + len)),
        4 => bytes.truncate(at),
        5 => {
            let piece = bytes[at..at + len].to_vec();
            put(bytes, rng, &piece);
        }
        6 => {
            let other = corpus.choose(rng).map_or(&[][..], Vec::as_slice);
            let from = rng.random_range(0..=other.len());
            let piece = &other[from..other.len().min(from + 256)];
            put(bytes, rng, piece);
        }
        7 => match target.words.choose(rng) {
            Some(word) => put(bytes, rng, word.as_bytes()),
            None => {
                let edge = *EDGES.choose(rng).unwrap_or(&0);
                put(bytes, rng, &[edge; 2]);
            }
        },
        _ => {
            let noise: Vec<u8> = (0..len.max(1)).map(|_| rng.random()).collect();
            put(bytes, rng, &noise);
        }
    }
}

fn put(bytes: &mut Vec<u8>, rng: &mut StdRng, piece: &[u8]) {
    let at = rng.random_range(0..=bytes.len());
    bytes.splice(at..at, piece.iter().copied());
}
