//! No line of a prefix list makes its reader panic, and what it takes is a prefix in its plainest
//! form, which admits neither everybody nor anything that its text does not say.
#![no_main]

use aop_prefixes as prefixes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(prefix) = prefixes::parse(text) {
        assert_eq!(prefix, prefix.trunc());
        assert_ne!(prefix.prefix_len(), 0);
        assert_eq!(prefixes::parse(&prefix.to_string()), Ok(prefix));
    }
});
