//! How a reload is asked for, and that nothing waits for one: `aop reload`, a storm of SIGHUP, and
//! SIGTERM while one hangs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{Family, Process, Pull, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

/// What `aop reload --json` says, and its exit code.
fn reload(stage: &Stage) -> Result<(i32, Value)> {
    let verb = stage.daemon.verb(&["reload", "--json"])?;
    let told = serde_json::from_slice(&verb.output).with_context(|| format!("{verb:?}"))?;
    Ok((verb.code, told))
}

fn send(process: Process, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(process.0)?), signal).context("it is gone")
}

fn count(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn aop_reload_loads_what_stands_in_the_file_and_says_what_that_is() {
    on_stage(|stage| {
        stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")?;
        ensure!(stage.daemon.status()?.json()["last_reload"].is_null());
        stage.config.mode = "observe";
        stage.daemon.write(&stage.config.text())?;
        let (code, told) = reload(stage)?;
        ensure!(code == 0 && told["outcome"] == "applied" && told["by"] == "command", "{told}");
        ensure!(told["sites"] == 1 && told["files"] == 3 && told["error"].is_null(), "{told}");
        let warned = told["warnings"].as_array().context("no list")?;
        ensure!(warned.iter().any(|it| it.as_str().unwrap_or("").contains("observes")), "{told}");
        let outcome = Pull::by_stranger(&stage.world, Family::V4).send()?;
        ensure!(outcome.served(), "{outcome}");
        ensure!(stage.daemon.status()?.json()["last_reload"] == told);
        let verb = stage.daemon.verb(&["reload"])?;
        let said = String::from_utf8_lossy(&verb.output).into_owned();
        ensure!(verb.code == 0 && said.contains("1 site and 3 files"), "{verb:?}");
        ensure!(said.contains("warning: the firewall observes"), "{said}");
        Ok(())
    });
}

#[test]
fn aop_reload_of_what_is_bad_fails_with_the_reason_and_changes_nothing() {
    on_stage(|stage| {
        let open = stage.config.text().replace("extra = []", "extra = [\"198.51.100.0/24\"]");
        stage.daemon.write(&open.replace("tcp://127.0.0.1:8080", "gopher://127.0.0.1"))?;
        let (code, told) = reload(stage)?;
        ensure!(code == 1 && told["outcome"] == "refused" && told["sites"] == 0, "{told}");
        ensure!(told["error"].as_str().unwrap_or("").contains("gopher"), "{told}");
        let verb = stage.daemon.verb(&["reload"])?;
        let said = String::from_utf8_lossy(&verb.output).into_owned();
        ensure!(
            verb.code == 1 && said.contains("the old configuration stays in force"),
            "{verb:?}"
        );
        stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")?;

        let screen = stage.daemon.verb(&["status"])?;
        let screen = String::from_utf8_lossy(&screen.output).into_owned();
        ensure!(screen.contains("last reload") && screen.contains("REFUSED"), "{screen}");
        stage.daemon.write(&stage.config.text())?;
        let (code, told) = reload(stage)?;
        ensure!(code == 0 && told["error"].is_null(), "{told}");
        stage.daemon.kill();
        let verb = stage.daemon.verb(&["reload"])?;
        ensure!(verb.code == 1 && verb.errors.contains("nothing was reloaded"), "{verb:?}");
        Ok(())
    });
}

#[test]
fn a_storm_of_signals_is_one_reload_and_one_more() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let terminator = stage.daemon.terminator()?;
        // The first one then takes as long as the storm does.
        send(terminator, Signal::SIGSTOP)?;
        for _ in 0..200 {
            stage.daemon.signal(Signal::SIGHUP)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        send(terminator, Signal::SIGCONT)?;
        let reloaded = || count(&stage.daemon.log(), "reloaded");
        wait::until("both are over", SOON, || (reloaded() >= 2).then_some(()))?;
        std::thread::sleep(Duration::from_millis(500));
        ensure!(reloaded() == 2, "{}", stage.daemon.log());
        stage.edge_is_served()
    });
}

#[test]
fn sigterm_during_a_reload_that_hangs_ends_the_daemon_in_time() {
    on_changed_stage(
        |config, _| config.drain = "1s",
        |stage| {
            stage.edge_is_served()?;
            let terminator = stage.daemon.terminator()?;
            send(terminator, Signal::SIGSTOP)?;
            stage.daemon.signal(Signal::SIGHUP)?;
            std::thread::sleep(Duration::from_millis(500));
            let begun = Instant::now();
            stage.daemon.signal(Signal::SIGTERM)?;
            wait::until("it drains", SOON, || {
                stage.daemon.log().contains("draining").then_some(())
            })?;
            ensure!(begun.elapsed() < Duration::from_secs(1), "it waited {:?}", begun.elapsed());
            // The drain, what the terminator gets beyond it, and the last report that never comes.
            let code = stage.daemon.wait(Duration::from_secs(12))?;
            ensure!(code == 1 && !terminator.exists(), "exit code {code}");
            ensure!(stage.daemon.log().contains("does not answer"), "{}", stage.daemon.log());
            Ok(())
        },
    );
}

#[test]
fn what_is_read_when_sigterm_comes_is_not_loaded_any_more() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let terminator = stage.daemon.terminator()?;
        send(terminator, Signal::SIGSTOP)?;
        stage.daemon.write(&stage.config.text().replace("enforce", "observe"))?;
        stage.daemon.signal(Signal::SIGHUP)?;
        std::thread::sleep(Duration::from_millis(500));
        stage.daemon.signal(Signal::SIGTERM)?;
        wait::until("it drains", SOON, || stage.daemon.log().contains("draining").then_some(()))?;
        send(terminator, Signal::SIGCONT)?;
        wait::until("the reload is over", SOON, || {
            stage.daemon.log().contains("not reloaded").then_some(())
        })?;
        let (code, told) = reload(stage)?;
        ensure!(code == 1 && told["error"].as_str().unwrap_or("").contains("stopping"), "{told}");
        ensure!(stage.daemon.status()?.json()["mode"] == "enforce");
        aop_tests::hand::get(&mut session, "/")?;
        drop(session);
        let code = stage.daemon.wait(Duration::from_secs(10))?;
        ensure!(code == 0, "exit code {code}");
        Ok(())
    });
}
