//! Three hosts: a wave that a host has stopped stays stopped. An order that no host could obey is
//! refused before it is signed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::child::{Child, CommandOutput};
use aop_tests::{EtcdCluster, Lab, wait};
use serde_json::Value;

use super::REPORTED;
use super::orders::{key_file, make_key};
use super::waves::Host;
use crate::stage::in_lab;

/// The time for an order.
const ORDERED: Duration = Duration::from_secs(90);

/// Starts three hosts that observe, and waits until they report.
fn three_hosts(lab: &Lab, etcd: &EtcdCluster) -> Result<Vec<Host>> {
    let operator = make_key(lab, "operator")?;
    let start = |number| Host::start(lab, etcd, &operator, number);
    let hosts = (1..=3).map(start).collect::<Result<Vec<_>>>()?;
    hosts.iter().for_each(|host| host.is_visited(lab));
    wait::until("three hosts report", REPORTED, || {
        let seen = fleet(&hosts[0], "status").ok()?.json().ok()?;
        (seen["sums"]["hosts"] == 3 && seen["sums"]["silent"] == 0).then_some(())
    })?;
    Ok(hosts)
}

/// `aop fleet LINE --json` on a host.
fn fleet(host: &Host, line: &str) -> Result<CommandOutput> {
    let words: Vec<&str> = line.split_whitespace().collect();
    host.daemon.verb_within(&[&["fleet"][..], &words, &["--json"]].concat(), ORDERED)
}

/// `aop fleet LINE` on the workstation of the operator. Its output goes to a file.
fn start_order(lab: &Lab, etcd: &EtcdCluster, host: &Host, line: &str) -> Result<Child> {
    let config = lab.dir().join("operator.toml");
    std::fs::write(&config, format!("[fleet]\n{}", etcd.table("oncall")?))?;
    let mut words = vec![host.daemon.program().to_owned(), PathBuf::from("fleet")];
    words.extend(line.split_whitespace().map(PathBuf::from));
    words.extend(["--key".into(), key_file(lab.dir()), "--config".into(), config]);
    Child::serve(lab.stranger(), &words, &lab.dir().join("order.log"))
}

/// The hosts of a wave of a plan.
fn planned<'a>(plan: &Value, wave: usize, hosts: &'a [Host]) -> Result<Vec<&'a Host>> {
    let names = plan["plan"][wave]["hosts"].as_array().context("no such wave")?;
    Ok(hosts.iter().filter(|host| names.iter().any(|name| *name == host.name.as_str())).collect())
}

#[test]
fn a_host_that_was_taken_back_stops_a_wave_for_good_although_it_enforces_again() {
    in_lab(|lab| {
        let etcd = EtcdCluster::start(lab, 1)?;
        let hosts = three_hosts(lab, &etcd)?;
        let enforce = "enforce --all --waves 2,100% --confirm 5m";
        let plan = fleet(&hosts[0], &format!("{enforce} --dry-run"))?.success()?.json()?;
        let (first, second) = (planned(&plan, 0, &hosts)?, planned(&plan, 1, &hosts)?);
        let ([back, lasts], [last]) = (&first[..], &second[..]) else {
            anyhow::bail!("not two and one: {plan}")
        };
        let mut ordered = start_order(lab, &etcd, &hosts[0], enforce)?;
        let pending =
            |host: &Host| host.daemon.status().ok()?.json()["modes"].get("pending").cloned();
        for host in [back, lasts] {
            wait::until("the mode waits", REPORTED, || pending(host).filter(Value::is_object))
                .with_context(|| ordered.log())?;
        }
        back.daemon.must_run("mode observe")?;
        wait::until("the wave is stopped", REPORTED, || {
            ordered.log().contains("it went back").then_some(())
        })
        .with_context(|| ordered.log())?;
        // A person enforces by hand: by its report, the order lasts there.
        back.daemon.must_run("mode enforce")?;
        wait::until("the order lasts there", REPORTED, || {
            let orders = fleet(&hosts[0], "orders").ok()?.json().ok()?;
            let states = orders["orders"][0]["hosts"].as_array()?.clone();
            let own = states.iter().find(|it| it["host"] == back.name.as_str())?;
            (own["state"] == "lasting").then_some(())
        })?;

        // The other one is confirmed, and those on which nothing waits do not matter.
        let key = key_file(lab.dir()).display().to_string();
        let confirmed = fleet(&hosts[0], &format!("confirm --all --key {key}"))?;
        ensure!(confirmed.code == 0, "{}{}", confirmed.text(), confirmed.errors);
        ensure!(confirmed.json()?["as_ordered"] == 2, "{}", confirmed.text());
        let status = ordered.wait(ORDERED)?;
        let log = ordered.log();
        ensure!(status.code() == Some(1), "{log}");
        ensure!(log.contains("STOPPED: it holds on 1 host, and 1 host stopped it"), "{log}");
        ensure!(log.contains("1 further wave not ordered"), "{log}");
        ensure!(lasts.mode()? == "enforce" && last.mode()? == "observe", "{log}");

        // The same command goes on. The others take the order, too, and change nothing.
        let mut resumed =
            start_order(lab, &etcd, &hosts[0], "enforce --all --waves 100% --confirm 5m")?;
        wait::until("all three took the order", REPORTED, || {
            let orders = fleet(&hosts[0], "orders").ok()?.json().ok()?;
            let newest = orders["orders"].as_array()?.last()?.clone();
            (newest["hosts"].as_array()?.len() == 3).then_some(())
        })?;
        wait::until("the mode waits", REPORTED, || pending(last).filter(Value::is_object))?;
        for done in [back, lasts] {
            ensure!(pending(done) == Some(Value::Null), "{}", done.daemon.log());
            ensure!(done.mode()? == "enforce", "{}", done.daemon.log());
        }
        last.daemon.must_run("confirm")?;
        let status = resumed.wait(ORDERED)?;
        ensure!(status.success() && resumed.log().contains("2 hosts are as ordered already"));
        Ok(())
    });
}

#[test]
fn an_order_that_no_host_could_obey_is_refused_before_it_is_signed() {
    in_lab(|lab| {
        let etcd = EtcdCluster::start(lab, 1)?;
        let hosts = three_hosts(lab, &etcd)?;
        let key = key_file(lab.dir()).display().to_string();
        for (line, code, why) in [
            ("enforce --label ring=a --label ring=b", 1, "a host has one value for a key"),
            ("enforce --all --confirm 5s", 1, "at least ten seconds"),
            ("open --all --from 10.0.0.0/7 --for 1h", 1, "is too large"),
            ("open --all --from 192.0.2.0/24 --for 25h", 1, "at most 24 hours"),
            ("refresh --host web-[1", 2, "is no pattern of names"),
        ] {
            let refused = fleet(&hosts[0], &format!("{line} --key {key}"))?;
            ensure!(refused.code == code && refused.errors.contains(why), "{line}: {refused:?}");
        }
        for (line, why) in [
            ("enforce --host db-*", "no host that reports is meant"),
            ("enforce --all --site nowhere.example", "3 hosts do not serve the site"),
            ("confirm --all", "nothing waits for a confirmation"),
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            let nobody = [&["fleet"][..], &words, &["--dry-run"]].concat();
            let nobody = hosts[0].daemon.verb(&nobody)?;
            ensure!(nobody.code == 1 && nobody.text().contains(why), "{line}: {nobody:?}");
        }
        let given = etcd.etcdctl(&["get", "--prefix", "/aop/orders/", "--keys-only"])?;
        ensure!(given.success()?.text().trim().is_empty(), "an order was given");
        Ok(())
    });
}
