//! An etcd in the hands of an attacker, who may read, write and delete everything: no host does
//! anything that its operators did not order, and what can be known of a lie stops a wave.

use std::thread::scope;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::child::{self, CommandOutput};
use aop_tests::{EtcdCluster, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::orders::{self, await_warning, key_file, make_key, mode, order};
use super::waves::Host;
use super::{REPORTED, await_link, await_next_report, on_fleet, process_of};
use crate::stage::{Stage, in_lab};

/// The time for two waves.
const WAVES: Duration = Duration::from_secs(120);

/// The key and the value of the newest order in etcd.
fn newest_order(etcd: &EtcdCluster) -> Option<(String, String)> {
    let words =
        ["get", "--prefix", "/aop/orders/", "--sort-by=KEY", "--order=DESCEND", "--limit=1"];
    let text = etcd.etcdctl(&words).ok()?.text();
    let (key, value) = text.trim_end().split_once('\n')?;
    Some((key.to_owned(), value.to_owned()))
}

/// As [`order`], by an operator who gives up after a moment.
fn order_for_a_moment(stage: &Stage, line: &str) -> Result<CommandOutput> {
    let mut command = stage.lab.origin().command("timeout");
    command.arg("8").arg(stage.daemon.program()).arg("fleet").args(line.split_whitespace());
    command.arg("--key").arg(key_file(stage.lab.dir()));
    command.arg("--config").arg(stage.daemon.config_path());
    child::finish(command, &[], REPORTED)
}

#[test]
fn an_order_that_was_held_back_counts_for_nothing_after_a_newer_one() {
    on_fleet(1, orders::obeying, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        stage.daemon.must_run("mode enforce")?;
        let (shared, cluster) = (&*stage, &*etcd);
        let held = scope(|scope| {
            // The host reads nothing until the attacker has taken the order away.
            let fleet = process_of(&shared.daemon)?;
            fleet.signal(Signal::SIGSTOP)?;
            let given = scope.spawn(|| order_for_a_moment(shared, "observe --all --valid 1h"));
            let held = wait::until("the order is there", REPORTED, || newest_order(cluster))?;
            cluster.etcdctl(&["del", &held.0])?.success()?;
            fleet.signal(Signal::SIGCONT)?;
            let given = given.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
            ensure!(given.code != 0, "the order was taken: {}", given.text());
            anyhow::Ok(held)
        })?;
        ensure!(mode(stage)? == "enforce", "{}", stage.daemon.log());
        // As docs/fleet.md says, any newer order makes it count for nothing.
        order(stage, "refresh --all").map(drop)?;
        etcd.put(&held.0, &held.1)?;
        // A change is reported at once, and orders are read with a report.
        for _ in 0..2 {
            stage.daemon.must_run("mode enforce")?;
            await_next_report(stage)?;
        }
        ensure!(mode(stage)? == "enforce", "the order came late: {}", stage.daemon.log());
        // Under a higher number it is read, and its own number counts.
        etcd.put("/aop/orders/09999999999999999999", &held.1)?;
        await_warning(stage, "is not above")?;
        ensure!(mode(stage)? == "enforce", "{}", stage.daemon.log());
        stage.silences_strangers()?;
        stage.edge_is_served()
    });
}

/// A report of the first host with this order as one that lasts there. `instance` is written in
/// place of the own one.
fn lie(honest: &str, order: &str, instance: Option<&str>) -> Result<String> {
    let signed: Value = serde_json::from_str(order)?;
    let text: Value = serde_json::from_str(signed["order"].as_str().context("no order")?)?;
    let mut report: Value = serde_json::from_str(honest)?;
    if let Some(instance) = instance {
        report["instance"] = instance.into();
    }
    report["mode"] = "enforce".into();
    report["orders"] = json!([{
        "serial": text["serial"],
        "operator": signed["operator"],
        "at": report["at"],
        "state": "lasting",
        "error": null,
    }]);
    Ok(report.to_string())
}

/// Two hosts that observe, of which the first one is the first wave.
struct TwoHosts<'a> {
    etcd: &'a EtcdCluster,
    first: &'a Host,
    second: &'a Host,
    /// `enforce` in two waves.
    enforce: String,
}

