//! Header blocks mean the same to the engine and to httlib-hpack, in both directions.
#![no_main]

use aop_fuzz::checks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    checks::hpack::check_decoders(bytes);
    checks::hpack::check_encoders(bytes);
});
