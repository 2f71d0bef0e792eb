//! No line of a prefix list makes its parser panic. An accepted line is a prefix in its canonical
//! form, which does not admit every address.
#![no_main]

use aop_types::parse_prefix;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(prefix) = parse_prefix(text) {
        assert_eq!(prefix, prefix.trunc());
        assert_ne!(prefix.prefix_len(), 0);
        assert_eq!(parse_prefix(&prefix.to_string()), Ok(prefix));
    }
});
