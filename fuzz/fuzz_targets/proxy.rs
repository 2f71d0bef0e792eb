//! No beginning of a connection makes the parser of PROXY headers panic or read past the header,
//! and a truncated header is never taken for a complete one.
#![no_main]

use aop_terminator::{ParsedProxyHeader, parse_proxy_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ParsedProxyHeader::Complete(length, ends)) = parse_proxy_header(bytes) {
        let complete = ParsedProxyHeader::Complete(length, ends);
        assert_eq!(parse_proxy_header(&bytes[..length]), Ok(complete));
        assert_eq!(parse_proxy_header(&bytes[..length - 1]), Ok(ParsedProxyHeader::Incomplete));
    }
});
