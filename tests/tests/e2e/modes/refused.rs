//! What cannot be switched, and what is said about that.

use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::{Config, Daemon, Family, Pull};
use nix::sys::signal::Signal;

use super::{mode, stranger_meets_silence};
use crate::stage::{in_a_world, on_stage};

/// The switch fails, and the error has all these words.
fn refused(daemon: &Daemon, arguments: &str, words: &[&str]) -> Result<()> {
    let line: Vec<&str> = ["mode"].into_iter().chain(arguments.split_whitespace()).collect();
    let done = daemon.verb(&line)?;
    ensure!(done.code == 1, "aop mode {arguments}: {done:?}");
    for word in words {
        ensure!(done.errors.contains(word), "nothing of {word}: {}", done.errors);
    }
    Ok(())
}

#[test]
fn without_a_daemon_the_modes_are_shown_and_a_switch_says_what_to_do() {
    on_stage(|stage| {
        mode(&stage.daemon, "enforce --port 443")?;
        stage.daemon.signal(Signal::SIGTERM)?;
        ensure!(stage.daemon.wait(Duration::from_secs(5))? == 0);
        let shown = mode(&stage.daemon, "")?;
        ensure!(shown.starts_with("enforce; port 443: enforce\nset by `aop mode` at 2"), "{shown}");
        refused(&stage.daemon, "observe", &["no daemon", "the mode was not changed", "aop run"])?;
        let json: serde_json::Value = serde_json::from_str(&mode(&stage.daemon, "--json")?)?;
        ensure!(json["mode"] == "enforce" && json["configured"] == "enforce", "{json}");
        stranger_meets_silence(&stage.world, 443)
    });
}

#[test]
fn what_is_not_guarded_has_no_mode_and_nothing_changes() {
    on_stage(|stage| {
        let generation = stage.daemon.status()?.generation()?;
        refused(&stage.daemon, "observe --port 443 --port 80", &["port 80", "443"])?;
        refused(&stage.daemon, "observe --port 443 --interface eth7", &["eth7", "eth0"])?;
        ensure!(stage.daemon.status()?.generation()? == generation);
        stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")
    });
}

#[test]
fn where_the_firewall_is_off_there_is_no_mode_to_switch() {
    in_a_world(|world| {
        let mut config = Config::new(world);
        config.mode = "off";
        let daemon = Daemon::start(world, &config)?;
        refused(&daemon, "enforce", &["the firewall is off", "firewall.mode"])?;
        ensure!(mode(&daemon, "")? == "off\nas the configuration says\n");
        Ok(())
    });
}
