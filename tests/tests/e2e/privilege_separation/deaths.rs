//! One of the two processes dies or stops: the effect on the other, on packets and on the status.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use aop_tests::{IpVersion, Process, Pull, PullOutcome, client, wait};
use nix::sys::signal::Signal;

use crate::stage::{SOON, Stage, is_guarded, on_changed_stage, on_stage};

fn is_gone(process: Process) -> Result<()> {
    wait::until("the process is gone", SOON, || (!process.exists()).then_some(()))
}

/// Strangers meet silence. The edge, which is admitted, meets a closed port.
fn filtered_and_closed(stage: &Stage) -> Result<()> {
    ensure!(is_guarded(&stage.lab)?);
    for family in IpVersion::BOTH {
        let outcome = Pull::by_stranger(&stage.lab, family).send()?;
        ensure!(outcome.silent(), "a stranger met: {outcome}");
        let begun = Instant::now();
        let outcome = Pull::by_edge(&stage.lab, family).send()?;
        ensure!(matches!(outcome, PullOutcome::Other(_)), "the edge met: {outcome}");
        ensure!(begun.elapsed() < SOON, "it got no answer");
    }
    Ok(())
}

#[test]
fn a_killed_daemon_takes_its_terminator_with_it_at_once() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let terminator = stage.daemon.terminator()?;
        stage.daemon.kill();
        is_gone(terminator)?;
        ensure!(client::get(&mut session, "/").is_err(), "it is still served");
        filtered_and_closed(stage)?;
        stage.daemon.run()?;
        stage.edge_is_served()
    });
}

#[test]
fn a_killed_terminator_ends_the_daemon_with_an_error_and_packets_stay_filtered() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let terminator = stage.daemon.terminator()?;
        terminator.signal(Signal::SIGKILL)?;
        let code = stage.daemon.wait(SOON)?;
        let log = stage.daemon.log();
        ensure!(code == 1, "exit code {code}: {log}");
        let told = "the terminator process ended, signal: 9 (SIGKILL)";
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(told)).collect();
        ensure!(lines.len() == 1 && lines[0].starts_with("aop: "), "{log}");
        ensure!(!terminator.exists(), "it was left as a zombie");
        filtered_and_closed(stage)?;
        stage.daemon.run()?;
        let status = stage.daemon.status()?;
        let crash = &status.json()["last_crash"];
        ensure!(crash["process"] == "terminator" && crash["at"].is_string(), "{crash}");
        let how = crash["how"].as_str().unwrap_or_default();
        ensure!(how.contains("signal: 9 (SIGKILL)"), "{crash}");
        stage.edge_is_served()
    });
}

#[test]
fn a_terminator_that_dies_while_draining_is_an_error_too() {
    on_stage(|stage| {
        let _session = stage.open()?;
        let terminator = stage.daemon.terminator()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        stage.daemon.wait_for_log("draining")?;
        terminator.signal(Signal::SIGKILL)?;
        let code = stage.daemon.wait(SOON)?;
        ensure!(code == 1, "exit code {code}: {}", stage.daemon.log());
        ensure!(!terminator.exists());
        Ok(())
    });
}

#[test]
fn a_regular_stop_leaves_no_process() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let terminator = stage.daemon.terminator()?;
        stage.daemon.stop()?;
        ensure!(!terminator.exists());
        Ok(())
    });
}

#[test]
fn the_terminator_ignores_signals_that_are_sent_to_the_process_group() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let terminator = stage.daemon.terminator()?;
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            terminator.signal(signal)?;
        }
        std::thread::sleep(Duration::from_millis(300));
        client::get(&mut session, "/after")?;
        stage.edge_is_served()?;
        ensure!(stage.daemon.terminator()? == terminator);
        Ok(())
    });
}

#[test]
fn a_stopped_terminator_blocks_neither_the_status_nor_packets() {
    on_changed_stage(
        |config, _| config.extra = vec!["192.0.2.0/24".into()],
        |stage| {
            stage.edge_is_served()?;
            let terminator = stage.daemon.terminator()?;
            terminator.signal(Signal::SIGSTOP)?;
            for _ in 0..3 {
                let begun = Instant::now();
                let status = stage.daemon.status()?;
                ensure!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
                let told = "the terminator process does not answer";
                ensure!(status.warnings()?.iter().any(|it| it.contains(told)), "{status:?}");
                ensure!(status.json()["terminator"]["answers"] == false);
                ensure!(status.enforcing("eth0")?);
            }
            Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
            terminator.signal(Signal::SIGCONT)?;
            wait::until("it answers again", SOON, || {
                let status = stage.daemon.status().ok()?;
                (status.json()["terminator"]["answers"] == true).then_some(())
            })?;
            stage.edge_is_served()?;
            ensure!(stage.daemon.status()?.accepted()? == 2);
            Ok(())
        },
    );
}

/// A terminator that hangs serves nobody. It must be replaced within 20 s; the service manager
/// needs a second or two of them to start aop again.
#[test]
fn a_terminator_that_hangs_is_killed_and_the_daemon_ends() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let terminator = stage.daemon.terminator()?;
        terminator.signal(Signal::SIGSTOP)?;
        let stopped = Instant::now();
        let code = stage.daemon.wait(Duration::from_secs(20))?;
        ensure!(code == 1, "exit code {code}");
        ensure!(stopped.elapsed() < Duration::from_secs(18), "{:?}", stopped.elapsed());
        let log = stage.daemon.log();
        ensure!(log.contains("the terminator process hangs"), "{log}");
        ensure!(!terminator.exists(), "it was left behind");
        stage.daemon.run()?;
        stage.edge_is_served()
    });
}
