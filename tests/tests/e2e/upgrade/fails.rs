//! The new process fails, hangs or dies: the old one goes on as if nothing had been.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::child::{self, Finished};
use aop_tests::{Family, Process, Pull, hand, wait};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::is_the_daemon;
use crate::stage::{SOON, Stage, on_stage};

/// The verb fails and says `named`; the old process serves on, under its old policy, and can still
/// be changed.
fn goes_on(stage: &Stage, upgrade: &Finished, named: &[&str]) -> Result<()> {
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
    stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")?;
    stage.silences(&Pull::by_stranger(&stage.world, Family::V6), "unknown_source")?;
    let switched = stage.daemon.verb(&["mode", "observe"])?;
    ensure!(switched.code == 0, "{switched:?}");
    ensure!(stage.daemon.verb(&["mode", "default"])?.code == 0);
    Ok(())
}

/// Puts a script in the place of the daemon's program, which is put aside.
fn replace_by(stage: &Stage, script: &str) -> Result<()> {
    const REPLACE: &str = "mv $0 $0.aside && printf '#!/bin/sh\n%s\n' \"$1\" >$0 && chmod 755 $0";
    // In another process: this one forks, and who holds the file open for writing keeps it from being
    // executed.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", REPLACE]).arg(stage.daemon.program()).arg(script);
    let done = child::finish(command, &[], SOON)?;
    ensure!(done.code == 0, "{done:?}");
    Ok(())
}

/// The verb, by the program that is built, whatever stands in the place of the daemon's.
fn upgrade(stage: &Stage) -> Result<Finished> {
    let mut command = stage.world.origin().command(child::built("aop")?);
    command.arg("upgrade").arg("--config").arg(stage.daemon.config_path());
    child::finish(command, &[], Duration::from_secs(40))
}

/// Tries a claim on a daemon whose program can be replaced.
fn on_a_copy(claim: impl FnOnce(&mut Stage) -> Result<()>) {
    on_stage(|stage| {
        stage.daemon.kill();
        stage.daemon.use_a_copy("aop")?;
        stage.daemon.run()?;
        claim(stage)
    });
}

#[test]
fn a_broken_configuration_is_told_and_a_good_one_works_then() {
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
        goes_on(stage, &failed, &["does not take over", "mood"])?;
        hand::get(&mut session, "/after")?;
        let new = stage.daemon.upgrade()?;
        hand::get(&mut session, "/after-both")?;
        is_the_daemon(stage, new)
    });
}

#[test]
fn a_program_that_hangs_that_ends_or_that_is_none_is_told_and_ended() {
    for (script, named) in [
        ("exec sleep 1000", "did not answer within 10s"),
        ("exit 7", "exit status: 7"),
        ("kill -KILL $$", "signal: 9"),
    ] {
        on_a_copy(|stage| {
            replace_by(stage, script)?;
            let failed = upgrade(stage)?;
            goes_on_with_the_copy(stage, &failed, named)
        });
    }
    on_a_copy(|stage| {
        let program = stage.daemon.program().display().to_string();
        fs::rename(&program, format!("{program}.aside"))?;
        let failed = upgrade(stage)?;
        goes_on_with_the_copy(stage, &failed, "install a program there")
    });
}

/// As [`goes_on`], after the program was put back for the read verbs.
fn goes_on_with_the_copy(stage: &Stage, failed: &Finished, named: &str) -> Result<()> {
    let program = stage.daemon.program().display().to_string();
    fs::rename(format!("{program}.aside"), &program)?;
    goes_on(stage, failed, &[named, &program])
}

fn send(process: Process, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(process.0)?), signal).context("it is gone")
}

/// A process that takes over, hanging: it has changed the packet path, by which everybody passes, and
/// its own terminator stands still and does not serve.
struct Midway {
    word: PathBuf,
}

impl Midway {
    /// Prepares one, to be called before the upgrade.
    fn prepare(stage: &Stage) -> Result<Self> {
        let word = stage.config.state.join("modes.json");
        fs::create_dir_all(&stage.config.state)?;
        // Whoever reads what `aop mode` said waits here for it: when its terminator has prepared, and
        // before it guards.
        let mut command = std::process::Command::new("mkfifo");
        command.arg(&word);
        ensure!(child::finish(command, &[], SOON)?.code == 0);
        Ok(Self { word })
    }

