//! A fleet: hosts that report to etcd, and the operator who reads there. Each test has an etcd of
//! its own. The good peer is served through every fault of etcd.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result};
use aop_tests::child::{self, CommandOutput};
use aop_tests::{AopToml, EtcdCluster, Lab, Process, TestDaemon, wait};
use serde_json::Value;

use crate::stage::{Stage, on_changed_stage};

mod certificate;
mod clocks;
mod compaction;
mod false_store;
mod faults;
mod full;
mod handover;
mod hung;
mod large;
mod names;
mod orders;
mod outage;
mod page;
mod reports;
mod stopped_wave;
mod watching;
mod waves;

/// The time for a report: an attempt that is under way, the longest pause, and a busy machine.
const REPORTED: Duration = Duration::from_secs(60);
const HOST: &str = "web-1";
const KEY: &str = "/aop/hosts/web-1";

/// Runs `claim` on a stage whose daemon reports to an etcd of so many members. `change` changes the
/// configuration.
fn on_fleet(
    members: u8,
    change: impl FnOnce(&mut AopToml, &Lab, &EtcdCluster) -> Result<()>,
    claim: impl FnOnce(&mut Stage, &mut EtcdCluster) -> Result<()>,
) {
    on_fleet_with(members, &[], change, claim);
}

/// The same, with more options of etcd.
fn on_fleet_with(
    members: u8,
    options: &[&str],
    change: impl FnOnce(&mut AopToml, &Lab, &EtcdCluster) -> Result<()>,
    claim: impl FnOnce(&mut Stage, &mut EtcdCluster) -> Result<()>,
) {
    let running = Cell::new(None);
    let begin = |config: &mut AopToml, lab: &Lab| {
        let etcd = EtcdCluster::start_with(lab, members, options).expect("an etcd");
        config.fleet = etcd.table(HOST).expect("a table") + "labels = { ring = \"canary\" }\n";
        change(config, lab, &etcd).expect("a configuration");
        running.set(Some(etcd));
    };
    on_changed_stage(begin, |stage| claim(stage, &mut running.take().context("no etcd")?));
}

/// No change of the configuration.
fn as_it_is(_: &mut AopToml, _: &Lab, _: &EtcdCluster) -> Result<()> {
    Ok(())
}

/// Waits until the status of the host says this of its link to the fleet.
fn await_link(stage: &Stage, state: &str) -> Result<Value> {
    wait::until(&format!("the link is {state}"), REPORTED, || {
        let status = stage.daemon.status().ok()?;
        let link = status.json()["fleet"].clone();
        (link["state"] == state).then_some(link)
    })
    .with_context(|| stage.daemon.log())
}

/// Waits for a report that begins after this moment.
fn await_next_report(stage: &Stage) -> Result<Value> {
    let before = reports_so_far(stage)?;
    wait::until("another report arrives", REPORTED, || {
        let link = stage.daemon.status().ok()?.json()["fleet"].clone();
        (link["reports"].as_u64()? > before && link["state"] == "reporting").then_some(link)
    })
    .with_context(|| stage.daemon.log())
}

fn reports_so_far(stage: &Stage) -> Result<u64> {
    let status = stage.daemon.status()?;
    status.json()["fleet"]["reports"].as_u64().context("no fleet in the status")
}

/// `aop fleet LINE` from the host of the stranger, which is the workstation of an operator here.
fn from_afar(stage: &Stage, etcd: &EtcdCluster, line: &str) -> Result<CommandOutput> {
    let file = stage.lab.dir().join("operator.toml");
    std::fs::write(&file, format!("[fleet]\n{}", etcd.table("oncall")?))?;
    let mut command = stage.lab.stranger().command(stage.daemon.program());
    command.arg("fleet").args(line.split_whitespace()).arg("--json").arg("--config").arg(&file);
    child::finish(command, &[], REPORTED)
}

/// The process of `daemon` that talks to etcd.
fn process_of(daemon: &TestDaemon) -> Result<Process> {
    let named = |it: &Process| it.status("Name").is_ok_and(|name| name == "aop-fleet");
    let children = daemon.process()?.children()?;
    children.into_iter().find(named).context("no process aop-fleet")
}

/// `aop fleet status --json` with more arguments, on the origin.
fn fleet_status(stage: &Stage, more: &[&str]) -> Result<Value> {
    let verb = [&["fleet", "status", "--json"], more].concat();
    stage.daemon.verb(&verb)?.success()?.json()
}

/// Waits until the operator sees this of the host.
fn await_seen(stage: &Stage, what: &str, seen: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    let found = wait::until(what, REPORTED, || {
        last = fleet_status(stage, &["--host", HOST]).ok()?;
        let host = last["hosts"][0].clone();
        seen(&host).then_some(host)
    });
    found.with_context(|| format!("{last}\n{}", stage.daemon.log()))
}
