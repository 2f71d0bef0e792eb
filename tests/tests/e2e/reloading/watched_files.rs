//! Changed files of sites are applied without a signal, however they are replaced. Invalid files
//! are reported, and the old ones stay active.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self};
use aop_tests::pki::Credentials;
use aop_tests::{AopToml, IpVersion, Lab, Pull, wait};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use crate::stage::{Stage, on_changed_stage, on_stage};

/// Some checks of the files, and more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// Several checks of the files: a change would have been noticed.
const SEVERAL_CHECKS: Duration = Duration::from_secs(5);

const APPLIED: &str = "changed files of sites are in force";

/// Whether the site presents this certificate, given as PEM.
fn presents(stage: &Stage, certificate: &[u8]) -> Result<bool> {
    let session = stage.connect()?;
    let chain = session.conn.peer_certificates().context("no certificate")?;
    Ok(chain.first() == Some(&CertificateDer::from_pem_slice(certificate)?))
}

fn becomes_renewed(stage: &Stage) -> Result<()> {
    let renewed = fs::read(&stage.lab.pki.renewed_server.certificate)?;
    wait::until("the new certificate is presented", PATIENCE, || {
        presents(stage, &renewed).is_ok_and(|it| it).then_some(())
    })
    .with_context(|| stage.daemon.log())
}

/// Waits until the last reload in the status fits.
fn last_reload(stage: &Stage, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until("the last reload fits", PATIENCE, || {
        let told = stage.daemon.status().ok()?.json()["last_reload"].clone();
        fits(&told).then_some(told)
    })
    .with_context(|| stage.daemon.log())
}

fn replace(old: &Path, new: &Path) -> Result<()> {
    let aside = old.with_extension("new");
    fs::copy(new, &aside)?;
    Ok(fs::rename(aside, old)?)
}

/// Certificate and key in a directory behind a symbolic link, as with certbot and Kubernetes.
fn behind_a_link(config: &mut AopToml, lab: &Lab) {
    let at = |name: &str| lab.dir().join(name);
    let lay = |dir: &str, pair: &Credentials| -> Result<()> {
        fs::create_dir(at(dir))?;
        fs::copy(&pair.certificate, at(dir).join("tls.pem"))?;
        fs::copy(&pair.key, at(dir).join("tls.key"))?;
        Ok(())
    };
    lay("first", &lab.pki.server).expect("a pair");
    lay("second", &lab.pki.renewed_server).expect("a pair");
    symlink("first", at("live")).expect("a link");
    config.site().certificate = at("live/tls.pem");
    config.site().key = at("live/tls.key");
}

#[test]
fn a_replaced_certificate_and_key_are_applied_once_and_cut_no_connection() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let pki = &stage.lab.pki;
        ensure!(presents(stage, &fs::read(&pki.server.certificate)?)?);
        replace(&pki.server.certificate, &pki.renewed_server.certificate)?;
        replace(&pki.server.key, &pki.renewed_server.key)?;
        becomes_renewed(stage)?;
        let told = last_reload(stage, |told| told["by"] == "files")?;
        ensure!(told["outcome"] == "applied" && told["error"].is_null(), "{told}");
        let changed = told["changed"].as_array().context("no list")?;
        ensure!(changed.len() == 2 && told["files"] == 3, "{told}");
        client::get(&mut session, "/after")?;
        // Proves that the change is not applied a second time.
        std::thread::sleep(SEVERAL_CHECKS);
        let log = stage.daemon.log();
        ensure!(log.matches(APPLIED).count() == 1, "{log}");
        let line = log.lines().find(|line| line.contains(APPLIED)).context("no line")?;
        ensure!(line.contains("server.pem") && line.contains("server.key"), "{line}");
        stage.edge_is_served()
    });
}

#[test]
fn a_new_target_of_a_link_to_the_directory_is_applied() {
    on_changed_stage(behind_a_link, |stage| {
        stage.edge_is_served()?;
        let at = |name: &str| stage.lab.dir().join(name);
        symlink("second", at("aside"))?;
        fs::rename(at("aside"), at("live"))?;
        becomes_renewed(stage)
    });
}

#[test]
fn a_pair_that_is_overwritten_in_two_steps_is_applied_after_the_second() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let pki = &stage.lab.pki;
        fs::copy(&pki.renewed_server.certificate, &pki.server.certificate)?;
        let told = last_reload(stage, |told| told["outcome"] == "refused")?;
        let error = told["error"].as_str().unwrap_or_default();
        ensure!(error.contains("does not belong") && error.contains("server.key"), "{told}");
        stage.edge_is_served()?;
        fs::copy(&pki.renewed_server.key, &pki.server.key)?;
        becomes_renewed(stage)?;
        last_reload(stage, |told| told["outcome"] == "applied" && told["error"].is_null())?;
        Ok(())
    });
}

