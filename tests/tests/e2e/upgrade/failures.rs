//! The successor fails, hangs or dies, and the old process continues as before.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::child::{self, CommandOutput};
use aop_tests::{IpVersion, Process, Pull, client, wait};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;

use super::{is_the_daemon, upgrade};
use crate::stage::{SOON, Stage, on_stage};

/// The verb has failed with an error that contains `named`. The old process serves with its old
/// policy, and accepts changes.
fn continues(stage: &Stage, upgrade: &CommandOutput, named: &[&str]) -> Result<()> {
    let told = &upgrade.errors;
    ensure!(
        upgrade.code == 1 && told.contains("The old process continues to serve"),
        "{upgrade:?}"
    );
    for word in named {
        ensure!(told.contains(word), "nothing of {word}: {told}");
    }
    is_the_daemon(stage, stage.daemon.process()?)?;
    let children = stage.daemon.process()?.children()?;
    ensure!(children == [stage.daemon.terminator()?], "{children:?}");
    let status = stage.daemon.status()?;
    ensure!(status.enforcing("eth0")?, "{:?}", status.json());
    stage.edge_is_served()?;
    stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
    stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V6), "unknown_source")?;
    stage.daemon.verb(&["mode", "observe"])?.success()?;
    stage.daemon.verb(&["mode", "default"])?.success()?;
    Ok(())
}

/// Replaces the program of the daemon by a script. Keeps the program as `.aside`.
fn replace_by(stage: &Stage, script: &str) -> Result<()> {
    const REPLACE: &str = "mv $0 $0.aside && printf '#!/bin/sh\n%s\n' \"$1\" >$0 && chmod 755 $0";
    // Not with fs::write: the kernel does not execute a file that any process has open for writing,
    // and a child that another thread forks at that moment inherits our descriptor.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", REPLACE]).arg(stage.daemon.program()).arg(script);
    child::finish(command, &[], SOON)?.success()?;
    Ok(())
}

/// Runs `claim` on a stage whose program can be replaced.
fn on_a_copy(claim: impl FnOnce(&mut Stage) -> Result<()>) {
    on_stage(|stage| {
        stage.daemon.kill();
        stage.daemon.use_a_copy("aop")?;
        stage.daemon.run()?;
        claim(stage)
    });
}

#[test]
fn an_invalid_configuration_is_reported_and_a_valid_one_works_then() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let generation = stage.daemon.status()?.generation()?;
        let good = stage.config.text();
        let broken = [
            (good.replace("mode =", "mood ="), "mood"),
            (good.replace("pki/server.pem", "pki/missing.pem"), "missing.pem"),
            (good.replace("mode = \"enforce\"", "mode = \"off\""), "need a restart"),
            (good.replace("0.0.0.0:443", "192.0.2.77:443"), "192.0.2.77:443"),
        ];
        for (text, named) in broken {
            ensure!(text != good);
            stage.daemon.write(&text)?;
            let failed = stage.daemon.verb(&["upgrade"])?;
            stage.daemon.write(&good)?;
            ensure!(stage.daemon.status()?.generation()? == generation, "packets were touched");
            ensure!(failed.code == 1 && failed.errors.contains(named), "{failed:?}");
        }
        stage.daemon.write(&good.replace("mode =", "mood ="))?;
        let failed = stage.daemon.verb(&["upgrade"])?;
        stage.daemon.write(&good)?;
        continues(stage, &failed, &["does not take over", "mood"])?;
        client::get(&mut session, "/after")?;
        let new = stage.daemon.upgrade()?;
        client::get(&mut session, "/after-both")?;
        is_the_daemon(stage, new)
    });
}

#[test]
fn a_program_that_hangs_exits_or_is_missing_is_reported_and_killed() {
    for (script, named) in [
        ("exec sleep 1000", "did not answer within 10s"),
        ("exit 7", "exit status: 7"),
        ("kill -KILL $$", "signal: 9"),
    ] {
        on_a_copy(|stage| {
            replace_by(stage, script)?;
            let failed = upgrade(stage)?;
            continues_after_restoring_the_program(stage, &failed, named)
        });
    }
    on_a_copy(|stage| {
        let program = stage.daemon.program().display().to_string();
        fs::rename(&program, format!("{program}.aside"))?;
        let failed = upgrade(stage)?;
        continues_after_restoring_the_program(stage, &failed, "install a program there")
    });
}

/// As [`continues`], after it has restored the program, which `status` needs.
fn continues_after_restoring_the_program(
    stage: &Stage,
    failed: &CommandOutput,
    named: &str,
) -> Result<()> {
    let program = stage.daemon.program().display().to_string();
    fs::rename(format!("{program}.aside"), &program)?;
    continues(stage, failed, &[named, &program])
}

