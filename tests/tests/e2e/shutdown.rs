//! SIGTERM: no new connection, time for the open ones, an exit code that says how it went; and
//! never an open door afterwards.

use std::time::{Duration, Instant};

use anyhow::ensure;
use aop_tests::hand;
use aop_tests::{Family, Outcome, Pull};
use nix::sys::signal::Signal;

use crate::stage::{is_guarded, on_changed_stage, on_stage};

#[test]
fn open_connections_end_by_themselves_and_the_exit_is_clean() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        std::thread::sleep(Duration::from_millis(300));
        let outcome = Pull::by_edge(&stage.world, Family::V4).send()?;
        ensure!(matches!(outcome, Outcome::Other(_)), "a new connection met: {outcome}");
        let body = hand::get(&mut session, "/bytes/100000")?;
        ensure!(body.len() == 100_000, "{} bytes", body.len());
        drop(session);
        let code = stage.daemon.wait(Duration::from_secs(10))?;
        ensure!(code == 0, "exit code {code}");
        Ok(())
    });
}

#[test]
fn past_the_drain_deadline_connections_are_cut_and_the_exit_code_says_so() {
    on_changed_stage(
        |config, _| config.drain = "1s",
        |stage| {
            let session = stage.open()?;
            let start = Instant::now();
            stage.daemon.signal(Signal::SIGTERM)?;
            let code = stage.daemon.wait(Duration::from_secs(10))?;
            ensure!(code == 3, "exit code {code}");
            ensure!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
            drop(session);
            Ok(())
        },
    );
}

#[test]
fn an_idle_daemon_ends_at_once_and_leaves_the_firewall_up() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        let code = stage.daemon.wait(Duration::from_secs(5))?;
        ensure!(code == 0, "exit code {code}");
        ensure!(is_guarded(&stage.world)?);
        for family in Family::BOTH {
            let outcome = Pull::by_stranger(&stage.world, family).send()?;
            ensure!(outcome.silent(), "{outcome}");
        }
        Ok(())
    });
}

#[test]
fn a_reload_during_the_drain_does_no_harm() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        std::thread::sleep(Duration::from_millis(100));
        stage.daemon.signal(Signal::SIGHUP)?;
        std::thread::sleep(Duration::from_millis(300));
        hand::get(&mut session, "/")?;
        drop(session);
        let code = stage.daemon.wait(Duration::from_secs(10))?;
        ensure!(code == 0, "exit code {code}");
        Ok(())
    });
}

#[test]
fn a_second_signal_during_the_drain_cuts_at_once() {
    on_stage(|stage| {
        let session = stage.open()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        std::thread::sleep(Duration::from_millis(300));
        stage.daemon.signal(Signal::SIGINT)?;
        let code = stage.daemon.wait(Duration::from_secs(5))?;
        ensure!(code == 3, "exit code {code}");
        let log = stage.daemon.log();
        ensure!(log.contains("stop requested again"), "{log}");
        drop(session);
        Ok(())
    });
}
