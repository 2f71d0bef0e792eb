//! No frames of a client make a server's connection panic, grow, or end a stream twice.
#![no_main]

use aop_fuzz::checks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| checks::http2::check(bytes));
