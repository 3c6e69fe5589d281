//! The short run: every target over its corpus and over seeded mutations of it. `make soak` runs a hundred times as many.
//!
//! A finding is written to the folder for artifacts; once fixed it belongs into `corpus/<target>/`.

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use fuzz::{TARGETS, Target, mutate};
use rand::SeedableRng;
use rand::rngs::StdRng;

const SEED: u64 = 0x0b0e;

fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("corpus").join(target.name)];
    if target.name == "offer" {
        folders.push(here.join("../media/tests/offers"));
    }
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no corpus", target.name);
    files.iter().map(|path| (path.display().to_string(), fs::read(path).expect("a readable file"))).collect()
}

/// Runs one input; on a finding says how to run it again.
fn run(target: &Target, name: &str, input: &[u8]) {
    if catch_unwind(|| (target.run)(input)).is_err() {
        let path = std::env::temp_dir().join(format!("oxbow-fuzz-{}-{:08x}", target.name, crc32fast::hash(input)));
        fs::write(&path, input).expect("room for a finding");
        panic!("{} found something in {name}; the input is {}", target.name, path.display());
    }
}

fn short_run(name: &str) {
    let target = fuzz::target(name).expect("a target");
    let (names, inputs): (Vec<_>, Vec<_>) = corpus(target).into_iter().unzip();
    names.iter().zip(&inputs).for_each(|(name, input)| run(target, name, input));
    let mut rng = StdRng::seed_from_u64(SEED);
    let rounds = target.mutations * if std::env::var_os("OXBOW_SOAK").is_some() { 100 } else { 1 };
    for round in 0..rounds {
        run(target, &format!("mutation {round}"), &mutate::input(target, &inputs, &mut rng));
    }
}

macro_rules! short_runs {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            short_run(stringify!($name));
        })*

        #[test]
        fn every_target_has_its_short_run() {
            let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            let mut run = vec![$(stringify!($name)),*];
            names.sort_unstable();
            run.sort_unstable();
            assert_eq!(names, run);
        }
    };
}

short_runs!(
    rtp, vp8, vp9, av1, red, dependency, h264, sps, fragment, rtcp, twcc, nack, framing, stun, dtls, offer, journal,
    units, live
);
