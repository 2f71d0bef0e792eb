//! Which client certificates the edge really presents: during a rollover, has the new one arrived,
//! and is the old one gone? Also after a restart.

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::{Family, Pull};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::stage::{SOON, Stage, on_stage};

fn identities(stage: &Stage) -> Result<Value> {
    let told = stage.daemon.verb(&["identities", "--json"])?;
    ensure!(told.code == 0, "{told:?}");
    let document: Value = serde_json::from_slice(&told.output)?;
    ensure!(document["sites"][0]["site"] == "example.com", "{document}");
    Ok(document["sites"][0].clone())
}

fn text(stage: &Stage) -> Result<String> {
    Ok(String::from_utf8(stage.daemon.verb(&["identities"])?.output)?)
}

fn pull(stage: &Stage, identity: &aop_tests::pki::Identity) -> Result<()> {
    let outcome = Pull::by_edge(&stage.world, Family::V4).certificate(identity).send()?;
    ensure!(outcome.served(), "{outcome}");
    Ok(())
}

fn pulls(site: &Value) -> Result<Vec<u64>> {
    let seen = site["identities"].as_array().context("no identities")?;
    seen.iter().map(|identity| identity["pulls"].as_u64().context("no pulls")).collect()
}

#[test]
fn during_a_rollover_the_new_certificate_and_the_old_one_are_told_apart_also_after_a_restart() {
    on_stage(|stage| {
        ensure!(text(stage)?.contains("example.com: no client certificate seen yet"));
        pull(stage, &stage.world.pki.edge)?;
        ensure!(text(stage)?.contains("one certificate, which arrived"));
        std::thread::sleep(std::time::Duration::from_millis(1100));
        pull(stage, &stage.world.pki.named)?;
        pull(stage, &stage.world.pki.named)?;
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
        pull(stage, &stage.world.pki.edge)?;
        ensure!(text(stage)?.contains("others are still presented"), "{}", text(stage)?);
        ensure!(pulls(&identities(stage)?)? == [2, 2]);

        stage.daemon.signal(Signal::SIGTERM)?;
        ensure!(stage.daemon.wait(SOON)? == 0);
        ensure!(pulls(&identities(stage)?)? == [2, 2], "without a daemon");
        stage.daemon.run()?;
        pull(stage, &stage.world.pki.edge)?;
        ensure!(pulls(&identities(stage)?)? == [3, 2], "after a restart");
        Ok(())
    });
}

#[test]
fn a_damaged_file_of_identities_is_told_and_ignored() {
    on_stage(|stage| {
        pull(stage, &stage.world.pki.edge)?;
        stage.daemon.signal(Signal::SIGTERM)?;
        ensure!(stage.daemon.wait(SOON)? == 0);
        let file = stage.config.state.join("identities.json");
        let whole = fs::read(&file)?;
        fs::write(&file, &whole[..whole.len() / 2])?;
        stage.daemon.run()?;
        let log = stage.daemon.log();
        ensure!(log.contains("identities.json") && log.contains("damaged"), "{log}");
        pull(stage, &stage.world.pki.edge)?;
        ensure!(pulls(&identities(stage)?)? == [1]);
        stage.daemon.signal(Signal::SIGTERM)?;
        ensure!(stage.daemon.wait(SOON)? == 0);
        let mended: Value = serde_json::from_slice(&fs::read(&file)?)?;
        ensure!(pulls(&mended["sites"][0])? == [1], "{mended}");
        Ok(())
    });
}
