//! A roll that waits for other hosts, in a fleet: their reports in etcd count.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{EtcdCluster, wait};

use super::{flat, on_roll_stage};

/// A report counts for a moment of half a minute before it was read.
const PATIENCE: Duration = Duration::from_secs(120);
const HERE: &str = "/aop/hosts/web-1";
const OTHER: &str = "/aop/hosts/web-2";

#[test]
fn a_roll_that_waits_for_other_hosts_counts_them_by_their_reports() {
    on_roll_stage(|scene| {
        let etcd = EtcdCluster::start(&scene.stage.lab, 1)?;
        let text = fs::read_to_string(scene.stage.daemon.config_path())?;
        let text = format!("{text}\n[fleet]\n{}", etcd.table("web-1")?);
        scene.stage.daemon.write(&text)?;
        scene.stage.daemon.must_reload()?;
        let wait_for_two = || scene.roll(&["--wait-for", "2", "--wait", "2s"]);
        let waits = || -> Result<Option<()>> {
            Ok(flat(&wait_for_two()?.text()).contains("1 of 2 hosts").then_some(()))
        };
        scene.under_load(|| wait::until("it waits", PATIENCE, || waits().transpose())?)?;
        let leaf = scene.record()?["leaf"]["serial"].as_str().context("no leaf")?.to_owned();
        // The view of this host stands for that of the other one.
        let report = || {
            wait::until("the report has the new certificate", PATIENCE, || {
                etcd.value(HERE).ok().filter(|report| report.contains(&leaf))
            })
        };
        let rolled = || -> Result<Option<()>> {
            etcd.put(OTHER, &report()?.replacen(r#""name":"web-1""#, r#""name":"web-2""#, 1))?;
            Ok((wait_for_two()?.code == 0).then_some(()))
        };
        scene.under_load(|| wait::until("the roll ends", PATIENCE, || rolled().transpose())?)?;
        ensure!(scene.stored().len() == 1, "the old one stayed");
        scene.is_rolled()
    });
}