#[test]
fn a_broken_file_is_reported_and_the_error_is_cleared_when_it_is_restored() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let client_ca = &stage.lab.pki.client_ca;
        let good = fs::read(client_ca)?;
        for bad in [Some(&good[..good.len() / 2]), Some(&[]), None] {
            match bad {
                Some(bytes) => fs::write(client_ca, bytes)?,
                None => fs::remove_file(client_ca)?,
            }
            let told = last_reload(stage, |told| told["outcome"] == "refused")?;
            ensure!(told["error"].as_str().unwrap_or("").contains("client-ca.pem"), "{told}");
            let screen = stage.daemon.verb(&["status"])?;
            let screen = screen.text();
            ensure!(screen.contains("by changed files: REFUSED"), "{screen}");
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
            stage.refuses(&pull.certificate(&stage.lab.pki.foreign), "unknown_ca")?;
            fs::write(client_ca, &good)?;
            last_reload(stage, |told| {
                told["outcome"] == "changed_back" && told["error"].is_null()
            })?;
        }
        ensure!(!stage.daemon.log().contains(APPLIED), "{}", stage.daemon.log());
        stage.edge_is_served()
    });
}

#[test]
fn a_replaced_client_ca_drains_the_connections_of_the_old_one() {
    on_changed_stage(
        |config, _| config.drain = "2s",
        |stage| {
            let mut session = stage.open()?;
            let pki = &stage.lab.pki;
            replace(&pki.client_ca, &pki.foreign_ca)?;
            last_reload(stage, |told| told["by"] == "files")?;
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
            pull.clone().certificate(&pki.foreign).must_be_served()?;
            pull.must_be_refused()?;
            wait::until("the old connection ends", PATIENCE, || {
                client::get(&mut session, "/").is_err().then_some(())
            })
        },
    );
}

#[test]
fn files_are_applied_with_the_active_configuration_and_not_with_an_edited_one() {
    on_stage(|stage| {
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        stage.daemon.write(&stage.config.text().replace("enforce", "observe"))?;
        renew_the_pair(stage)?;
        stage.daemon.write("[firewall\n")?;
        let pki = &stage.lab.pki;
        replace(&pki.client_ca, &pki.foreign_ca)?;
        last_reload(stage, |told| told["changed"][0] == *pki.client_ca.to_string_lossy())?;
        ensure!(stage.daemon.status()?.json()["mode"] == "enforce");
        Ok(())
    });
}

fn renew_the_pair(stage: &Stage) -> Result<()> {
    let pki = &stage.lab.pki;
    replace(&pki.server.certificate, &pki.renewed_server.certificate)?;
    replace(&pki.server.key, &pki.renewed_server.key)?;
    becomes_renewed(stage)
}

#[test]
fn with_watch_all_the_configuration_is_applied_too_and_an_invalid_edit_delays_no_certificate() {
    on_changed_stage(
        |config, _| config.tables.push("[reload]\nwatch = \"all\""),
        |stage| {
            stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
            stage.config.mode = "observe";
            stage.daemon.write(&stage.config.text())?;
            let told = last_reload(stage, |told| told["by"] == "configuration")?;
            ensure!(told["outcome"] == "applied", "{told}");
            Pull::by_stranger(&stage.lab, IpVersion::V4).must_be_served()?;

            stage.daemon.write(&stage.config.text().replace("mode =", "mood ="))?;
            let bad = |told: &Value| told["error"].as_str().unwrap_or("").contains("mood");
            last_reload(stage, bad)?;
            renew_the_pair(stage)?;
            last_reload(stage, bad)?;
            stage.daemon.write(&stage.config.text())?;
            last_reload(stage, |told| told["error"].is_null())?;
            Ok(())
        },
    );
}

#[test]
fn with_watch_off_nothing_is_applied_without_a_reload() {
    on_changed_stage(
        |config, _| config.tables.push("[reload]\nwatch = \"off\""),
        |stage| {
            let pki = &stage.lab.pki;
            let old = fs::read(&pki.server.certificate)?;
            replace(&pki.server.certificate, &pki.renewed_server.certificate)?;
            replace(&pki.server.key, &pki.renewed_server.key)?;
            // Proves that the change is not applied.
            std::thread::sleep(SEVERAL_CHECKS);
            ensure!(
                presents(stage, &old)? && stage.daemon.status()?.json()["last_reload"].is_null()
            );
            stage.daemon.must_reload()?;
            ensure!(!presents(stage, &old)?);
            Ok(())
        },
    );
}

#[test]
fn an_expired_revocation_list_is_taken_up_only_by_a_command() {
    on_changed_stage(
        |config, lab| config.site().rules.push(format!("crl = [{:?}]", lab.pki.crl)),
        |stage| {
            stage.edge_is_served()?;
            let pki = &stage.lab.pki;
            replace(&pki.crl, &pki.crl_expired)?;
            let told = last_reload(stage, |told| told["outcome"] == "refused")?;
            let error = told["error"].as_str().context("an error")?;
            ensure!(error.contains("has expired") && error.contains("aop reload"), "{error}");
            stage.edge_is_served()?;
            // A renewed certificate does not wait for the list.
            renew_the_pair(stage)?;
            stage.edge_is_served()?;
            stage.daemon.must_reload()?;
            Pull::by_edge(&stage.lab, IpVersion::V4).send()?;
            stage.daemon.wait_for_log("outcome=\"crl_expired\"")
        },
    );
}
