//! An etcd that has reached its quota: it takes no report and no order, and says so. The commands
//! that docs/fleet.md names make it usable again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{EtcdCluster, wait};

use super::{REPORTED, await_link, fleet_status, on_fleet_with, orders};

/// A small quota.
const QUOTA: &str = "--quota-backend-bytes=2097152";
/// More values of 100 kB than fit into the quota.
const VALUES: usize = 30;
/// The lease of a host, and a busy machine.
const EXPIRED: Duration = Duration::from_secs(60);

/// Writes values until etcd has no room.
fn fill(etcd: &EtcdCluster) -> Result<()> {
    let value = "x".repeat(100_000);
    for _ in 0..VALUES {
        if etcd.etcdctl(&["put", "/other", &value])?.errors.contains("database space exceeded") {
            return Ok(());
        }
    }
    anyhow::bail!("etcd has room for {VALUES} values")
}

/// The commands of docs/fleet.md for a full etcd.
fn cure() -> Result<String> {
    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fleet.md");
    let text = std::fs::read_to_string(DOCUMENT)?;
    let (_, block) = text.split_once("with a full etcd -->\n```sh\n").context("no commands")?;
    let (commands, _) = block.split_once("```").context("no end of the commands")?;
    // The time for a command is one of its options there.
    Ok(format!("set -e\nunset ETCDCTL_COMMAND_TIMEOUT\n{commands}"))
}

#[test]
fn a_full_etcd_is_told_on_the_host_and_to_the_operator_and_its_documented_cure_works() {
    on_fleet_with(3, &[QUOTA], orders::obeying, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        stage.daemon.must_run("mode enforce")?;
        fill(etcd)?;
        let link = await_link(stage, "failing")?;
        let why = link["error"].as_str().unwrap_or_default();
        ensure!(why.contains("etcd is full") && why.contains("disarm its alarm"), "{link}");
        let status = stage.daemon.must_run("status")?;
        ensure!(status.contains("etcd is full"), "{status}");
        let page = stage.daemon.must_run("fleet status")?;
        ensure!(page.starts_with("! etcd is full, and takes no reports"), "{page}");
        ensure!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        let order = orders::order(stage, "observe --all")?;
        ensure!(order.code == 1 && order.errors.contains("etcd is full"), "{order:?}");
        // Its lease is not renewed without a report: a host that cannot report is silent.
        wait::until("the host is silent", EXPIRED, || {
            let seen = fleet_status(stage, &[]).ok()?;
            let told = seen["warnings"][0].as_str().is_some_and(|it| it.contains("is full"));
            (seen["sums"]["silent"] == 1 && told).then_some(())
        })?;
        stage.edge_is_served()?;
        stage.silences_strangers()?;
        ensure!(orders::mode(stage)? == "enforce", "its mode is another one");

        etcd.script(&["sh", "-c", &cure()?])?;
        await_link(stage, "reporting")?;
        wait::until("the operator sees the host without a warning", REPORTED, || {
            let seen = fleet_status(stage, &[]).ok()?;
            (seen["sums"]["silent"] == 0 && seen["warnings"] == serde_json::json!([])).then_some(())
        })?;
        orders::order(stage, "observe --all")?.success()?;
        ensure!(orders::mode(stage)? == "observe", "the order does not count");
        stage.edge_is_served()
    });
}
