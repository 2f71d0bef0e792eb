//! SIGTERM: no new connections, a drain time for open ones, an exit code for the result, and a
//! firewall that stays attached.

use std::time::{Duration, Instant};

use anyhow::ensure;
use aop_tests::client;
use aop_tests::{IpVersion, Pull, PullOutcome, wait};
use nix::sys::signal::Signal;

use crate::stage::{SOON, is_guarded, on_changed_stage, on_stage};

#[test]
fn when_open_connections_end_by_themselves_the_exit_code_is_0() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        stage.daemon.wait_for_log("draining")?;
        // The terminator, another process, stops listening some moments later.
        wait::until("a new connection is refused", SOON, || {
            let outcome = Pull::by_edge(&stage.lab, IpVersion::V4).send().ok()?;
            matches!(outcome, PullOutcome::Other(_)).then_some(())
        })?;
        let body = client::get(&mut session, "/bytes/100000")?;
        ensure!(body.len() == 100_000, "{} bytes", body.len());
        drop(session);
        let code = stage.daemon.wait(Duration::from_secs(10))?;
        ensure!(code == 0, "exit code {code}");
        Ok(())
    });
}

#[test]
fn after_the_drain_deadline_connections_are_cut_and_the_exit_code_is_3() {
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
fn an_idle_daemon_exits_at_once_and_the_firewall_stays_attached() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        let code = stage.daemon.wait(Duration::from_secs(5))?;
        ensure!(code == 0, "exit code {code}");
        ensure!(is_guarded(&stage.lab)?);
        for family in IpVersion::BOTH {
            Pull::by_stranger(&stage.lab, family).must_meet_silence()?;
        }
        Ok(())
    });
}

#[test]
fn a_reload_during_the_drain_does_no_harm() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        stage.daemon.signal(Signal::SIGTERM)?;
        stage.daemon.wait_for_log("draining")?;
        stage.daemon.signal(Signal::SIGHUP)?;
        std::thread::sleep(Duration::from_millis(300));
        client::get(&mut session, "/")?;
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
        stage.daemon.wait_for_log("draining")?;
        stage.daemon.signal(Signal::SIGINT)?;
        let code = stage.daemon.wait(Duration::from_secs(5))?;
        ensure!(code == 3, "exit code {code}");
        let log = stage.daemon.log();
        ensure!(log.contains("stop requested again"), "{log}");
        drop(session);
        Ok(())
    });
}
