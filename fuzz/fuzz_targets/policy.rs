//! The policy over any frame in any world: see `claims`.
#![no_main]

#[path = "../claims.rs"]
mod claims;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| claims::hold_for(input));
