//! An etcd that is compacted to its newest revision while hosts and operators read: no host is
//! missed, no order is missed, and none is obeyed twice.

use std::thread::scope;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{EtcdCluster, wait};

use super::{HOST, REPORTED, await_link, await_next_report, fleet_status, on_fleet, orders};
use crate::stage::Stage;

/// Writes three pages of long reports that cannot be read, in transactions of the size that etcd
/// takes. A reading of them lasts long enough to be compacted in its midst.
const MANY: &str = "long=$(printf %012000d 0); for a in $(seq 12); do { echo; \
     for b in $(seq 100); do echo \"put /aop/hosts/x-$a-$b $long\"; done; echo; echo; } \
     | etcdctl txn >/dev/null; done";
/// The hosts of [`MANY`], and the real one.
const HOSTS: u64 = 1201;
/// The readings, each with a compaction a moment later than in the one before.
const READINGS: u32 = 8;
const LATER: Duration = Duration::from_millis(40);

/// Makes a newer revision, and compacts etcd to it.
fn compact(etcd: &EtcdCluster) -> Result<()> {
    let put = etcd.etcdctl(&["put", "/other", "x", "--write-out=json"])?.success()?.json()?;
    let revision = put["header"]["revision"].to_string();
    etcd.etcdctl(&["compact", &revision])?.success().map(drop)
}

/// The lines of the audit log of the host that have the order `serial`.
fn times_obeyed(stage: &Stage, serial: &str) -> Result<usize> {
    let audit = std::fs::read_to_string(stage.lab.dir().join("state/audit.log"))?;
    Ok(audit.lines().filter(|line| line.contains(&format!("\"serial\":{serial}"))).count())
}

#[test]
fn all_hosts_are_read_while_etcd_is_compacted() {
    on_fleet(1, super::as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        etcd.script(&["sh", "-c", MANY])?;
        let shared = &*stage;
        for at in 0..READINGS {
            let seen = scope(|scope| {
                let reading = scope.spawn(|| fleet_status(shared, &[]));
                std::thread::sleep(LATER * at);
                compact(etcd)?;
                reading.join().map_err(|_| anyhow::anyhow!("it panicked"))?
            })?;
            ensure!(seen["sums"]["hosts"] == HOSTS, "{}", seen["sums"]);
        }
        await_next_report(stage)?;
        stage.edge_is_served()
    });
}

#[test]
fn a_host_that_was_cut_off_during_a_compaction_obeys_an_order_once() {
    on_fleet(3, orders::obeying, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        stage.daemon.must_run("mode enforce")?;
        let key = orders::key_file(stage.lab.dir()).display().to_string();
        stage.lab.origin().ip("route add blackhole 192.0.2.0/24\n")?;
        let (shared, cluster) = (&*stage, &*etcd);
        let given = scope(|scope| {
            let line = format!("observe --all --key {key}");
            let ordered = scope.spawn(move || super::from_afar(shared, cluster, &line));
            std::thread::sleep(Duration::from_secs(3));
            shared.lab.origin().ip("route delete blackhole 192.0.2.0/24\n")?;
            compact(cluster)?;
            ordered.join().map_err(|_| anyhow::anyhow!("it panicked"))?
        })?;
        let serial = given.json()?["waves"][0]["order"]["serial"].to_string();
        wait::until("the order is obeyed", REPORTED, || {
            (orders::mode(stage).ok()? == "observe").then_some(())
        })
        .with_context(|| stage.daemon.log())?;
        stage.daemon.must_run("mode enforce")?;
        for _ in 0..2 {
            compact(etcd)?;
            await_next_report(stage)?;
        }
        ensure!(orders::mode(stage)? == "enforce", "order {serial} was obeyed twice");
        ensure!(times_obeyed(stage, &serial)? == 1, "{}", stage.daemon.log());
        let seen = fleet_status(stage, &["--host", HOST])?;
        ensure!(seen["hosts"][0]["report"]["mode"] == "enforce", "{seen}");
        stage.edge_is_served()
    });
}
