//! No beginning of a connection makes the reader of PROXY headers panic or read behind the header,
//! and what is cut is never taken for whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use aop_terminator::{Reading, read_proxy_header as read};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Reading::Whole(length, ends)) = read(bytes) {
        assert_eq!(read(&bytes[..length]), Ok(Reading::Whole(length, ends)));
        assert_eq!(read(&bytes[..length - 1]), Ok(Reading::Unfinished));
    }
});
