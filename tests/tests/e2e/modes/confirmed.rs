//! `aop mode enforce --confirm`: an override that is not confirmed in time is reverted, also after
//! a restart or an upgrade.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::wait;
use serde_json::Value;

use super::{mode, stranger_is_served, stranger_meets_silence, two_ports};
use crate::stage::{Stage, on_changed_stage};

/// Ten seconds, and more on a busy machine.
const REVERTED: Duration = Duration::from_secs(20);

/// After the deadline of `--confirm 10s`, counted from the end of the command.
const PAST_DEADLINE: Duration = Duration::from_secs(11);

fn pending(stage: &Stage) -> Result<Value> {
    Ok(stage.daemon.status()?.json()["modes"]["pending"].clone())
}

/// Waits until observe mode is back. No stored override is left for a restart.
fn is_reverted(stage: &Stage) -> Result<()> {
    wait::until("the override is reverted", REVERTED, || {
        pending(stage).ok().filter(Value::is_null).map(drop)
    })
    .with_context(|| stage.daemon.log())?;
    stranger_is_served(&stage.lab, 443)?;
    ensure!(!stage.config.state.join("modes.json").exists());
    Ok(())
}

#[test]
fn an_unconfirmed_port_observes_again_also_after_an_upgrade() {
    on_changed_stage(two_ports, |stage| {
        let said = mode(&stage.daemon, "enforce --port 443 --confirm 10s")?;
        ensure!(said.contains("port 443: enforcing for "), "{said}");
        ensure!(said.contains(" UTC) unless `aop confirm`; then observe\n"), "{said}");
        stranger_meets_silence(&stage.lab, 443)?;
        let shown = stage.daemon.verb(&["status"])?.text();
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(shown.contains("! port 443: enforcing for "), "{shown}");
        ensure!(shown.contains(" UTC) unless `aop confirm`; then observe "), "{shown}");
        let told = pending(stage)?;
        ensure!(told["mode"] == "enforce" && told["reverts_to"] == "observe", "{told}");
        ensure!(told["until"].is_string() && told["ports"] == serde_json::json!([443]), "{told}");

        stage.daemon.upgrade()?;
        ensure!(pending(stage)? == told, "{}", pending(stage)?);
        is_reverted(stage)
    });
}

#[test]
fn a_daemon_that_starts_after_the_deadline_reverts_before_it_serves() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "enforce --confirm 10s")?;
        let set = Instant::now();
        stage.daemon.kill();
        stage.daemon.run()?;
        stranger_meets_silence(&stage.lab, 8443)?;
        ensure!(pending(stage)?["reverts_to"] == "observe", "a restart in time forgets it");
        stage.daemon.kill();
        // No daemon runs, so there is nothing to observe until the deadline has passed.
        wait::until_elapsed(set, PAST_DEADLINE);
        stage.daemon.run()?;
        let log = stage.daemon.log();
        let (before, _) = log.split_once(" ready").context("not ready")?;
        ensure!(before.contains("was not confirmed by") && before.contains("reverted to observe"));
        is_reverted(stage)
    });
}

#[test]
fn a_confirmed_override_stays_and_load_without_a_daemon_confirms_nothing() {
    on_changed_stage(two_ports, |stage| {
        mode(&stage.daemon, "enforce --confirm 10s")?;
        let set = Instant::now();
        let confirmed = stage.daemon.verb(&["confirm", "--json"])?.success()?;
        let told: Value = confirmed.json()?;
        ensure!(told["mode"] == "enforce" && told["pending"].is_null(), "{told}");
        let again = stage.daemon.verb(&["confirm"])?;
        ensure!(again.code == 1 && again.errors.contains("nothing to confirm"), "{again:?}");
        // Proves that nothing is reverted when the deadline passes.
        wait::until_elapsed(set, PAST_DEADLINE);
        stranger_meets_silence(&stage.lab, 443)?;
        stage.daemon.run()?;
        stranger_meets_silence(&stage.lab, 443)?;

        mode(&stage.daemon, "observe")?;
        mode(&stage.daemon, "enforce --confirm 1h")?;
        stage.daemon.kill();
        stage.daemon.verb(&["load"])?.success()?;
        stage.daemon.run()?;
        is_reverted(stage)
    });
}

#[test]
fn the_status_advises_to_write_a_mode_into_the_file_only_once_it_is_confirmed() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            mode(&stage.daemon, "enforce --confirm 1m")?;
            let shown = stage.daemon.must_run("status")?;
            ensure!(!shown.contains("write firewall.mode"), "{shown}");
            stage.daemon.must_run("confirm")?;
            let shown = stage.daemon.must_run("status")?;
            ensure!(shown.contains("write firewall.mode"), "{shown}");
            Ok(())
        },
    );
}
