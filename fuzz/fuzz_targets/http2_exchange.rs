//! A client of the crate h2 and a server of the engine understand each other.
#![no_main]

use aop_fuzz::checks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| checks::exchange::check(bytes));
