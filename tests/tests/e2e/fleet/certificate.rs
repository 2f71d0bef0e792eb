//! The certificate of a host for etcd: its end is told, and a new one is used by itself.

use anyhow::{Result, ensure};
use aop_tests::{AopToml, EtcdCluster, Lab, child, wait};

use super::{HOST, REPORTED, await_link, on_fleet};
use crate::stage::SOON;

/// The host has a certificate of no CA that etcd knows, which ends within a month.
fn foreign(_: &mut AopToml, _: &Lab, etcd: &EtcdCluster) -> Result<()> {
    let own = etcd.pki.user(HOST)?;
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "5", "-subj", "/CN=web-1", "-keyout"]).arg(own.key);
    openssl.arg("-out").arg(own.certificate);
    child::finish(openssl, &[], SOON)?.success()?;
    Ok(())
}

#[test]
fn the_end_of_a_certificate_is_told_and_a_new_one_is_used_after_a_failed_attempt() {
    on_fleet(1, foreign, |stage, etcd| {
        await_link(stage, "failing")?;
        let status = stage.daemon.status()?.json().clone();
        let ends = status["ends"].as_array().cloned().unwrap_or_default();
        ensure!(ends[0]["what"] == "fleet_certificate" && ends[0]["site"] == "", "{ends:?}");
        ensure!(ends.iter().any(|end| end["what"] == "fleet_ca"), "{ends:?}");
        let told = |text: &str| text.contains("certificate for the fleet") && text.contains("days");
        ensure!(told(&status["warnings"].to_string()), "{status}");
        ensure!(told(&stage.daemon.log()), "{}", stage.daemon.log());
        ensure!(told(&stage.daemon.must_run("check")?));
        let page = stage.daemon.must_run("status")?;
        ensure!(page.contains("expires: certificate for the fleet CN=web-1, "), "{page}");
        stage.edge_is_served()?;
        // No reload follows.
        etcd.pki.user(HOST)?;
        await_link(stage, "reporting")?;
        wait::until("the new end is told", REPORTED, || {
            let status = stage.daemon.status().ok()?;
            (!told(&status.json()["warnings"].to_string())).then_some(())
        })?;
        stage.edge_is_served()
    });
}
