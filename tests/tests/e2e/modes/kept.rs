//! What `aop mode` said outlives the daemon, until the configuration says something newer.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::{Daemon, Family, Pull, Status};
use nix::sys::signal::Signal;

use super::{mode, stranger_is_served, stranger_meets_silence, two_ports};
use crate::stage::{Stage, on_changed_stage};

fn reloads(daemon: &Daemon) -> Result<String> {
    let said = daemon.reload()?;
    ensure!(!said.contains("not reloaded"), "{said}");
    Ok(said)
}

fn stop(daemon: &mut Daemon) -> Result<()> {
    daemon.signal(Signal::SIGTERM)?;
    ensure!(daemon.wait(Duration::from_secs(5))? == 0);
    Ok(())
}

/// Enforcing but for port 8443, though the configuration observes.
fn the_word_counts(stage: &Stage) -> Result<Status> {
    stranger_meets_silence(&stage.world, 443)?;
    stranger_is_served(&stage.world, 8443)?;
    let status = stage.daemon.status()?;
    let (mode, modes) = (&status.json()["mode"], &status.json()["modes"]);
    ensure!(mode == "enforce" && modes["configured"] == "observe" && modes["set_at"].is_string());
    Ok(status)
}

#[test]
fn what_was_said_survives_reload_and_restart_and_a_newer_configuration_takes_it_back() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "enforce")?;
        mode(&stage.daemon, "observe --port 8443")?;
        let said = the_word_counts(stage)?;
        reloads(&stage.daemon)?;
        the_word_counts(stage)?;
        stage.daemon.run()?;
        let now = the_word_counts(stage)?;
        ensure!(now.json()["modes"] == said.json()["modes"], "{}", now.json()["modes"]);
        let kept = stage.config.state.join("modes.json");
        ensure!(kept.exists());

        stage.config.mode = "enforce";
        stage.daemon.write(&stage.config.text())?;
        let told = reloads(&stage.daemon)?;
        ensure!(told.contains("firewall.mode was observe"), "{told}");
        stranger_meets_silence(&stage.world, 8443)?;
        let modes = stage.daemon.status()?.json()["modes"].clone();
        ensure!(modes["set_at"].is_null() && modes["ports"] == serde_json::json!([]), "{modes}");
        ensure!(!kept.exists(), "a restart would hear it again");

        stage.config.mode = "observe";
        stage.daemon.write(&stage.config.text())?;
        reloads(&stage.daemon)?;
        stranger_is_served(&stage.world, 443)
    });
}

#[test]
fn a_configuration_that_changed_while_no_daemon_ran_is_the_newer_word_too() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "observe --port 8443")?;
        stop(&mut stage.daemon)?;
        stage.config.mode = "enforce";
        stage.daemon.write(&stage.config.text())?;
        stage.daemon.run()?;
        ensure!(stage.daemon.log().contains("firewall.mode was observe"), "{}", stage.daemon.log());
        stranger_meets_silence(&stage.world, 8443)
    });
}

#[test]
fn a_load_at_boot_hears_what_was_said_before() {
    on_changed_stage(two_ports, |stage| {
        stranger_is_served(&stage.world, 443)?;
        mode(&stage.daemon, "enforce --port 443")?;
        stop(&mut stage.daemon)?;
        ensure!(stage.daemon.verb(&["unload"])?.code == 0);
        let load = stage.daemon.verb(&["load"])?;
        ensure!(load.code == 0, "{load:?}");
        stranger_meets_silence(&stage.world, 443)?;
        // Nobody listens, and that is heard.
        let outcome = Pull::by_stranger(&stage.world, Family::V4).port(8443).send()?;
        ensure!(!outcome.silent(), "{outcome}");
        let shown = mode(&stage.daemon, "")?;
        ensure!(shown.starts_with("observe; port 443: enforce\nset by `aop mode` at 2"), "{shown}");
        Ok(())
    });
}

#[test]
fn a_damaged_file_is_named_and_weakens_nothing_that_is_in_force() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "enforce")?;
        stranger_meets_silence(&stage.world, 443)?;
        let path = stage.config.state.join("modes.json");
        let whole = fs::read_to_string(&path)?;
        for bad in [whole.split_at(whole.len() / 2).0, "", &whole.replace("enforce", "off")] {
            fs::write(&path, bad)?;
            stage.daemon.run()?;
            ensure!(stage.daemon.log().contains("modes.json"), "{}", stage.daemon.log());
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(warnings.contains("modes.json"), "{warnings}");
            stranger_meets_silence(&stage.world, 443)?;
        }
        mode(&stage.daemon, "enforce")?;
        let warnings = stage.daemon.status()?.warnings()?.join("\n");
        ensure!(!warnings.contains("modes.json"), "said anew, and still: {warnings}");
        Ok(())
    });
}

#[test]
fn where_the_state_cannot_be_written_no_mode_is_changed() {
    on_changed_stage(
        |config, world| {
            two_ports(config, world);
            config.state = world.dir().join("a-file");
            fs::write(&config.state, "").expect("written");
        },
        |stage| {
            let refused = stage.daemon.verb(&["mode", "enforce", "--force"])?;
            ensure!(refused.code == 1, "{refused:?}");
            ensure!(refused.errors.contains("no mode is changed"), "{}", refused.errors);
            stranger_is_served(&stage.world, 443)?;
            reloads(&stage.daemon)?;
            stranger_is_served(&stage.world, 443)
        },
    );
}
