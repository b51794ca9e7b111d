//! All targets behind libFuzzer; `RESTANTE_FUZZ_TARGET` names the one that is meant.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use restante_tests::fuzz::{TARGETS, Target};

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("RESTANTE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| {
        let names = TARGETS.map(|target| target.name).join(", ");
        panic!("RESTANTE_FUZZ_TARGET is to name one of {names}")
    })
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));
