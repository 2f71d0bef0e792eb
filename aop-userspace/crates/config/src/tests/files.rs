//! Tests of reading a configuration from its file.

use std::{fs, io, path::Path};

use super::{LISTENER, SITE};
use crate::{Config, ConfigError, Paths};

#[test]
fn relative_paths_in_a_file_begin_at_its_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("aop.toml");
    let text = format!("{LISTENER}{SITE}crl = [\"lists/a.crl\"]\n[prefixes]\nsource = \"/list\"\n");
    fs::write(&file, &text).expect("written");
    assert_eq!(Config::text(&file).as_ref(), Ok(&text));
    let config = Config::load(&file).expect("a configuration");
    assert_eq!(config.file, file);
    let site = &config.live.sites[0];
    assert_eq!(site.certificate, dir.path().join("a.pem"));
    assert_eq!(site.key, dir.path().join("a.key"));
    assert_eq!(site.rules.revocation.files, [dir.path().join("lists/a.crl")]);
    assert_eq!(config.live.prefixes.to_string(), "/list");
}

#[test]
fn the_paths_are_known_even_if_the_file_has_another_mistake() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("aop.toml");
    let text = "[paths]\npins = \"/sys/fs/bpf/two\"\nstate = \"state\"\n[firewall]\nmood = 1\n";
    fs::write(&file, text).expect("written");
    let error = Config::load(&file).expect_err("an unknown key").to_string();
    assert!(error.starts_with(&format!("{}:5: unknown key `mood`", file.display())), "{error}");
    let expected = Paths {
        pins: "/sys/fs/bpf/two".into(),
        state: dir.path().join("state"),
        runtime: "/run/aop".into(),
    };
    assert_eq!(Config::paths(&file), Ok(expected));
    fs::write(&file, "[paths]\nstate = 1\n").expect("written");
    let error = Config::paths(&file).expect_err("a number").to_string();
    assert!(error.starts_with(&format!("{}:2: ", file.display())), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let absent = dir.path().join("absent.toml");
    for error in [Config::load(&absent).map(drop), Config::paths(&absent).map(drop)] {
        let error = error.expect_err("no file").to_string();
        assert!(error.starts_with(&format!("{}: no configuration", absent.display())), "{error}");
        assert!(error.contains("create it or correct the path"), "{error}");
    }
    let error = Config::text(dir.path()).expect_err("a directory").to_string();
    assert!(error.starts_with(&format!("{}: cannot read", dir.path().display())), "{error}");
    assert!(error.contains("it must be a readable file"), "{error}");
    // Root may read every file, so no file of this test could cause this error.
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let error = ConfigError::unreadable(Path::new("aop.toml"), "configuration", &denied);
    assert!(error.to_string().contains("run aop as root"), "{error}");
}
