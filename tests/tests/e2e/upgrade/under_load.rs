//! Two upgrades in a row under load.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self, TlsClient, TlsSession};
use aop_tests::{IpVersion, Netns, Process, Pull};

use super::{ends, is_the_daemon};
use crate::stage::{Stage, is_guarded, on_changed_stage};

/// The size of a response on the long connection.
const PIECE: usize = 251 * 400;

/// The state of the threads that pull.
struct Load {
    done: AtomicBool,
    pulls: AtomicU32,
}

impl Load {
    /// Repeats `pull` until the load is stopped or a pull fails.
    fn repeat(&self, mut pull: impl FnMut() -> Result<()>) -> Result<()> {
        while !self.done.load(Ordering::Relaxed) {
            let number = self.pulls.fetch_add(1, Ordering::Relaxed);
            pull().with_context(|| format!("pull {number}"))?;
        }
        Ok(())
    }

    /// Waits until `more` pulls have begun.
    fn wait_for(&self, more: u32) {
        let until = self.pulls.load(Ordering::Relaxed) + more;
        while self.pulls.load(Ordering::Relaxed) < until && !self.done.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn pull_with_tls_client(client: &TlsClient, edge: &Netns, to: SocketAddr) -> Result<()> {
    let mut session = client.open(edge, to, "example.com")?;
    let body = client::get(&mut session, "/short")?;
    ensure!(body == b"the upstream answers /short\n");
    Ok(())
}

fn pull_with_curl(pull: &Pull) -> Result<()> {
    pull.must_be_served()?;
    Ok(())
}

/// Requests a large response on the long connection and compares every byte.
fn pull_piece(session: &mut TlsSession) -> Result<()> {
    let body = client::get(session, &format!("/bytes/{PIECE}"))?;
    let right = (0_u8..251).cycle().take(PIECE);
    ensure!(body.len() == PIECE && body.into_iter().eq(right), "other bytes");
    Ok(())
}

/// A connection attempt of a stranger, which must meet silence.
fn knock(stranger: &Netns, to: SocketAddr) -> Result<()> {
    let met = stranger.connect(to, Duration::from_millis(50));
    ensure!(met.is_err(), "a stranger connected");
    Ok(())
}

#[test]
fn two_upgrades_under_load_refuse_nothing_and_cut_nothing() {
    on_changed_stage(
        |config, _| config.drain = "60s",
        |stage| {
            stage.edge_is_served()?;
            let mut idle = stage.open()?;
            let mut long = stage.open()?;
            let before = stage.daemon.status()?;
            let load = Load { done: AtomicBool::new(false), pulls: AtomicU32::new(0) };
            let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
            let (edge, stranger) = (stage.lab.edge(), stage.lab.stranger());
            let to = |family| stage.lab.origin_at(family, 443);
            let upgraded = std::thread::scope(|scope| {
                let mut threads = Vec::new();
                for family in IpVersion::BOTH {
                    let (client, load, to) = (&client, &load, to(family));
                    threads.push(
                        scope.spawn(move || load.repeat(|| pull_with_tls_client(client, edge, to))),
                    );
                    let pull = Pull::by_edge(&stage.lab, family);
                    threads.push(scope.spawn(move || load.repeat(|| pull_with_curl(&pull))));
                }
                let (long, load) = (&mut long, &load);
                threads.push(scope.spawn(move || load.repeat(|| pull_piece(long))));
                let at = to(IpVersion::V4);
                threads.push(scope.spawn(move || load.repeat(|| knock(stranger, at))));
                let upgraded = upgrade_twice(stage, load);
                load.done.store(true, Ordering::Relaxed);
                for thread in threads {
                    thread.join().map_err(|_| anyhow::anyhow!("a panic"))??;
                }
                upgraded
            })?;
            client::get(&mut idle, "/after").context("the idle connection")?;
            let after = stage.daemon.status()?;
            for old in before.verdicts()? {
                let now = after.packets(&old.action, &old.reason)?;
                ensure!(now >= old.packets, "{old:?} is now {now}");
            }
            ensure!(
                after.packets("drop", "unknown_source")? > 0,
                "no attempt of a stranger was counted"
            );
            ensure!(after.refusals()?.is_empty(), "{:?}", after.refusals()?);
            let peer = stage.lab.edge_address(IpVersion::V4);
            ensure!(after.handshakes_of(peer)? > before.handshakes_of(peer)?);
            drop((idle, long));
            ensure!(stage.daemon.wait(Duration::from_secs(10))? == 0, "{}", stage.daemon.log());
            ends(upgraded)
        },
    );
}

/// Upgrades twice and returns the first successor.
fn upgrade_twice(stage: &Stage, load: &Load) -> Result<Process> {
    let mut processes = Vec::new();
    for _ in 0..2 {
        load.wait_for(20);
        let new = stage.daemon.upgrade()?;
        is_the_daemon(stage, new)?;
        ensure!(is_guarded(&stage.lab)?);
        ensure!(stage.daemon.status()?.enforcing("eth0")?);
        processes.push(new);
    }
    load.wait_for(20);
    Ok(processes[0])
}
