//! The policy decides about any frame, in any world, as its oracle does.
#![no_main]

use aop_packets::oracle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| oracle::check(input));
