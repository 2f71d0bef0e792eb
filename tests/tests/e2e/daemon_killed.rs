//! The daemon is killed: the firewall continues to enforce and to count, and a new daemon takes
//! over both.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::{IpVersion, Pull, PullOutcome, StatusJson};

use crate::stage::{Stage, is_guarded, on_stage};

fn dropped(status: &StatusJson) -> Result<u64> {
    status.packets("drop", "unknown_source")
}

#[test]
fn while_no_daemon_runs_packets_are_filtered_and_counted() {
    on_stage(|stage| {
        for family in IpVersion::BOTH {
            stage.silences(&Pull::by_stranger(&stage.lab, family), "unknown_source")?;
        }
        let alive = stage.daemon.status()?;
        stage.daemon.kill();
        for family in IpVersion::BOTH {
            let before = dropped(&stage.daemon.status()?)?;
            Pull::by_stranger(&stage.lab, family).must_meet_silence()?;
            ensure!(dropped(&stage.daemon.status()?)? > before);
            // The packets of the edge pass, but there is no listener.
            let outcome = Pull::by_edge(&stage.lab, family).send()?;
            ensure!(matches!(outcome, PullOutcome::Other(_)), "{outcome}");
        }
        let dead = stage.daemon.status()?;
        ensure!(dead.json()["daemon"].is_null(), "{:?}", dead.json());
        ensure!(dead.peers()? == alive.peers()?);
        ensure!(dead.enforcing("eth0")?);
        Ok(())
    });
}

#[test]
fn a_restart_continues_the_counters_and_keeps_the_peers() {
    on_stage(|stage| {
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        let before = stage.daemon.status()?;
        stage.daemon.kill();
        stage.daemon.run()?;
        let after = stage.daemon.status()?;
        ensure!(after.peers()? == before.peers()?);
        for old in before.verdicts()? {
            let now = after.packets(&old.action, &old.reason)?;
            ensure!(now >= old.packets, "{old:?} is now {now}");
        }
        ensure!(after.accepted()? == 0, "handshakes are counted since the start");
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V6), "unknown_source")?;
        let peer = stage.lab.edge_address(IpVersion::V4);
        ensure!(stage.daemon.status()?.handshakes_of(peer)? > before.handshakes_of(peer)?);
        Ok(())
    });
}

#[test]
fn no_connection_of_a_stranger_passes_during_kills_and_restarts() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let before = dropped(&stage.daemon.status()?)?;
        let (done, knocks) = (AtomicBool::new(false), AtomicU32::new(0));
        let (stranger, to) =
            (stage.lab.stranger().clone(), stage.lab.origin_at(IpVersion::V4, 443));
        std::thread::scope(|scope| {
            let knocker = scope.spawn(|| {
                let patience = Duration::from_millis(20);
                while !done.load(Ordering::Relaxed) {
                    knocks.fetch_add(1, Ordering::Relaxed);
                    if stranger.connect(to, patience).is_ok() {
                        return false;
                    }
                }
                true
            });
            let restarted = restart_often(stage);
            done.store(true, Ordering::Relaxed);
            restarted?;
            ensure!(knocker.join().is_ok_and(|silent| silent), "a stranger got through");
            Ok(())
        })?;
        stage.edge_is_served()?;
        let drops = dropped(&stage.daemon.status()?)? - before;
        let knocks = u64::from(knocks.load(Ordering::Relaxed));
        ensure!(knocks > 10 && drops >= knocks, "{knocks} knocks, {drops} drops");
        Ok(())
    });
}

fn restart_often(stage: &mut Stage) -> Result<()> {
    for _ in 0..4 {
        stage.daemon.kill();
        std::thread::sleep(Duration::from_millis(100));
        stage.daemon.run()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn unload_detaches_and_unpins_everything() {
    on_stage(|stage| {
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        ensure!(is_guarded(&stage.lab)? && stage.config.pins.exists());
        stage.daemon.kill();
        ensure!(is_guarded(&stage.lab)?, "the daemon's death detached the program");
        let _unload = stage.daemon.verb(&["unload"])?.success()?;
        ensure!(!is_guarded(&stage.lab)? && !stage.config.pins.exists());
        // Now the kernel answers a stranger with a reset, because there is no listener.
        let outcome = Pull::by_stranger(&stage.lab, IpVersion::V4).send()?;
        ensure!(matches!(outcome, PullOutcome::Other(_)), "{outcome}");
        stage.daemon.verb(&["unload"])?.success()?;
        Ok(())
    });
}
