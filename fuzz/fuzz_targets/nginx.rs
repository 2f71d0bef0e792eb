//! No configuration of nginx makes its reader panic, and each proposal is a configuration of aop.
#![no_main]

use std::path::Path;

use aop_config::Config;
use aop_import::{KnownHost, nginx};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let proposal = match nginx::propose(text, "/etc/nginx/nginx.conf", &|_| true) {
        Ok(proposal) => proposal,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let text = proposal.toml(&KnownHost::default());
    let config = Config::parse(Path::new("/fuzz/aop.toml"), &text);
    config.expect("a proposal can be read");
});
