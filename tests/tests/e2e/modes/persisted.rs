//! Mode overrides survive restarts until the configuration changes.

use std::fs;

use anyhow::{Result, ensure};
use aop_tests::{IpVersion, Pull, StatusJson, TestDaemon};

use super::{mode, stranger_is_served, stranger_meets_silence, two_ports};
use crate::stage::{Stage, on_changed_stage};

fn reloads(daemon: &TestDaemon) -> Result<String> {
    let said = daemon.must_reload()?;
    Ok(said)
}

fn stop(daemon: &mut TestDaemon) -> Result<()> {
    daemon.stop()?;
    Ok(())
}

/// Enforce mode except for port 8443, although the configuration says observe.
fn the_override_is_active(stage: &Stage) -> Result<StatusJson> {
    stranger_meets_silence(&stage.lab, 443)?;
    stranger_is_served(&stage.lab, 8443)?;
    let status = stage.daemon.status()?;
    let (mode, modes) = (&status.json()["mode"], &status.json()["modes"]);
    ensure!(mode == "enforce" && modes["configured"] == "observe" && modes["set_at"].is_string());
    Ok(status)
}

#[test]
fn overrides_survive_reload_and_restart_and_a_changed_configuration_removes_them() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "enforce")?;
        mode(&stage.daemon, "observe --port 8443")?;
        let said = the_override_is_active(stage)?;
        reloads(&stage.daemon)?;
        the_override_is_active(stage)?;
        stage.daemon.run()?;
        let now = the_override_is_active(stage)?;
        ensure!(now.json()["modes"] == said.json()["modes"], "{}", now.json()["modes"]);
        let kept = stage.config.state.join("modes.json");
        ensure!(kept.exists());

        stage.config.mode = "enforce";
        stage.daemon.write(&stage.config.text())?;
        let told = reloads(&stage.daemon)?;
        ensure!(told.contains("firewall.mode was observe"), "{told}");
        stranger_meets_silence(&stage.lab, 8443)?;
        let modes = stage.daemon.status()?.json()["modes"].clone();
        ensure!(modes["set_at"].is_null() && modes["ports"] == serde_json::json!([]), "{modes}");
        ensure!(!kept.exists(), "a restart would hear it again");

        stage.config.mode = "observe";
        stage.daemon.write(&stage.config.text())?;
        reloads(&stage.daemon)?;
        stranger_is_served(&stage.lab, 443)
    });
}

#[test]
fn a_configuration_that_changed_while_no_daemon_ran_also_removes_overrides() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "observe --port 8443")?;
        stop(&mut stage.daemon)?;
        stage.config.mode = "enforce";
        stage.daemon.write(&stage.config.text())?;
        stage.daemon.run()?;
        ensure!(stage.daemon.log().contains("firewall.mode was observe"), "{}", stage.daemon.log());
        stranger_meets_silence(&stage.lab, 8443)
    });
}

#[test]
fn load_at_boot_applies_stored_overrides() {
    on_changed_stage(two_ports, |stage| {
        stranger_is_served(&stage.lab, 443)?;
        mode(&stage.daemon, "enforce --port 443")?;
        stop(&mut stage.daemon)?;
        stage.daemon.verb(&["unload"])?.success()?;
        stage.daemon.verb(&["load"])?.success()?;
        stranger_meets_silence(&stage.lab, 443)?;
        // There is no listener, and the kernel answers with a reset.
        let outcome = Pull::by_stranger(&stage.lab, IpVersion::V4).port(8443).send()?;
        ensure!(!outcome.silent(), "{outcome}");
        let shown = mode(&stage.daemon, "")?;
        ensure!(shown.starts_with("observe; port 443: enforce\nset by `aop mode` "), "{shown}");
        Ok(())
    });
}

#[test]
fn a_damaged_file_of_overrides_is_named_and_weakens_nothing() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "enforce")?;
        stranger_meets_silence(&stage.lab, 443)?;
        let path = stage.config.state.join("modes.json");
        let whole = fs::read_to_string(&path)?;
        for bad in [whole.split_at(whole.len() / 2).0, "", &whole.replace("enforce", "off")] {
            fs::write(&path, bad)?;
            stage.daemon.run()?;
            ensure!(stage.daemon.log().contains("modes.json"), "{}", stage.daemon.log());
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(warnings.contains("modes.json"), "{warnings}");
            stranger_meets_silence(&stage.lab, 443)?;
        }
        mode(&stage.daemon, "enforce")?;
        let warnings = stage.daemon.status()?.warnings()?.join("\n");
        ensure!(!warnings.contains("modes.json"), "said anew, and still: {warnings}");
        Ok(())
    });
}

#[test]
fn if_the_state_cannot_be_written_no_mode_is_changed() {
    on_changed_stage(
        |config, lab| {
            two_ports(config, lab);
            config.state = lab.dir().join("a-file");
            fs::write(&config.state, "").expect("written");
        },
        |stage| {
            let refused = stage.daemon.verb(&["mode", "enforce", "--force"])?;
            ensure!(refused.code == 1, "{refused:?}");
            ensure!(refused.errors.contains("no mode is changed"), "{}", refused.errors);
            stranger_is_served(&stage.lab, 443)?;
            reloads(&stage.daemon)?;
            stranger_is_served(&stage.lab, 443)
        },
    );
}