impl TwoHosts<'_> {
    fn fleet(&self, line: &str) -> Result<CommandOutput> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.second.daemon.verb_within(&[&["fleet"][..], &words].concat(), WAVES)
    }

    fn report(&self) -> String {
        format!("/aop/hosts/{}", self.first.name)
    }

    /// Gives the order in two waves. The attacker takes it away before the first host reads it, and
    /// writes for that host that it obeys.
    fn enforce_against(&self, instance: Option<&str>) -> Result<CommandOutput> {
        let fleet = process_of(&self.first.daemon)?;
        let honest = self.etcd.value(&self.report())?;
        fleet.signal(Signal::SIGSTOP)?;
        scope(|scope| {
            let ordered = scope.spawn(|| self.fleet(&self.enforce));
            let (key, order) =
                wait::until("an order is there", REPORTED, || newest_order(self.etcd))?;
            self.etcd.etcdctl(&["del", &key])?.success()?;
            fleet.signal(Signal::SIGCONT)?;
            let lie = lie(&honest, &order, instance)?;
            while !ordered.is_finished() {
                self.etcd.put(&self.report(), &lie)?;
            }
            ordered.join().map_err(|_| anyhow::anyhow!("it panicked"))?
        })
    }

    /// Whether the first host is as it was: it observes, and has obeyed nobody.
    fn first_is_unmoved(&self) -> Result<()> {
        let status = self.first.daemon.status()?;
        ensure!(status.json()["mode"] == "observe", "{}", self.first.daemon.log());
        ensure!(!self.first.daemon.log().contains("is carried out"), "{}", self.first.daemon.log());
        Ok(())
    }
}

#[test]
fn a_lie_of_another_instance_stops_the_wave_and_no_lie_moves_a_host() {
    in_lab(|lab| {
        let etcd = EtcdCluster::start(lab, 1)?;
        let operator = make_key(lab, "operator")?;
        let start = |number| Host::start(lab, &etcd, &operator, number);
        let (one, other) = (start(1)?, start(2)?);
        [&one, &other].into_iter().for_each(|host| host.is_visited(lab));
        let both = |first, second| {
            let key = lab.dir().join("operator.key").display().to_string();
            let enforce = format!("enforce --all --waves 1,100% --json --key {key}");
            TwoHosts { etcd: &etcd, first, second, enforce }
        };
        let mut hosts = both(&one, &other);
        wait::until("both hosts report", REPORTED, || {
            let seen = hosts.fleet("status --json").ok()?.json().ok()?;
            (seen["sums"]["hosts"] == 2 && seen["sums"]["silent"] == 0).then_some(())
        })?;
        let plan = hosts.fleet("enforce --all --waves 1,100% --dry-run")?.success()?.text();
        if plan.contains(&format!("wave 1: 1 host: {}", other.name)) {
            hosts = both(&other, &one);
        }

        let stopped = hosts.enforce_against(Some("0123456789abcdef0123456789abcdef"))?;
        ensure!(stopped.code == 1, "{}", stopped.text());
        let result = stopped.json()?;
        let why = result["waves"][0]["stopped"][0]["why"].to_string();
        ensure!(why.contains("another host"), "{result}");
        ensure!(result["waves_left"] == 1, "{result}");
        hosts.first_is_unmoved()?;
        ensure!(hosts.second.mode()? == "observe", "{}", hosts.second.daemon.log());

        // The same instance is a lie that nobody but the host itself can see.
        etcd.etcdctl(&["del", &hosts.report()])?.success()?;
        wait::until("the first host reports again", REPORTED, || etcd.value(&hosts.report()).ok())?;
        hosts.enforce_against(None)?;
        hosts.first_is_unmoved()?;
        let honest = etcd.value(&hosts.report())?;
        wait::until("the first host tells it", REPORTED, || {
            etcd.put(&hosts.report(), &honest).ok()?;
            hosts.first.daemon.must_run("mode observe").ok()?;
            std::thread::sleep(Duration::from_secs(1));
            let status = hosts.first.daemon.status().ok()?;
            status.json()["warnings"].to_string().contains("were a copy of the other").then_some(())
        })?;
        // The other one obeyed a signed order of its operator, or none.
        if hosts.second.mode()? == "enforce" {
            ensure!(hosts.second.daemon.log().contains("is carried out"), "without an order");
        }
        Ok(())
    });
}
