//! Replays what once broke the readers of prefixes and configuration: `fuzz/regressions`.

use std::{fs, path::Path};

use aop_userspace::{config::Config, prefixes};

#[test]
fn every_kept_prefix_is_read_or_refused() {
    for text in kept("prefixes") {
        if let Ok(prefix) = prefixes::parse(&text) {
            assert_eq!(prefixes::parse(&prefix.to_string()), Ok(prefix));
        }
    }
}

#[test]
fn every_kept_configuration_is_read_or_refused_with_a_reason() {
    for text in kept("config") {
        if let Err(error) = Config::parse(Path::new("/fuzz/aop.toml"), &text) {
            assert!(!error.to_string().is_empty(), "{text}");
        }
    }
}

fn kept(target: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/regressions").join(target);
    let files = fs::read_dir(&folder).expect("the folder is there");
    let texts: Vec<_> = files
        .flatten()
        .filter_map(|file| String::from_utf8(fs::read(file.path()).expect("it can be read")).ok())
        .collect();
    assert!(!texts.is_empty(), "no input in {}", folder.display());
    texts
}
