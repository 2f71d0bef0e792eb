//! Ten hosts, each with a daemon and a packet program: a wave over all of them, and one that stops.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::scope;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, EtcdCluster, Lab, TestDaemon, wait};
use serde_json::Value;

use super::{REPORTED, orders::make_key};
use crate::stage::in_lab;

const HOSTS: u8 = 10;
/// The time for waves over all hosts on a busy machine.
const ALL_WAVES: Duration = Duration::from_secs(240);

pub(super) struct Host {
    pub(super) name: String,
    address: Ipv4Addr,
    pub(super) daemon: TestDaemon,
}

impl Host {
    /// Starts a host that observes: only its firewall, for port 443.
    pub(super) fn start(lab: &Lab, etcd: &EtcdCluster, operator: &str, number: u8) -> Result<Self> {
        let name = format!("web-{number}");
        let address = Ipv4Addr::new(192, 0, 2, 48 + number * 16);
        let (netns, _) = lab.host_behind_router(&name, address)?;
        let dir = lab.dir().join(&name);
        let mut config = AopToml::firewall_only(lab, 443);
        config.mode = "observe";
        config.prefixes = PrefixesTable::List(vec!["192.0.2.0/24".to_owned()]);
        config.pins = lab.bpffs().join(&name);
        (config.state, config.runtime) = (dir.join("state"), dir.join("run"));
        config.fleet = etcd.table(&name)? + &format!("operators = [{operator:?}]\n");
        let mut daemon = TestDaemon::on_host(lab, &netns, &dir, &config)?;
        daemon.run()?;
        Ok(Self { name, address, daemon })
    }

    pub(super) fn mode(&self) -> Result<Value> {
        Ok(self.daemon.status()?.json()["mode"].clone())
    }

    /// A packet from an admitted address: the evidence that the preflight wants.
    pub(super) fn is_visited(&self, lab: &Lab) {
        let origin = SocketAddr::from((self.address, 443));
        // Nobody listens there: the refusal comes from behind the packet program.
        lab.router().connect(origin, Duration::from_secs(1)).ok();
    }
}

/// The member that leads.
fn leader(etcd: &EtcdCluster) -> Result<usize> {
    let status = etcd.etcdctl(&["endpoint", "status", "--write-out", "json"])?.success()?.json()?;
    let leads =
        |member: &Value| member["Status"]["leader"] == member["Status"]["header"]["member_id"];
    status.as_array().and_then(|members| members.iter().position(leads)).context("no leader")
}

#[test]
fn waves_reach_all_hosts_and_stop_at_the_first_one_that_refuses() {
    in_lab(|lab| {
        let mut etcd = EtcdCluster::start(lab, 3)?;
        let operator = make_key(lab, "operator")?;
        let start = |number| Host::start(lab, &etcd, &operator, number);
        let hosts = (1..=HOSTS).map(start).collect::<Result<Vec<_>>>()?;
        let first = &hosts[0];
        let fleet = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let verb = [&["fleet"][..], &words, &["--json"]].concat();
            first.daemon.verb_within(&verb, ALL_WAVES)
        };
        wait::until("all hosts report", REPORTED, || {
            let seen = fleet("status").ok()?.json().ok()?;
            (seen["sums"]["hosts"] == HOSTS && seen["sums"]["silent"] == 0).then_some(())
        })?;
        let key = lab.dir().join("operator.key").display().to_string();
        let enforce = format!("enforce --all --waves 1,30%,100% --key {key}");
        let plan = fleet(&format!("{enforce} --dry-run"))?.success()?.text();
        ensure!(plan.contains("waves"), "{plan}");

        // All but one host have seen a visitor. That one is in the last wave or before it.
        let shy = &hosts[6];
        hosts.iter().filter(|host| host.name != shy.name).for_each(|host| host.is_visited(lab));
        let stopped = fleet(&enforce)?;
        let result = stopped.json()?;
        ensure!(stopped.code == 1, "{result}");
        let waves = result["waves"].as_array().context("no waves")?;
        let last = waves.last().context("no wave")?;
        ensure!(last["stopped"][0]["host"] == shy.name.as_str(), "{result}");
        ensure!(shy.mode()? == "observe", "{}", shy.daemon.log());
        let lasting: u64 = waves.iter().filter_map(|wave| wave["lasting"].as_u64()).sum();
        let enforcing = hosts.iter().filter(|host| host.mode().is_ok_and(|it| it == "enforce"));
        ensure!(enforcing.count() as u64 == lasting, "{result}");

        // The cause is gone: the same command ends the work, although the leader of etcd is killed
        // meanwhile.
        shy.is_visited(lab);
        let done = scope(|scope| {
            let ordered = scope.spawn(|| fleet(&enforce));
            etcd.kill(leader(&etcd)?);
            ordered.join().map_err(|_| anyhow::anyhow!("it panicked"))?
        })?;
        ensure!(done.code == 0, "{}\n{}", done.text(), shy.daemon.log());
        ensure!(done.json()?["as_ordered"].as_u64() == Some(lasting), "{}", done.text());
        for host in &hosts {
            ensure!(host.mode()? == "enforce", "{}: {}", host.name, host.daemon.log());
        }
        Ok(())
    });
}
