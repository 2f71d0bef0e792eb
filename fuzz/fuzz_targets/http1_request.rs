//! Requests are those of httparse and the written rules, however their bytes are divided.
#![no_main]

use aop_fuzz::checks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| checks::request::check(bytes));
