//! Every decoder against a few thousand damaged and random inputs: none panics, and none takes far more memory than the
//! input has bytes. `souk-sim fuzz` runs as many as one likes.
//!
//! Memory is counted for the whole process, so there is one test here, and decoders run one after another.

use std::alloc::System;

use souk_common::hex;
use souk_simulator::fuzz::regressions::REGRESSIONS;
use souk_simulator::fuzz::{FuzzTarget, Stage, input, targets};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const INPUTS: u64 = 2_000;
/// Bytes taken in all for a byte of input: a word of JSON becomes a string, a map's entry, and is read twice here.
const BYTES_A_BYTE: usize = 400;

/// Decodes; how far it came.
fn decode(target: &FuzzTarget, bytes: &[u8], what: &str) -> Stage {
    let region = Region::new(MEMORY);
    let stage = (target.run)(bytes);
    let change = region.change();
    let taken = change.bytes_allocated + usize::try_from(change.bytes_reallocated).unwrap_or(0);
    let most = target.fixed_bytes + BYTES_A_BYTE * bytes.len();
    assert!(
        taken <= most,
        "{} took {taken} bytes for {} bytes of input ({what}): {}",
        target.name,
        bytes.len(),
        hex::text(bytes)
    );
    stage
}

#[test]
fn no_input_makes_a_decoder_panic_or_take_far_more_memory_than_it_has() {
    let targets = targets();
    let mut failed = Vec::new();
    for target in &targets {
        for (at, bytes) in target.golden.iter().enumerate() {
            let stage = decode(target, bytes, "golden");
            assert_eq!(stage, Stage::Decoded, "{}: golden input {at}", target.name);
        }
        for index in 0..INPUTS {
            let bytes = input(target, 1, index);
            let decoded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                decode(target, &bytes, "generated");
            }));
            if decoded.is_err() {
                failed.push(format!(
                    "souk-sim fuzz --decoder {} --seed 1 --index {index}",
                    target.name
                ));
                break;
            }
        }
    }
    assert!(failed.is_empty(), "each shows an input: {failed:#?}");
    for (name, digits, what) in REGRESSIONS {
        let target = targets.iter().find(|target| target.name == *name);
        let target = target.unwrap_or_else(|| panic!("{what}: there is no decoder {name}"));
        let bytes = hex::bytes(digits).unwrap_or_else(|| panic!("{what}: no hexadecimal digits"));
        assert_ne!(decode(target, &bytes, what), Stage::Decoded, "{what}");
    }
}
