//! Reports in a healthy etcd.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::config::SiteTable;
use aop_tests::{IpVersion, Pull};

use super::{HOST, KEY, as_it_is, await_link, await_seen, fleet_status, on_fleet};

/// The bound of a report.
const MAX_REPORT: usize = 16 * 1024;

#[test]
fn a_host_reports_and_the_operator_sees_its_mode_its_sites_and_its_certificates() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        let host = await_seen(stage, "the operator sees the host", |host| host["name"] == HOST)?;
        let report = &host["report"];
        ensure!(report["mode"] == "enforce" && report["labels"]["ring"] == "canary", "{report}");
        ensure!(report["interfaces"][0]["enforcing"] == true, "{report}");
        ensure!(report["sites"][0]["site"] == "example.com", "{report}");
        ensure!(report["list"]["v4"].as_u64().is_some_and(|count| count > 10), "{report}");
        ensure!(etcd.value(KEY)?.len() < 3000, "the report of a small host is long");
        stage.edge_is_served()?;
        let host = await_seen(stage, "the certificate arrives", |host| {
            host["report"]["sites"][0]["identities"][0]["pulls"] == 1
        })?;
        let key = &host["report"]["sites"][0]["identities"][0]["spki_sha256"];
        let seen = stage.daemon.verb(&["fleet", "identities", "--json"])?.success()?.json()?;
        let certificate = &seen["certificates"][0];
        ensure!(&certificate["spki_sha256"] == key, "{seen}");
        ensure!(certificate["hosts"][0]["host"] == HOST, "{seen}");
        let text = stage.daemon.must_run("fleet status --host web-*")?;
        ensure!(text.contains("1 of 1 host enforce") && text.contains(HOST), "{text}");
        ensure!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let none = fleet_status(stage, &["--label", "ring=main"])?;
        ensure!(none["sums"]["hosts"] == 0, "{none}");
        let page = stage.daemon.must_run("status")?;
        ensure!(page.contains("fleet: web-1 in /aop, reported"), "{page}");
        let text = stage.daemon.must_run("fleet identities")?;
        ensure!(text.contains("at 1 of 1 host, 1 pulls"), "{text}");
        Ok(())
    });
}

#[test]
fn a_change_is_reported_at_once() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        // Just after a report the next one is ten seconds away.
        super::await_next_report(stage)?;
        let begun = Instant::now();
        stage.daemon.must_run("mode observe")?;
        aop_tests::wait::until("the mode arrives", Duration::from_secs(20), || {
            etcd.value(KEY).ok().filter(|report| report.contains(r#""mode":"observe""#))
        })?;
        ensure!(begun.elapsed() < Duration::from_secs(6), "after {:?}", begun.elapsed());
        Ok(())
    });
}

#[test]
fn the_process_that_talks_to_etcd_holds_no_privilege_and_dies_with_the_daemon() {
    on_fleet(1, as_it_is, |stage, _| {
        await_link(stage, "reporting")?;
        let fleet = super::process_of(&stage.daemon)?;
        ensure!(fleet.user()? != 0 && fleet.capabilities()?.is_empty(), "privileged");
        ensure!(fleet.status("Seccomp")? == "2" && fleet.status("NoNewPrivs")? == "1");
        ensure!(fleet.is_hidden()?, "its memory holds a key");
        // Killed, it is started again, and the host reports as the same one.
        fleet.signal(nix::sys::signal::Signal::SIGKILL)?;
        await_link(stage, "failing")?;
        await_link(stage, "reporting")?;
        stage.edge_is_served()
    });
}

#[test]
fn a_report_of_very_many_sites_stays_within_its_bound_and_counts_the_rest() {
    let many = |config: &mut aop_tests::AopToml, lab: &aop_tests::Lab, _: &_| {
        config.sites.extend((0..300).map(|at| SiteTable {
            hosts: vec![format!("site-{at}.a-rather-long-name-of-a-site.example.com")],
            ..SiteTable::new(lab)
        }));
        config.sites[0].hosts.truncate(1);
        config.share_the_upstream();
        Ok(())
    };
    on_fleet(1, many, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        let report = etcd.value(KEY)?;
        ensure!(report.len() <= MAX_REPORT, "{} bytes", report.len());
        let host = await_seen(stage, "the host is seen", |host| host["name"] == HOST)?;
        let report = &host["report"];
        let shown = report["sites"].as_array().context("no sites")?.len() as u64;
        let more = report["more_sites"].as_u64().context("nothing is left out")?;
        ensure!(shown > 50 && shown + more == 301 && report["sites_total"] == 301, "{shown}");
        Ok(())
    });
}

