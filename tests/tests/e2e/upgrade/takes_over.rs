//! What the new process has, and what the old one leaves alone.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::process::TcpState;
use aop_tests::{Config, Daemon, Family, Outcome, Process, Pull, child, hand, wait};

use super::{end, ends, is_the_daemon};
use crate::stage::{SOON, Stage, in_a_world, on_changed_stage, on_stage};

/// What holds for a daemon that has taken over as for any other.
fn is_a_daemon_like_any(stage: &Stage) -> Result<()> {
    stage.edge_is_served()?;
    stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")?;
    let terminator = stage.daemon.terminator()?;
    ensure!(terminator.user()? == 65534 && terminator.capabilities()?.is_empty());
    let second = stage.daemon.verb(&["run"])?;
    ensure!(second.code == 1 && second.errors.contains("another aop"), "{second:?}");
    ensure!(stage.daemon.verb(&["mode", "observe"])?.code == 0, "it cannot be changed");
    ensure!(stage.daemon.verb(&["mode", "default"])?.code == 0);
    Ok(())
}

#[test]
fn the_answer_names_both_processes_and_what_drains() {
    on_stage(|stage| {
        let (old, session) = (stage.daemon.process()?, stage.open()?);
        let upgrade = stage.daemon.verb(&["upgrade"])?;
        ensure!(upgrade.code == 0, "{upgrade:?}");
        let told = String::from_utf8(upgrade.output)?;
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
fn the_new_process_is_a_daemon_like_any_other_and_survives_the_old_one_s_end() {
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
        end(new)?;
        ends(new)?;
        // And it leaves as any other: filtered, and nobody listens.
        stage.daemon.status()?.enforcing("eth0")?;
        let outcome = Pull::by_stranger(&stage.world, Family::V4).send()?;
        ensure!(outcome.silent(), "{outcome}");
        let outcome = Pull::by_edge(&stage.world, Family::V4).send()?;
        ensure!(matches!(outcome, Outcome::Other(_)), "{outcome}");
        ensure!(!stage.config.runtime.join("control.sock").exists(), "the socket is left");
        stage.daemon.run()?;
        stage.edge_is_served()
    });
}

#[test]
fn the_old_process_cuts_at_its_deadline_and_says_so() {
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
            ensure!(sockets.is_empty(), "the old one holds on to {sockets:?}");
            ensure!(stage.daemon.wait(SOON)? == 3, "{}", stage.daemon.log());
            ensure!(hand::get(&mut session, "/").is_err());
            stage.edge_is_served()
        },
    );
}

#[test]
fn a_new_listener_is_bound_an_old_one_is_kept_and_one_that_is_not_wanted_is_closed() {
    on_stage(|stage| {
        let text = stage.config.text().replace("[::]:443", "0.0.0.0:444");
        ensure!(text != stage.config.text());
        stage.daemon.write(&text)?;
        let new = stage.daemon.upgrade()?;
        ensure!(stage.daemon.wait(SOON)? == 0, "{}", stage.daemon.log());
        is_the_daemon(stage, new)?;
        let pull = Pull::by_edge(&stage.world, Family::V4);
        ensure!(pull.send()?.served() && pull.port(444).send()?.served());
        let outcome = Pull::by_edge(&stage.world, Family::V6).send()?;
        ensure!(!outcome.served(), "{outcome}");
        let sockets = stage.daemon.terminator()?.tcp_sockets()?;
        let listening = sockets.iter().filter(|state| **state == TcpState::LISTEN).count();
        ensure!(listening == 2, "{sockets:?}");
        Ok(())
    });
}

#[test]
fn without_a_firewall_or_without_a_listener_it_goes_as_well() {
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
            let outcome = Pull::by_stranger(&stage.world, Family::V4).send()?;
            ensure!(outcome.silent(), "{outcome}");
            Ok(())
        },
    );
}

#[test]
fn the_program_is_the_one_that_is_at_the_path_now() {
    in_a_world(|world| {
        let mut daemon = Daemon::prepare(world)?;
        daemon.use_a_copy("aop")?;
        daemon.write(&Config::new(world).text())?;
        daemon.run()?;
        let before = daemon.process()?;
        // Another file under the same name.
        let mut command = std::process::Command::new("cp");
        command.arg("--remove-destination").arg(child::built("aop")?).arg(daemon.program());
        let copied = child::finish(command, &[], SOON)?;
        ensure!(copied.code == 0, "{copied:?}");
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
fn nothing_is_asked_of_a_daemon_that_is_not_there() {
    in_a_world(|world| {
        let daemon = Daemon::prepare(world)?;
        daemon.write(&Config::new(world).text())?;
        let upgrade = daemon.verb(&["upgrade"])?;
        ensure!(upgrade.code == 1 && upgrade.errors.contains("nothing to upgrade"), "{upgrade:?}");
        let run = daemon.verb(&["run", "--take-over"])?;
        ensure!(run.code == 1 && run.errors.contains("`aop upgrade`"), "{run:?}");
        wait::until("no socket", SOON, || (!world.dir().join("run").exists()).then_some(()))
    });
}
