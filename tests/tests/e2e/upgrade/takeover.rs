//! The new process after an upgrade, and the exit of the old one.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::process::TcpState;
use aop_tests::{AopToml, IpVersion, Process, Pull, PullOutcome, TestDaemon, child, client, wait};
use nix::sys::signal::Signal;

use super::{ends, is_the_daemon};
use crate::stage::{SOON, Stage, in_lab, on_changed_stage, on_stage};

/// Claims that hold for every daemon hold after an upgrade.
fn is_a_daemon_like_any(stage: &Stage) -> Result<()> {
    stage.edge_is_served()?;
    stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
    let terminator = stage.daemon.terminator()?;
    ensure!(terminator.user()? == 65534 && terminator.capabilities()?.is_empty());
    let second = stage.daemon.verb(&["run"])?;
    ensure!(second.code == 1 && second.errors.contains("another aop"), "{second:?}");
    stage.daemon.verb(&["mode", "observe"])?.success()?;
    stage.daemon.verb(&["mode", "default"])?.success()?;
    Ok(())
}

#[test]
fn the_output_names_both_processes_and_the_draining_connections() {
    on_stage(|stage| {
        let (old, session) = (stage.daemon.process()?, stage.open()?);
        let upgrade = stage.daemon.verb(&["upgrade"])?.success()?;
        let told = upgrade.text();
        let new = stage.daemon.status()?.json()["daemon"]["pid"].clone();
        let version = env!("CARGO_PKG_VERSION");
        let first = format!("aop {version} (process {}) → aop {version} (process {new})", old.0);
        ensure!(told.starts_with(&first), "{told}");
        ensure!(
            told.contains("1 connection drains in the old process, for 3600 s at most"),
            "{told}"
        );
        drop(session);
        ensure!(stage.daemon.wait(SOON)? == 0);
        Ok(())
    });
}

#[test]
fn the_new_process_works_as_any_daemon_also_after_the_old_one_has_exited() {
    on_stage(|stage| {
        let session = stage.open()?;
        let identities = stage.daemon.status()?.json()["identities"][0]["serial"].clone();
        let new = stage.daemon.upgrade()?;
        is_the_daemon(stage, new)?;
        is_a_daemon_like_any(stage)?;
        drop(session);
        ensure!(stage.daemon.wait(SOON)? == 0, "{}", stage.daemon.log());
        is_the_daemon(stage, new)?;
        is_a_daemon_like_any(stage)?;
        let status = stage.daemon.status()?;
        ensure!(status.json()["identities"][0]["serial"] == identities, "{:?}", status.json());
        let lock = fs::read_to_string(stage.config.runtime.join("lock"))?;
        ensure!(lock.trim() == new.0.to_string(), "the lock names {lock}");
        new.signal(Signal::SIGTERM)?;
        ends(new)?;
        // After its exit packets are filtered and there is no listener, as after any other.
        stage.daemon.status()?.enforcing("eth0")?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        let outcome = Pull::by_edge(&stage.lab, IpVersion::V4).send()?;
        ensure!(matches!(outcome, PullOutcome::Other(_)), "{outcome}");
        ensure!(!stage.config.runtime.join("control.sock").exists(), "the socket is left");
        stage.daemon.run()?;
        stage.edge_is_served()
    });
}

#[test]
fn the_old_process_cuts_at_its_deadline_with_exit_code_3() {
    on_changed_stage(
        |config, _| {
            config.drain = "1s";
            config.limits.push("linger = \"0s\"".into());
        },
        |stage| {
            let mut session = stage.open()?;
            stage.daemon.upgrade()?;
            let old = stage.daemon.process()?;
            let sockets = old.tcp_sockets()?;
            ensure!(sockets.is_empty(), "the old process keeps {sockets:?}");
            ensure!(stage.daemon.wait(SOON)? == 3, "{}", stage.daemon.log());
            ensure!(client::get(&mut session, "/").is_err());
            stage.edge_is_served()
        },
    );
}

#[test]
fn new_listeners_are_bound_old_ones_are_kept_and_removed_ones_are_closed() {
    on_stage(|stage| {
        let text = stage.config.text().replace("[::]:443", "0.0.0.0:444");
        ensure!(text != stage.config.text());
        stage.daemon.write(&text)?;
        let new = stage.daemon.upgrade()?;
        ensure!(stage.daemon.wait(SOON)? == 0, "{}", stage.daemon.log());
        is_the_daemon(stage, new)?;
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
        ensure!(pull.send()?.served() && pull.port(444).send()?.served());
        let outcome = Pull::by_edge(&stage.lab, IpVersion::V6).send()?;
        ensure!(!outcome.served(), "{outcome}");
        let sockets = stage.daemon.terminator()?.tcp_sockets()?;
        let listening = sockets.iter().filter(|state| **state == TcpState::LISTEN).count();
        ensure!(listening == 2, "{sockets:?}");
        Ok(())
    });
}

#[test]
fn an_upgrade_works_without_a_firewall_and_without_a_listener() {
    on_changed_stage(
        |config, _| config.mode = "off",
        |stage| {
            let new = stage.daemon.upgrade()?;
            is_the_daemon(stage, new)?;
            stage.edge_is_served()
        },
    );
    on_changed_stage(
        |config, _| {
            config.bind.clear();
            config.sites.clear();
            config.ports = vec![443];
        },
        |stage| {
            let new = stage.daemon.upgrade()?;
            ensure!(stage.daemon.wait(SOON)? == 0);
            is_the_daemon(stage, new)?;
            Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
            Ok(())
        },
    );
}

#[test]
fn the_new_process_runs_the_program_that_is_at_the_path_now() {
    in_lab(|lab| {
        let mut daemon = TestDaemon::prepare(lab)?;
        daemon.use_a_copy("aop")?;
        daemon.write(&AopToml::new(lab).text())?;
        daemon.run()?;
        let before = daemon.process()?;
        // A new file with the same name.
        let mut command = std::process::Command::new("cp");
        command.arg("--remove-destination").arg(child::built("aop")?).arg(daemon.program());
        child::finish(command, &[], SOON)?.success()?;
        let program = |process: Process| fs::read_link(format!("/proc/{}/exe", process.0));
        let deleted = program(before)?;
        ensure!(deleted.to_string_lossy().ends_with("(deleted)"), "{}", deleted.display());
        let new = daemon.upgrade()?;
        ensure!(program(new)? == daemon.program(), "{}", program(new)?.display());
        ensure!(daemon.wait(Duration::from_secs(5))? == 0);
        Ok(())
    });
}

#[test]
fn without_a_daemon_an_upgrade_is_refused() {
    in_lab(|lab| {
        let daemon = TestDaemon::with_config(lab, &AopToml::new(lab))?;
        let upgrade = daemon.verb(&["upgrade"])?;
        ensure!(upgrade.code == 1 && upgrade.errors.contains("nothing to upgrade"), "{upgrade:?}");
        let run = daemon.verb(&["run", "--take-over"])?;
        ensure!(run.code == 1 && run.errors.contains("`aop upgrade`"), "{run:?}");
        wait::until("no socket", SOON, || (!lab.dir().join("run").exists()).then_some(()))
    });
}
