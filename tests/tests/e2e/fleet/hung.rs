//! Processes that hang, and do not end: the one that talks to etcd, and those of etcd.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{as_it_is, await_link, on_fleet, process_of};
use crate::stage::Stage;

/// The time for a verb that does not ask etcd.
const QUICK: Duration = Duration::from_secs(5);
/// The time until a hung process is replaced: a pause of twelve seconds, the patience of 35 s, and
/// a busy machine.
const NOTICED: Duration = Duration::from_secs(70);

/// The daemon's own verbs, the good peer and a stranger, while something hangs.
fn nobody_waits(stage: &Stage) -> Result<()> {
    stage.edge_is_served()?;
    for verb in ["status", "mode observe", "mode enforce", "check"] {
        let begun = Instant::now();
        stage.daemon.must_run(verb)?;
        ensure!(begun.elapsed() < QUICK, "{verb}: {:?}", begun.elapsed());
    }
    stage.silences_strangers()
}

#[test]
fn a_hung_process_that_talks_to_etcd_is_replaced_and_delays_no_stop() {
    on_fleet(1, as_it_is, |stage, _| {
        await_link(stage, "reporting")?;
        let hung = process_of(&stage.daemon)?;
        hung.signal(Signal::SIGSTOP)?;
        nobody_waits(stage)?;
        aop_tests::wait::until("the process is replaced", NOTICED, || {
            process_of(&stage.daemon).ok().filter(|it| *it != hung)
        })?;
        ensure!(!hung.exists(), "the hung process is left");
        await_link(stage, "reporting")?;
        ensure!(stage.daemon.log().contains("the process that talks to etcd broke"));
        stage.edge_is_served()?;
        process_of(&stage.daemon)?.signal(Signal::SIGSTOP)?;
        stage.daemon.stop()
    });
}

#[test]
fn an_etcd_that_hangs_with_open_connections_is_told_and_holds_nobody_up() {
    on_fleet(3, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        let fleet = process_of(&stage.daemon)?;
        let members = etcd.processes();
        members.iter().try_for_each(|it| it.signal(Signal::SIGSTOP))?;
        nobody_waits(stage)?;
        let link = await_link(stage, "failing")?;
        ensure!(link["error"].as_str().is_some_and(|why| why.contains("within")), "{link}");
        let begun = Instant::now();
        let failed = stage.daemon.verb(&["fleet", "status"])?;
        ensure!(failed.code == 1 && failed.errors.contains("within"), "{failed:?}");
        ensure!(begun.elapsed() < Duration::from_secs(28), "{:?}", begun.elapsed());
        nobody_waits(stage)?;
        members.iter().try_for_each(|it| it.signal(Signal::SIGCONT))?;
        etcd.await_quorum()?;
        await_link(stage, "reporting")?;
        ensure!(process_of(&stage.daemon)? == fleet, "the process was started again");
        stage.edge_is_served()
    });
}
