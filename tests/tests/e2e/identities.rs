//! `aop identities`: which client certificates the edge presents. During a rollover it tells
//! whether the new one has arrived and the old one is gone, also after a restart.

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull};
use serde_json::Value;

use crate::stage::{Stage, on_stage};

fn identities(stage: &Stage) -> Result<Value> {
    let told = stage.daemon.verb(&["identities", "--json"])?.success()?;
    let document: Value = told.json()?;
    ensure!(document["sites"][0]["site"] == "example.com", "{document}");
    Ok(document["sites"][0].clone())
}

fn text(stage: &Stage) -> Result<String> {
    Ok(stage.daemon.verb(&["identities"])?.text())
}

fn pull(stage: &Stage, identity: &aop_tests::pki::Credentials) -> Result<()> {
    Pull::by_edge(&stage.lab, IpVersion::V4).certificate(identity).must_be_served()?;
    Ok(())
}

fn pulls(site: &Value) -> Result<Vec<u64>> {
    let seen = site["identities"].as_array().context("no identities")?;
    seen.iter().map(|identity| identity["pulls"].as_u64().context("no pulls")).collect()
}

#[test]
fn during_a_rollover_old_and_new_certificate_are_counted_separately_also_after_a_restart() {
    on_stage(|stage| {
        ensure!(text(stage)?.contains("example.com: no client certificate seen yet"));
        pull(stage, &stage.lab.pki.edge)?;
        ensure!(text(stage)?.contains("one certificate, which arrived"));
        std::thread::sleep(std::time::Duration::from_millis(1100));
        pull(stage, &stage.lab.pki.named)?;
        pull(stage, &stage.lab.pki.named)?;
        let site = identities(stage)?;
        ensure!(pulls(&site)? == [2, 1], "{site}");
        let newest = &site["identities"][0];
        ensure!(newest["level"] == "own" && newest["serial"] != site["identities"][1]["serial"]);
        ensure!(
            newest["client_ca"].as_str().is_some_and(|ca| ca.ends_with("client-ca.pem")),
            "{newest}"
        );
        ensure!(text(stage)?.contains("no other one was presented since"), "{}", text(stage)?);
        std::thread::sleep(std::time::Duration::from_millis(1100));
        pull(stage, &stage.lab.pki.edge)?;
        ensure!(text(stage)?.contains("others are still presented"), "{}", text(stage)?);
        ensure!(pulls(&identities(stage)?)? == [2, 2]);

        stage.daemon.stop()?;
        ensure!(pulls(&identities(stage)?)? == [2, 2], "without a daemon");
        stage.daemon.run()?;
        pull(stage, &stage.lab.pki.edge)?;
        ensure!(pulls(&identities(stage)?)? == [3, 2], "after a restart");
        Ok(())
    });
}

#[test]
fn a_damaged_file_of_identities_is_reported_and_ignored() {
    on_stage(|stage| {
        pull(stage, &stage.lab.pki.edge)?;
        stage.daemon.stop()?;
        let file = stage.config.state.join("identities.json");
        let whole = fs::read(&file)?;
        fs::write(&file, &whole[..whole.len() / 2])?;
        stage.daemon.run()?;
        let log = stage.daemon.log();
        ensure!(log.contains("identities.json") && log.contains("damaged"), "{log}");
        pull(stage, &stage.lab.pki.edge)?;
        ensure!(pulls(&identities(stage)?)? == [1]);
        stage.daemon.stop()?;
        let mended: Value = serde_json::from_slice(&fs::read(&file)?)?;
        ensure!(pulls(&mended["sites"][0])? == [1], "{mended}");
        Ok(())
    });
}