    /// Waits until it hangs.
    fn reached(self, stage: &Stage) -> Result<Process> {
        const PATIENCE: Duration = Duration::from_secs(20);
        const WORD: &str = r#"{"set_at": "2026-01-01T00:00:00Z", "configured": "enforce",
            "general": "observe", "ports": {}, "interfaces": {}}"#;
        let generation = stage.daemon.status()?.generation()?;
        let (old, terminator) = (stage.daemon.process()?, stage.daemon.terminator()?);
        let open = || {
            // Without a reader there is nothing to open.
            let mut options = fs::File::options();
            options.write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&self.word).ok()
        };
        let mut pipe = wait::until("it asks for the word", PATIENCE, open)?;
        let mut children = old.children()?.into_iter();
        let new = children.find(|child| *child != terminator).context("no new one")?;
        send(new.children()?.pop().context("without a terminator")?, Signal::SIGSTOP)?;
        pipe.write_all(WORD.as_bytes())?;
        drop(pipe);
        fs::remove_file(&self.word)?;
        wait::until("its policy is in force", PATIENCE, || {
            let now = stage.daemon.status().and_then(|status| status.generation()).ok()?;
            (now > generation).then_some(())
        })?;
        let to = stage.world.origin_at(Family::V4, 443);
        stage.world.stranger().connect(to, SOON).context("a stranger")?;
        Ok(new)
    }
}

#[test]
fn a_process_that_is_killed_midway_leaves_the_old_policy() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let midway = Midway::prepare(stage)?;
        let failed = std::thread::scope(|scope| {
            let upgrade = scope.spawn(|| stage.daemon.verb(&["upgrade"]));
            let new = midway.reached(stage)?;
            // Meanwhile nothing is changed, and whoever asks is told why.
            for verb in [&["mode", "observe"][..], &["prefixes", "refresh"], &["upgrade"]] {
                let declined = stage.daemon.verb(verb)?;
                let told =
                    format!("{}{}", declined.errors, String::from_utf8_lossy(&declined.output));
                let why = told.contains("is being upgraded") || told.contains("under way");
                ensure!(declined.code == 1 && why, "{verb:?}: {declined:?}");
            }
            let said = stage.daemon.reload()?;
            ensure!(said.contains("not reloaded") && said.contains("is being upgraded"), "{said}");
            hand::get(&mut session, "/meanwhile")?;
            stage.edge_is_served()?;
            send(new, Signal::SIGKILL)?;
            upgrade.join().map_err(|_| anyhow::anyhow!("a panic"))?
        })?;
        goes_on(stage, &failed, &["ended before it served", "signal: 9"])?;
        hand::get(&mut session, "/after")?;
        let new = stage.daemon.upgrade()?;
        is_the_daemon(stage, new)
    });
}

#[test]
fn a_daemon_that_drains_hands_over_to_nobody() {
    on_stage(|stage| {
        let session = stage.open()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        wait::until("it drains", SOON, || stage.daemon.log().contains("draining").then_some(()))?;
        let failed = stage.daemon.verb(&["upgrade"])?;
        ensure!(failed.code == 1 && failed.errors.contains("stopping"), "{failed:?}");
        drop(session);
        ensure!(stage.daemon.wait(SOON)? == 0);
        Ok(())
    });
}

#[test]
fn a_signal_to_stop_ends_an_upgrade_that_is_under_way() {
    on_stage(|stage| {
        let midway = Midway::prepare(stage)?;
        let failed = std::thread::scope(|scope| {
            let upgrade = scope.spawn(|| stage.daemon.verb(&["upgrade"]));
            let new = midway.reached(stage)?;
            stage.daemon.signal(Signal::SIGTERM)?;
            let failed = upgrade.join().map_err(|_| anyhow::anyhow!("a panic"))??;
            ensure!(!new.exists(), "the new one is left");
            anyhow::Ok(failed)
        })?;
        ensure!(failed.code == 1 && failed.errors.contains("stopping"), "{failed:?}");
        ensure!(!stage.daemon.log().contains("serves from"), "{}", stage.daemon.log());
        ensure!(stage.daemon.wait(SOON)? == 0, "{}", stage.daemon.log());
        let outcome = Pull::by_stranger(&stage.world, Family::V4).send()?;
        ensure!(outcome.silent(), "{outcome}");
        stage.daemon.run()?;
        stage.edge_is_served()
    });
}
