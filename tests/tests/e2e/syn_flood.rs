//! A SYN flood from a stranger while the daemon is killed, started, reloaded and upgraded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, SynFlood, wait};

use crate::stage::{SOON, Stage, in_lab, on_stage};

#[test]
fn no_syn_of_a_flood_passes_during_kills_restarts_reloads_and_an_upgrade() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let before = dropped(stage)?;
        let segments = segments_in(stage)?;
        let flood = under_a_flood(stage, |stage| {
            let mut last = before;
            for event in [restart, reload, upgrade, reload, restart] {
                event(stage)?;
                std::thread::sleep(Duration::from_millis(200));
                let now = dropped(stage)?;
                ensure!(now > last, "the counter went from {last} to {now}");
                last = now;
            }
            Ok(())
        })?;
        ensure!(flood.sent > 1000 && flood.answers == 0, "{flood:?}");
        ensure!(segments_in(stage)? == segments, "a segment reached TCP on the origin");
        wait::until("every SYN is counted as dropped", SOON, || {
            (dropped(stage).ok()? == before + flood.sent).then_some(())
        })
        .with_context(|| format!("{flood:?}, dropped {:?} after {before}", dropped(stage)))?;
        stage.edge_is_served()
    });
}

/// The flood above gets no answers. Here it does, so it can count them.
#[test]
fn an_unguarded_port_answers_the_same_flood() {
    in_lab(|lab| {
        let _server = aop_tests::TestUpstream::listening(lab, "[::]:443")?;
        let (source, to) = (lab.stranger_address(IpVersion::V4), lab.origin_at(IpVersion::V4, 443));
        let done = AtomicBool::new(false);
        let flood = std::thread::scope(|scope| {
            let flood = scope.spawn(|| SynFlood::run(lab.stranger(), source, to, &done));
            std::thread::sleep(Duration::from_millis(200));
            done.store(true, Ordering::Relaxed);
            flood.join().unwrap_or_else(|_| anyhow::bail!("the flooder panicked"))
        })?;
        ensure!(flood.answers >= flood.sent / 2, "{flood:?}");
        Ok(())
    });
}

fn restart(stage: &mut Stage) -> Result<()> {
    stage.daemon.kill();
    std::thread::sleep(Duration::from_millis(200));
    stage.daemon.run()
}

fn reload(stage: &mut Stage) -> Result<()> {
    stage.daemon.must_reload()?;
    Ok(())
}

fn upgrade(stage: &mut Stage) -> Result<()> {
    stage.daemon.use_a_copy("aop-next")?;
    stage.daemon.run()
}

/// Floods the guarded port while `act` runs.
pub(crate) fn under_a_flood(
    stage: &mut Stage,
    act: impl FnOnce(&mut Stage) -> Result<()>,
) -> Result<SynFlood> {
    let source = stage.lab.stranger_address(IpVersion::V4);
    let to = stage.lab.origin_at(IpVersion::V4, 443);
    let stranger = stage.lab.stranger().clone();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| SynFlood::run(&stranger, source, to, &done));
        let acted = act(stage);
        done.store(true, Ordering::Relaxed);
        acted?;
        flood.join().unwrap_or_else(|_| anyhow::bail!("the flooder panicked"))
    })
}

fn dropped(stage: &Stage) -> Result<u64> {
    stage.daemon.status()?.packets("drop", "unknown_source")
}

/// The TCP segments that the origin has received since its namespace was created.
fn segments_in(stage: &Stage) -> Result<u64> {
    // thread-self: this thread is in the namespace of the origin, the process is not.
    let read = || std::fs::read_to_string("/proc/thread-self/net/snmp");
    let table = stage.lab.origin().inside(read)??;
    let mut rows = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (rows.next().context("no names")?, rows.next().context("no values")?);
    let mut row = names.split(' ').zip(values.split(' '));
    Ok(row.find(|(name, _)| *name == "InSegs").context("no InSegs")?.1.parse()?)
}
