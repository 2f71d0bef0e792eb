//! Overrides that are refused, and the error messages.

use anyhow::{Result, ensure};
use aop_tests::{AopToml, IpVersion, Pull, TestDaemon};

use super::{mode, stranger_meets_silence};
use crate::stage::{in_lab, on_stage};

/// `aop mode` fails with an error that contains all these words.
fn refused(daemon: &TestDaemon, arguments: &str, words: &[&str]) -> Result<()> {
    let line: Vec<&str> = ["mode"].into_iter().chain(arguments.split_whitespace()).collect();
    let done = daemon.verb(&line)?;
    ensure!(done.code == 1, "aop mode {arguments}: {done:?}");
    for word in words {
        ensure!(done.errors.contains(word), "nothing of {word}: {}", done.errors);
    }
    Ok(())
}

#[test]
fn without_a_daemon_modes_are_shown_and_an_override_is_refused_with_a_remedy() {
    on_stage(|stage| {
        mode(&stage.daemon, "enforce --port 443")?;
        stage.daemon.stop()?;
        let shown = mode(&stage.daemon, "")?;
        ensure!(shown.starts_with("enforce; port 443: enforce\nset by `aop mode` "), "{shown}");
        refused(&stage.daemon, "observe", &["no daemon", "the mode was not changed", "aop run"])?;
        let json: serde_json::Value = serde_json::from_str(&mode(&stage.daemon, "--json")?)?;
        ensure!(json["mode"] == "enforce" && json["configured"] == "enforce", "{json}");
        stranger_meets_silence(&stage.lab, 443)
    });
}

#[test]
fn an_override_for_an_unguarded_port_or_interface_is_refused_as_a_whole() {
    on_stage(|stage| {
        let generation = stage.daemon.status()?.generation()?;
        refused(&stage.daemon, "observe --port 443 --port 80", &["port 80", "443"])?;
        refused(&stage.daemon, "observe --port 443 --interface eth7", &["eth7", "eth0"])?;
        ensure!(stage.daemon.status()?.generation()? == generation);
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")
    });
}

#[test]
fn with_the_firewall_off_an_override_is_refused() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        config.mode = "off";
        let daemon = TestDaemon::start(lab, &config)?;
        refused(&daemon, "enforce", &["the firewall is off", "firewall.mode"])?;
        ensure!(mode(&daemon, "")? == "off\nas the configuration says\n");
        Ok(())
    });
}
