//! For any frame and any facts, the policy and its oracle give the same verdict.
#![no_main]

use aop_packets::oracle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| oracle::check(input));
