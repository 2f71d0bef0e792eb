//! Replays `fuzz/regressions`: inputs that once broke the readers of prefixes, configuration and
//! PROXY headers. Fuzzing starts from the same files.

use std::{fs, path::Path};

use aop_config::Config;
use aop_terminator::{ParsedProxyHeader, parse_proxy_header};
use aop_types::parse_prefix;

#[test]
fn every_recorded_prefix_is_read_or_refused() {
    for text in kept("prefixes") {
        if let Ok(prefix) = parse_prefix(&text) {
            assert_eq!(parse_prefix(&prefix.to_string()), Ok(prefix));
        }
    }
}

#[test]
fn every_recorded_configuration_is_read_or_refused_with_a_reason() {
    for text in kept("config") {
        if let Err(error) = Config::parse(Path::new("/fuzz/aop.toml"), &text) {
            assert!(!error.to_string().is_empty(), "{text}");
        }
    }
}

#[test]
fn every_recorded_proxy_header_is_read_exactly_to_its_end() {
    for bytes in inputs("proxy") {
        if let Ok(ParsedProxyHeader::Complete(length, ends)) = parse_proxy_header(&bytes) {
            let complete = ParsedProxyHeader::Complete(length, ends);
            assert_eq!(parse_proxy_header(&bytes[..length]), Ok(complete));
            let cut = parse_proxy_header(&bytes[..length - 1]);
            assert_eq!(cut, Ok(ParsedProxyHeader::Incomplete));
        }
    }
}

fn kept(target: &str) -> Vec<String> {
    inputs(target).into_iter().filter_map(|bytes| String::from_utf8(bytes).ok()).collect()
}

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/regressions").join(target);
    let files = fs::read_dir(&folder).expect("the folder is there");
    let inputs: Vec<_> =
        files.flatten().map(|file| fs::read(file.path()).expect("it can be read")).collect();
    assert!(!inputs.is_empty(), "no input in {}", folder.display());
    inputs
}
