//! An etcd that fails: the good peer is served throughout, and the host reports when etcd is back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{EtcdCluster, wait};

use super::{
    HOST, REPORTED, as_it_is, await_link, await_next_report, fleet_status, from_afar, on_fleet,
};
use crate::stage::Stage;

#[test]
fn each_member_may_be_killed_and_started_again() {
    on_fleet(3, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        for at in 0..3 {
            etcd.kill(at);
            stage.edge_is_served()?;
            let begun = Instant::now();
            await_next_report(stage)?;
            ensure!(begun.elapsed() < REPORTED, "{at}: after {:?}", begun.elapsed());
            let seen = fleet_status(stage, &[])?;
            ensure!(seen["sums"]["silent"] == 0 && seen["sums"]["hosts"] == 1, "{seen}");
            etcd.run(at)?;
            etcd.await_quorum()?;
        }
        stage.edge_is_served()
    });
}

#[test]
fn without_a_quorum_nothing_but_a_warning_happens_and_with_it_the_host_reports_again() {
    on_fleet(3, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        etcd.kill(0);
        etcd.kill(1);
        let link = await_link(stage, "failing")?;
        ensure!(link["error"].as_str().is_some_and(|why| !why.is_empty()), "{link}");
        let status = stage.daemon.status()?;
        let told = status.json()["warnings"].to_string();
        ensure!(told.contains("the fleet does not see this host"), "{told}");
        stage.edge_is_served()?;
        stage.silences_strangers()?;
        stage.daemon.must_run("mode observe")?;
        stage.daemon.must_run("mode enforce")?;
        stage.reload()?;
        etcd.run(0)?;
        etcd.run(1)?;
        etcd.await_quorum()?;
        let begun = Instant::now();
        await_link(stage, "reporting")?;
        ensure!(begun.elapsed() < Duration::from_secs(25), "after {:?}", begun.elapsed());
        stage.edge_is_served()
    });
}

fn seen_from_afar(stage: &Stage, etcd: &EtcdCluster) -> Result<serde_json::Value> {
    from_afar(stage, etcd, "status")?.success()?.json()
}

#[test]
fn a_partitioned_host_becomes_silent_and_is_back_within_seconds() {
    on_fleet(3, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        let seen = seen_from_afar(stage, etcd)?;
        ensure!(seen["sums"]["silent"] == 0 && seen["hosts"][0]["name"] == HOST, "{seen}");
        stage.lab.origin().ip("route add blackhole 192.0.2.0/24\n")?;
        // The lease expires forty seconds after its renewal.
        let host = wait::until("the host is silent", REPORTED * 3, || {
            let seen = seen_from_afar(stage, etcd).ok()?;
            (seen["sums"]["silent"] == 1).then(|| seen["hosts"][0].clone())
        })?;
        ensure!(host["last_seen"].is_string() && host["report"].is_null(), "{host}");
        stage.edge_is_served()?;
        stage.lab.origin().ip("route delete blackhole 192.0.2.0/24\n")?;
        let begun = Instant::now();
        await_link(stage, "reporting")?;
        ensure!(begun.elapsed() < Duration::from_secs(25), "after {:?}", begun.elapsed());
        let seen = seen_from_afar(stage, etcd)?;
        ensure!(seen["sums"]["silent"] == 0 && seen["sums"]["hosts"] == 1, "{seen}");
        Ok(())
    });
}

#[test]
fn a_member_that_the_host_cannot_reach_is_left_for_another_one() {
    on_fleet(3, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        for at in 0..3 {
            etcd.set_reachable(at, false)?;
            await_next_report(stage)?;
            etcd.set_reachable(at, true)?;
            etcd.await_quorum()?;
        }
        stage.edge_is_served()
    });
}

/// The host starts, serves and says `why` it does not report.
fn is_told(fleet: fn(&EtcdCluster) -> Result<String>, why: &'static str) {
    let table = |config: &mut aop_tests::AopToml, _: &_, etcd: &EtcdCluster| {
        config.fleet = fleet(etcd)?;
        Ok(())
    };
    on_fleet(1, table, |stage, _| {
        let link = await_link(stage, "failing")?;
        ensure!(link["error"].as_str().is_some_and(|it| it.contains(why)), "{link}");
        stage.edge_is_served()?;
        let failed = stage.daemon.verb(&["fleet", "status"])?;
        ensure!(failed.code == 1 && failed.errors.contains(why), "{failed:?}");
        Ok(())
    });
}

#[test]
fn an_endpoint_that_is_no_etcd_is_told() {
    is_told(
        |_| Ok("endpoints = [\"http://127.0.0.1:8080\"]\nname = \"web-1\"\n".into()),
        "is it etcd",
    );
}

#[test]
fn a_certificate_that_etcd_does_not_accept_is_told() {
    let foreign = |etcd: &EtcdCluster| {
        let own = etcd.table(HOST)?;
        let pki = etcd.pki.ca.parent().context("a directory")?.display().to_string();
        let lines = own.lines().map(|line| match line.split_once(" = ") {
            Some(("certificate", _)) => format!("certificate = \"{pki}/foreign.pem\"\n"),
            Some(("key", _)) => format!("key = \"{pki}/foreign.key\"\n"),
            _ => format!("{line}\n"),
        });
        Ok(lines.collect())
    };
    is_told(foreign, "does it accept the certificate");
}

#[test]
fn an_etcd_whose_certificate_another_ca_issued_is_told() {
    let foreign =
        |etcd: &EtcdCluster| Ok(etcd.table(HOST)?.replace("fleet-ca.pem", "foreign-ca.pem"));
    is_told(foreign, "TLS failed");
}

#[test]
fn a_missing_file_is_told_by_check_and_by_the_status_and_the_host_serves() {
    let missing = |config: &mut aop_tests::AopToml, _: &_, etcd: &EtcdCluster| {
        config.fleet = etcd.table(HOST)?.replace("fleet-ca.pem", "missing.pem");
        Ok(())
    };
    on_fleet(1, missing, |stage, etcd| {
        let link = await_link(stage, "failing")?;
        ensure!(link["error"].as_str().is_some_and(|it| it.contains("no such file")), "{link}");
        stage.edge_is_served()?;
        let check = stage.daemon.verb(&["check"])?.success()?.text();
        ensure!(check.contains("warning: fleet: ") && check.contains("missing.pem"), "{check}");
        ensure!(check.contains("fleet /aop as web-1 (1 endpoint), obeys no operator"), "{check}");
        stage.config.fleet = etcd.table(HOST)?;
        stage.reload()?;
        await_link(stage, "reporting").map(drop)
    });
}

#[test]
fn plain_http_to_another_host_is_refused() {
    on_fleet(1, as_it_is, |stage, _| {
        stage.config.fleet = "endpoints = [\"http://192.0.2.16:2379\"]\n".into();
        stage.daemon.write(&stage.config.text())?;
        let check = stage.daemon.verb(&["check"])?;
        ensure!(check.code == 1 && check.errors.contains("Use https://"), "{check:?}");
        let reload = stage.daemon.verb(&["reload"])?;
        ensure!(reload.code == 1, "{reload:?}");
        stage.edge_is_served()?;
        await_link(stage, "reporting").map(drop)
    });
}
