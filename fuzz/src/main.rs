//! libFuzzer's door: `fuzz --target=<name> [libFuzzer's flags] [corpus folders]`. `scripts/fuzz.sh` calls it.

#![no_main]

use std::sync::LazyLock;

use fuzz::{TARGETS, Target, target};

/// libFuzzer leaves flags with two hyphens to the program.
static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::args().find_map(|arg| arg.strip_prefix("--target=").map(str::to_owned)).unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("--target={name} is none of: {}", names.join(" "));
        std::process::exit(2)
    })
});

libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&TARGET); }, |data: &[u8]| (TARGET.run)(data));