#[test]
fn a_restart_keeps_the_name_and_a_reload_takes_up_another_one() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.daemon.run()?;
        // At once: the report of the last run is the own one.
        let link = await_link(stage, "reporting")?;
        ensure!(link["failures"] == 0, "{link}");
        stage.config.fleet = etcd.table("web-2")?;
        stage.reload()?;
        aop_tests::wait::until("the host reports as web-2", super::REPORTED, || {
            etcd.value("/aop/hosts/web-2").ok()
        })?;
        let link = await_link(stage, "reporting")?;
        ensure!(link["name"] == "web-2", "{link}");
        stage.config.fleet = String::new();
        stage.reload()?;
        aop_tests::wait::until("the host has no fleet", super::REPORTED, || {
            let status = stage.daemon.status().ok()?;
            status.json()["fleet"].is_null().then_some(())
        })?;
        stage.edge_is_served()
    });
}

#[test]
fn a_host_that_gets_another_name_takes_its_former_one_out_of_the_fleet() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        // The certificate, and so the process that talks to etcd, is the same.
        stage.config.fleet = stage.config.fleet.replace("name = \"web-1\"", "name = \"web-2\"");
        stage.reload()?;
        aop_tests::wait::until("the host reports as web-2 alone", super::REPORTED, || {
            let seen = fleet_status(stage, &[]).ok()?;
            (seen["sums"]["hosts"] == 1 && seen["hosts"][0]["name"] == "web-2").then_some(())
        })?;
        // After a restart nobody remembers the former name: it stays silent until it is forgotten.
        stage.config.fleet = etcd.table("web-3")?;
        stage.daemon.write(&stage.config.text())?;
        stage.daemon.run()?;
        await_link(stage, "reporting")?;
        etcd.etcdctl(&["del", "/aop/hosts/web-2"])?.success()?;
        let text = stage.daemon.must_run("fleet status")?;
        ensure!(text.contains("1 silent") && text.contains("aop fleet forget NAME"), "{text}");
        stage.daemon.must_run("fleet forget web-2")?;
        let again = stage.daemon.verb(&["fleet", "forget", "web-2"])?;
        ensure!(again.code == 1 && again.errors.contains("nothing is forgotten"), "{again:?}");
        let seen = fleet_status(stage, &[])?;
        ensure!(seen["sums"]["hosts"] == 1 && seen["sums"]["silent"] == 0, "{seen}");
        Ok(())
    });
}

#[test]
fn after_an_upgrade_the_new_process_reports_under_the_same_name() {
    on_fleet(1, as_it_is, |stage, _| {
        await_link(stage, "reporting")?;
        stage.daemon.upgrade()?;
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4).send()?;
        ensure!(pull.served(), "{pull}");
        let link = await_link(stage, "reporting")?;
        ensure!(link["error"].is_null(), "{link}");
        super::await_next_report(stage).map(drop)
    });
}

#[test]
fn metrics_tell_whether_the_host_reports() -> Result<()> {
    let monitor = |config: &mut aop_tests::AopToml, _: &_, _: &_| {
        config.tables.push("[monitor]\nlisten = \"127.0.0.1:9465\"");
        Ok(())
    };
    on_fleet(1, monitor, |stage, _| {
        await_link(stage, "reporting")?;
        let mut curl = stage.lab.origin().command("curl");
        curl.args(["-s", "http://127.0.0.1:9465/metrics"]);
        let page = aop_tests::child::finish(curl, &[], super::REPORTED)?.success()?.text();
        ensure!(page.lines().any(|line| line == "aop_fleet_reporting 1"), "{page}");
        ensure!(
            page.contains("aop_fleet_reports_total ")
                && page.contains("aop_fleet_report_size_bytes ")
        );
        Ok(())
    });
    Ok(())
}
