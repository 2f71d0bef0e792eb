//! What is open in a process that was replaced goes on, until trust could have been taken away.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::hand::{self, Session};
use aop_tests::{Process, child, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{end, is_the_daemon};
use crate::stage::{SOON, Stage, on_changed_stage};

/// Longer than `limits.drain` here.
const LONG: Duration = Duration::from_millis(2500);

fn on_a_stage_that_drains_soon(claim: impl FnOnce(&mut Stage) -> Result<()>) {
    on_changed_stage(|config, _| config.drain = "1s", claim);
}

/// It goes on in the old process, which the new one knows.
fn goes_on(stage: &Stage, session: &mut Session) -> Result<()> {
    sleep(LONG);
    hand::get(session, "/goes-on").with_context(|| stage.daemon.log())?;
    let status = stage.daemon.status()?;
    let told = &status.json()["predecessors"];
    let old = &told[0];
    ensure!(told.as_array().is_some_and(|told| told.len() == 1), "{told}");
    ensure!(old["pid"] == stage.daemon.process()?.0 && old["connections"] == 1, "{told}");
    ensure!(old["version"] == env!("CARGO_PKG_VERSION") && old["until"].is_string(), "{told}");
    Ok(())
}

/// The old process ends within `limits.drain`, and cuts what is open in it.
fn ends_soon(stage: &mut Stage, session: &mut Session) -> Result<()> {
    ensure!(stage.daemon.wait(SOON)? == 3, "{}", stage.daemon.log());
    ensure!(hand::get(session, "/after").is_err());
    Ok(())
}

#[test]
fn a_connection_goes_on_until_the_new_process_reloads() {
    on_a_stage_that_drains_soon(|stage| {
        let mut session = stage.open()?;
        let new = stage.daemon.upgrade()?;
        goes_on(stage, &mut session)?;
        let screen = stage.daemon.verb(&["status"])?;
        let screen = String::from_utf8_lossy(&screen.output).into_owned();
        let line = format!("draining: process {} ", stage.daemon.process()?.0);
        ensure!(screen.contains(&line), "{screen}");
        // One that is refused takes nothing away.
        let good = stage.config.text();
        stage.daemon.write(&good.replace("mode =", "mood ="))?;
        ensure!(stage.daemon.verb(&["reload"])?.code == 1);
        goes_on(stage, &mut session)?;
        stage.daemon.write(&good)?;
        let reload = stage.daemon.verb(&["reload"])?;
        ensure!(reload.code == 0, "{reload:?}");
        hand::get(&mut session, "/meanwhile")?;
        ends_soon(stage, &mut session)?;
        ensure!(stage.daemon.status()?.json()["predecessors"] == serde_json::json!([]));
        is_the_daemon(stage, new)?;
        stage.edge_is_served()
    });
}

#[test]
fn files_that_are_renewed_end_it_too() {
    on_a_stage_that_drains_soon(|stage| {
        let mut session = stage.open()?;
        stage.daemon.upgrade()?;
        goes_on(stage, &mut session)?;
        let pki = &stage.world.pki;
        fs::write(&pki.client_ca, fs::read(&pki.foreign_ca)?)?;
        ends_soon(stage, &mut session)
    });
}

#[test]
fn an_end_of_the_new_process_however_it_ends_is_its_end() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        on_a_stage_that_drains_soon(|stage| {
            let mut session = stage.open()?;
            let new = stage.daemon.upgrade()?;
            goes_on(stage, &mut session)?;
            send(new, signal)?;
            // Another one could start meanwhile.
            for held in [stage.config.runtime.join("lock"), stage.config.pins.join("v3")] {
                let mut command = stage.world.origin().command("flock");
                command.arg("--timeout=0.5").arg(&held).arg("true");
                let taken = child::finish(command, &[], SOON)?;
                ensure!(taken.code == 0, "{}: {taken:?}", held.display());
            }
            ends_soon(stage, &mut session)
        });
    }
}

fn send(process: Process, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(process.0)?), signal).context("it is gone")
}

#[test]
fn told_to_stop_it_drains_and_told_once_more_it_cuts() {
    on_changed_stage(
        |config, _| config.drain = "20s",
        |stage| {
            let mut session = stage.open()?;
            let new = stage.daemon.upgrade()?;
            // As a service manager does, which tells all processes of the unit.
            end(new)?;
            wait::until("it drains", SOON, || {
                stage.daemon.log().contains("the new process has closed the channel").then_some(())
            })?;
            stage.daemon.signal(Signal::SIGTERM)?;
            sleep(Duration::from_millis(300));
            hand::get(&mut session, "/drains")?;
            stage.daemon.signal(Signal::SIGTERM)?;
            ends_soon(stage, &mut session)
        },
    );
}

#[test]
fn it_goes_on_over_further_upgrades_whoever_is_between() {
    on_a_stage_that_drains_soon(|stage| {
        let mut session = stage.open()?;
        stage.daemon.upgrade()?;
        let last = stage.daemon.upgrade()?;
        goes_on(stage, &mut session)?;
        is_the_daemon(stage, last)?;
        send(last, Signal::SIGKILL)?;
        ends_soon(stage, &mut session)
    });
}

#[test]
fn where_the_new_process_serves_anything_else_it_drains_at_once() {
    on_a_stage_that_drains_soon(|stage| {
        let mut session = stage.open()?;
        let pki = &stage.world.pki;
        // Nothing is taken up by itself, and the old process still believes the first CA.
        let text = stage.config.text() + "\n[reload]\nwatch = \"off\"\n";
        stage.daemon.write(&text)?;
        ensure!(stage.daemon.reload()?.contains("reloaded"));
        fs::write(&pki.client_ca, fs::read(&pki.foreign_ca)?)?;
        stage.daemon.upgrade()?;
        ends_soon(stage, &mut session)
    });
}
