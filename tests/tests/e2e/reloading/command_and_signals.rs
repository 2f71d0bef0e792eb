//! Requests for a reload: `aop reload`, many SIGHUPs, and SIGTERM during a reload that hangs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

/// The exit code and the document of `aop reload --json`.
fn reload(stage: &Stage) -> Result<(i32, Value)> {
    let verb = stage.daemon.verb(&["reload", "--json"])?;
    let told = serde_json::from_slice(&verb.output).with_context(|| format!("{verb:?}"))?;
    Ok((verb.code, told))
}

fn count(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn aop_reload_applies_the_file_and_describes_the_result() {
    on_stage(|stage| {
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        ensure!(stage.daemon.status()?.json()["last_reload"].is_null());
        stage.config.mode = "observe";
        stage.daemon.write(&stage.config.text())?;
        let (code, told) = reload(stage)?;
        ensure!(code == 0 && told["outcome"] == "applied" && told["by"] == "command", "{told}");
        ensure!(told["sites"] == 1 && told["files"] == 3 && told["error"].is_null(), "{told}");
        let warned = told["warnings"].as_array().context("no list")?;
        ensure!(warned.iter().any(|it| it.as_str().unwrap_or("").contains("observes")), "{told}");
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_be_served()?;
        ensure!(stage.daemon.status()?.json()["last_reload"] == told);
        let verb = stage.daemon.verb(&["reload"])?;
        let said = verb.text();
        ensure!(verb.code == 0 && said.contains("1 site and 3 files"), "{verb:?}");
        ensure!(said.contains("warning: the firewall observes"), "{said}");
        Ok(())
    });
}

#[test]
fn aop_reload_of_an_invalid_file_fails_with_the_reason_and_changes_nothing() {
    on_stage(|stage| {
        let open = stage.config.text().replace("extra = []", "extra = [\"198.51.100.0/24\"]");
        stage.daemon.write(&open.replace("tcp://127.0.0.1:8080", "gopher://127.0.0.1"))?;
        let (code, told) = reload(stage)?;
        ensure!(code == 1 && told["outcome"] == "refused" && told["sites"] == 0, "{told}");
        ensure!(told["error"].as_str().unwrap_or("").contains("gopher"), "{told}");
        let verb = stage.daemon.verb(&["reload"])?;
        let said = verb.text();
        ensure!(
            verb.code == 1 && said.contains("the old configuration stays in force"),
            "{verb:?}"
        );
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;

        let screen = stage.daemon.verb(&["status"])?;
        let screen = screen.text();
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
fn many_sighups_during_a_reload_cause_one_more_reload() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let terminator = stage.daemon.terminator()?;
        // So the first reload lasts as long as the signals come.
        terminator.signal(Signal::SIGSTOP)?;
        for _ in 0..200 {
            stage.daemon.signal(Signal::SIGHUP)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        terminator.signal(Signal::SIGCONT)?;
        let reloaded = || count(&stage.daemon.log(), "reloaded");
        wait::until("both are over", SOON, || (reloaded() >= 2).then_some(()))?;
        std::thread::sleep(Duration::from_millis(500));
        ensure!(reloaded() == 2, "{}", stage.daemon.log());
        stage.edge_is_served()
    });
}

#[test]
fn sigterm_during_a_hung_reload_ends_the_daemon_in_time() {
    on_changed_stage(
        |config, _| config.drain = "1s",
        |stage| {
            stage.edge_is_served()?;
            let terminator = stage.daemon.terminator()?;
            terminator.signal(Signal::SIGSTOP)?;
            stage.daemon.signal(Signal::SIGHUP)?;
            std::thread::sleep(Duration::from_millis(500));
            let begun = Instant::now();
            stage.daemon.signal(Signal::SIGTERM)?;
            stage.daemon.wait_for_log("draining")?;
            ensure!(begun.elapsed() < Duration::from_secs(1), "it waited {:?}", begun.elapsed());
            // The drain, the extra time for the terminator, and its last report, which never comes.
            let code = stage.daemon.wait(Duration::from_secs(12))?;
            ensure!(code == 1 && !terminator.exists(), "exit code {code}");
            ensure!(stage.daemon.log().contains("does not answer"), "{}", stage.daemon.log());
            Ok(())
        },
    );
}

#[test]
fn a_reload_that_is_under_way_at_sigterm_is_not_applied() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let terminator = stage.daemon.terminator()?;
        terminator.signal(Signal::SIGSTOP)?;
        stage.daemon.write(&stage.config.text().replace("enforce", "observe"))?;
        stage.daemon.signal(Signal::SIGHUP)?;
        std::thread::sleep(Duration::from_millis(500));
        stage.daemon.signal(Signal::SIGTERM)?;
        stage.daemon.wait_for_log("draining")?;
        terminator.signal(Signal::SIGCONT)?;
        wait::until("the reload is over", SOON, || {
            stage.daemon.log().contains("not reloaded").then_some(())
        })?;
        let (code, told) = reload(stage)?;
        ensure!(code == 1 && told["error"].as_str().unwrap_or("").contains("stopping"), "{told}");
        ensure!(stage.daemon.status()?.json()["mode"] == "enforce");
        aop_tests::client::get(&mut session, "/")?;
        drop(session);
        let code = stage.daemon.wait(Duration::from_secs(10))?;
        ensure!(code == 0, "exit code {code}");
        Ok(())
    });
}
