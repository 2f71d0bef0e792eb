//! Open connections in the replaced process continue until a reload could have revoked their trust.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_common::layout::LAYOUT_VERSION;
use aop_tests::client::{self, TlsSession};
use aop_tests::{child, wait};
use nix::sys::signal::Signal;

use super::is_the_daemon;
use crate::stage::{SOON, Stage, on_changed_stage};

/// Longer than `limits.drain` in these tests. The sleep proves that the predecessor does not drain.
const LONGER_THAN_DRAIN: Duration = Duration::from_secs(2);

fn on_stage_with_short_drain(claim: impl FnOnce(&mut Stage) -> Result<()>) {
    on_changed_stage(|config, _| config.drain = "1s", claim);
}

/// The connection continues in the old process, and the new one lists that process.
fn continues(stage: &Stage, session: &mut TlsSession) -> Result<()> {
    sleep(LONGER_THAN_DRAIN);
    client::get(session, "/goes-on").with_context(|| stage.daemon.log())?;
    let status = stage.daemon.status()?;
    let told = &status.json()["predecessors"];
    let old = &told[0];
    ensure!(told.as_array().is_some_and(|told| told.len() == 1), "{told}");
    ensure!(old["pid"] == stage.daemon.process()?.0 && old["connections"] == 1, "{told}");
    ensure!(old["version"] == env!("CARGO_PKG_VERSION") && old["until"].is_string(), "{told}");
    Ok(())
}

/// The old process exits within `limits.drain` and cuts the connection.
fn drains(stage: &mut Stage, session: &mut TlsSession) -> Result<()> {
    ensure!(stage.daemon.wait(SOON)? == 3, "{}", stage.daemon.log());
    ensure!(client::get(session, "/after").is_err());
    Ok(())
}

#[test]
fn a_connection_continues_until_the_new_process_reloads() {
    on_stage_with_short_drain(|stage| {
        let mut session = stage.open()?;
        let new = stage.daemon.upgrade()?;
        continues(stage, &mut session)?;
        let screen = stage.daemon.verb(&["status"])?;
        let screen = screen.text();
        let line = format!("draining: process {} ", stage.daemon.process()?.0);
        ensure!(screen.contains(&line), "{screen}");
        // A refused reload changes nothing.
        let good = stage.config.text();
        stage.daemon.write(&good.replace("mode =", "mood ="))?;
        ensure!(stage.daemon.verb(&["reload"])?.code == 1);
        continues(stage, &mut session)?;
        stage.daemon.write(&good)?;
        stage.daemon.verb(&["reload"])?.success()?;
        client::get(&mut session, "/meanwhile")?;
        drains(stage, &mut session)?;
        ensure!(stage.daemon.status()?.json()["predecessors"] == serde_json::json!([]));
        is_the_daemon(stage, new)?;
        stage.edge_is_served()
    });
}

#[test]
fn the_predecessor_drains_when_files_are_replaced() {
    on_stage_with_short_drain(|stage| {
        let mut session = stage.open()?;
        stage.daemon.upgrade()?;
        continues(stage, &mut session)?;
        let pki = &stage.lab.pki;
        fs::write(&pki.client_ca, fs::read(&pki.foreign_ca)?)?;
        drains(stage, &mut session)
    });
}

#[test]
fn the_predecessor_drains_when_the_new_process_exits_or_dies() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        on_stage_with_short_drain(|stage| {
            let mut session = stage.open()?;
            let new = stage.daemon.upgrade()?;
            continues(stage, &mut session)?;
            new.signal(signal)?;
            // Another daemon could start meanwhile.
            let pins = stage.config.pins.join(format!("v{LAYOUT_VERSION}"));
            for held in [stage.config.runtime.join("lock"), pins] {
                let mut command = stage.lab.origin().command("flock");
                command.arg("--timeout=0.5").arg(&held).arg("true");
                child::finish(command, &[], SOON)?.success()?;
            }
            drains(stage, &mut session)
        });
    }
}

#[test]
fn at_sigterm_the_predecessor_drains_and_at_a_second_one_it_cuts() {
    on_changed_stage(
        |config, _| config.drain = "20s",
        |stage| {
            let mut session = stage.open()?;
            let new = stage.daemon.upgrade()?;
            // A service manager signals all processes of the unit.
            new.signal(Signal::SIGTERM)?;
            wait::until("it drains", SOON, || {
                stage.daemon.log().contains("the new process has closed the channel").then_some(())
            })?;
            stage.daemon.signal(Signal::SIGTERM)?;
            sleep(Duration::from_millis(300));
            client::get(&mut session, "/drains")?;
            stage.daemon.signal(Signal::SIGTERM)?;
            drains(stage, &mut session)
        },
    );
}

#[test]
fn a_connection_continues_through_further_upgrades() {
    on_stage_with_short_drain(|stage| {
        let mut session = stage.open()?;
        stage.daemon.upgrade()?;
        let last = stage.daemon.upgrade()?;
        continues(stage, &mut session)?;
        is_the_daemon(stage, last)?;
        last.signal(Signal::SIGKILL)?;
        drains(stage, &mut session)
    });
}

#[test]
fn if_the_new_process_trusts_another_ca_the_predecessor_drains_at_once() {
    on_stage_with_short_drain(|stage| {
        let mut session = stage.open()?;
        let pki = &stage.lab.pki;
        // Changed files are not applied, and the old process still trusts the first CA.
        let text = stage.config.text() + "\n[reload]\nwatch = \"off\"\n";
        stage.daemon.write(&text)?;
        ensure!(stage.daemon.reload()?.contains("reloaded"));
        fs::write(&pki.client_ca, fs::read(&pki.foreign_ca)?)?;
        stage.daemon.upgrade()?;
        drains(stage, &mut session)
    });
}
