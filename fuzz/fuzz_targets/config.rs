//! No configuration file makes its reader panic; what is wrong with it is an error that can be
//! shown.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use aop_config::Config;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(Path::new("/fuzz/aop.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
});