/// A successor that hangs midway: it has switched the firewall to observe mode, and its terminator
/// is stopped and does not serve.
struct HungTakeover {
    overrides: PathBuf,
}

impl HungTakeover {
    /// Prepares a hung takeover. Call it before the upgrade.
    fn prepare(stage: &Stage) -> Result<Self> {
        let overrides = stage.config.state.join("modes.json");
        fs::create_dir_all(&stage.config.state)?;
        // The successor reads the stored mode overrides from this pipe, so it waits: after its
        // terminator is prepared, and before it changes the firewall.
        let mut command = std::process::Command::new("mkfifo");
        command.arg(&overrides);
        child::finish(command, &[], SOON)?.success()?;
        Ok(Self { overrides })
    }

    /// Waits until the successor hangs.
    fn reached(self, stage: &Stage) -> Result<Process> {
        const PATIENCE: Duration = Duration::from_secs(20);
        const OVERRIDES: &str = r#"{"set_at": "2026-01-01T00:00:00Z", "configured": "enforce",
            "general": "observe", "ports": {}, "interfaces": {}}"#;
        let generation = stage.daemon.status()?.generation()?;
        let (old, terminator) = (stage.daemon.process()?, stage.daemon.terminator()?);
        let open = || {
            // The open fails until there is a reader.
            let mut options = fs::File::options();
            options.write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&self.overrides).ok()
        };
        let mut pipe = wait::until("it reads the overrides", PATIENCE, open)?;
        let mut children = old.children()?.into_iter();
        let new = children.find(|child| *child != terminator).context("no new one")?;
        new.children()?.pop().context("without a terminator")?.signal(Signal::SIGSTOP)?;
        pipe.write_all(OVERRIDES.as_bytes())?;
        drop(pipe);
        fs::remove_file(&self.overrides)?;
        wait::until("its policy is in force", PATIENCE, || {
            let now = stage.daemon.status().and_then(|status| status.generation()).ok()?;
            (now > generation).then_some(())
        })?;
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        stage.lab.stranger().connect(to, SOON).context("a stranger")?;
        Ok(new)
    }
}

#[test]
fn a_successor_that_is_killed_midway_leaves_the_old_policy() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let midway = HungTakeover::prepare(stage)?;
        let failed = std::thread::scope(|scope| {
            let upgrade = scope.spawn(|| stage.daemon.verb(&["upgrade"]));
            let new = midway.reached(stage)?;
            // Meanwhile changes are refused with the reason.
            for verb in [&["mode", "observe"][..], &["prefixes", "refresh"], &["upgrade"]] {
                let declined = stage.daemon.verb(verb)?;
                let told =
                    format!("{}{}", declined.errors, String::from_utf8_lossy(&declined.output));
                let why = told.contains("is being upgraded") || told.contains("under way");
                ensure!(declined.code == 1 && why, "{verb:?}: {declined:?}");
            }
            let said = stage.daemon.reload()?;
            ensure!(said.contains("not reloaded") && said.contains("is being upgraded"), "{said}");
            client::get(&mut session, "/meanwhile")?;
            stage.edge_is_served()?;
            new.signal(Signal::SIGKILL)?;
            upgrade.join().map_err(|_| anyhow::anyhow!("a panic"))?
        })?;
        continues(stage, &failed, &["ended before it served", "signal: 9"])?;
        client::get(&mut session, "/after")?;
        let new = stage.daemon.upgrade()?;
        is_the_daemon(stage, new)
    });
}

#[test]
fn a_draining_daemon_refuses_an_upgrade() {
    on_stage(|stage| {
        let session = stage.open()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        stage.daemon.wait_for_log("draining")?;
        let failed = stage.daemon.verb(&["upgrade"])?;
        ensure!(failed.code == 1 && failed.errors.contains("stopping"), "{failed:?}");
        drop(session);
        ensure!(stage.daemon.wait(SOON)? == 0);
        Ok(())
    });
}

#[test]
fn sigterm_ends_an_upgrade_that_is_under_way() {
    on_stage(|stage| {
        let midway = HungTakeover::prepare(stage)?;
        let failed = std::thread::scope(|scope| {
            let upgrade = scope.spawn(|| stage.daemon.verb(&["upgrade"]));
            let new = midway.reached(stage)?;
            stage.daemon.signal(Signal::SIGTERM)?;
            let failed = upgrade.join().map_err(|_| anyhow::anyhow!("a panic"))??;
            ensure!(!new.exists(), "the successor still runs");
            anyhow::Ok(failed)
        })?;
        ensure!(failed.code == 1 && failed.errors.contains("stopping"), "{failed:?}");
        ensure!(!stage.daemon.log().contains("serves from"), "{}", stage.daemon.log());
        ensure!(stage.daemon.wait(SOON)? == 0, "{}", stage.daemon.log());
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        stage.daemon.run()?;
        stage.edge_is_served()
    });
}
