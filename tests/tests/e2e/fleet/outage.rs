//! A long outage of etcd under a flood and a load: nothing that packets or pulls see is different,
//! and the process that talks to etcd neither grows nor spins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Process, SynFlood, wait};

use super::{as_it_is, await_link, on_fleet, process_of};
use crate::stage::{SOON, Stage};

/// The variable with the seconds of the outage.
const SECONDS: &str = "AOP_TEST_OUTAGE_SECONDS";
/// The seconds without it: several attempts to reach etcd, and the end of a lease.
const SHORT: u64 = 20;
/// The most bytes by which a process may grow.
const GROWTH: usize = 8 * 1024 * 1024;

/// The memory and the CPU time of a process at one moment.
#[derive(Clone, Copy, Debug)]
struct Usage {
    memory: usize,
    cpu: Duration,
}

impl Usage {
    fn of(process: Process) -> Result<Self> {
        Ok(Self { memory: process.memory()?, cpu: process.cpu_time()? })
    }
}

/// Floods the guarded port of the stage with SYNs of a stranger until `done`.
fn flood(stage: &Stage, done: &AtomicBool) -> Result<SynFlood> {
    let source = stage.lab.stranger_address(IpVersion::V4);
    let to = stage.lab.origin_at(IpVersion::V4, 443);
    let mut all = SynFlood { sent: 0, answers: 0 };
    // Each flood ends after a minute.
    while !done.load(Ordering::Relaxed) {
        let part = SynFlood::run(stage.lab.stranger(), source, to, done)?;
        all.sent += part.sent;
        all.answers += part.answers;
    }
    Ok(all)
}

/// Makes pulls until `done`; each must be served. Returns their number.
fn load(stage: &Stage, done: &AtomicBool) -> Result<u64> {
    let mut pulls = 0;
    while !done.load(Ordering::Relaxed) {
        stage.edge_is_served().with_context(|| format!("after {pulls} pulls"))?;
        pulls += 1;
    }
    Ok(pulls)
}

#[test]
fn no_pull_and_no_packet_sees_an_outage_of_etcd() {
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(SHORT));
    on_fleet(3, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        let before = stage.daemon.status()?;
        let dropped = before.packets("drop", "unknown_source")?;
        let [fleet, daemon] = [process_of(&stage.daemon)?, stage.daemon.process()?];
        let done = AtomicBool::new(false);
        let stage = &*stage;
        let (flooded, pulls, usage, back) = scope(|scope| {
            let flooder = scope.spawn(|| flood(stage, &done));
            let puller = scope.spawn(|| load(stage, &done));
            let mut outage = || {
                etcd.kill(0);
                etcd.kill(1);
                await_link(stage, "failing")?;
                let begun = Instant::now();
                let first = [Usage::of(fleet)?, Usage::of(daemon)?];
                wait::until_elapsed(begun, length);
                let last = [Usage::of(fleet)?, Usage::of(daemon)?];
                etcd.run(0)?;
                etcd.run(1)?;
                etcd.await_quorum()?;
                let begun = Instant::now();
                await_link(stage, "reporting")?;
                anyhow::Ok(([first, last], begun.elapsed()))
            };
            let outage = outage();
            done.store(true, Ordering::Relaxed);
            let panicked = |_| anyhow::anyhow!("it panicked");
            let flooded = flooder.join().map_err(panicked)??;
            let pulls = puller.join().map_err(panicked)??;
            let (usage, back) = outage?;
            anyhow::Ok((flooded, pulls, usage, back))
        })?;
        eprintln!(
            "an outage of {length:?}: {pulls} pulls served, {} SYNs dropped, back after {back:?}; \
             fleet process and daemon at its begin and end: {usage:?}",
            flooded.sent
        );
        ensure!(pulls > length.as_secs() && flooded.sent > 1000, "{pulls} pulls, {flooded:?}");
        ensure!(flooded.answers == 0, "a stranger got an answer: {flooded:?}");
        wait::until("each SYN is counted as dropped", SOON, || {
            let now = stage.daemon.status().ok()?.packets("drop", "unknown_source").ok()?;
            (now == dropped + flooded.sent).then_some(())
        })?;
        let after = stage.daemon.status()?;
        ensure!(after.accepted()? == before.accepted()? + pulls, "another number of handshakes");
        ensure!(after.refusals()? == before.refusals()?, "{:?}", after.refusals()?);
        ensure!(after.generation()? == before.generation()?, "the policy was written again");
        ensure!(process_of(&stage.daemon)? == fleet, "the process was started again");
        let [first, last] = usage;
        for (first, last) in first.iter().zip(last) {
            ensure!(last.memory < first.memory + GROWTH, "it grew: {usage:?}");
        }
        let spent = last[0].cpu - first[0].cpu;
        ensure!(spent < length / 20, "the process that talks to etcd used {spent:?}");
        Ok(())
    });
}
