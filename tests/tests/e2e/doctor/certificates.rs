//! Mistakes with certificates: each is named, from the files or from the pulls of the edge.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use aop_tests::pki::Credentials;
use aop_tests::{AopToml, IpVersion, Lab, Pull, child, wait};

use super::{DoctorRun, diagnose, diagnose_pair};
use crate::stage::{SOON, Stage, on_changed_stage, on_stage, skip};

/// Runs the doctor after the edge has pulled with `credentials` and was refused.
fn after_a_refused_pull(
    stage: &Stage,
    credentials: &Credentials,
    reason: &str,
) -> Result<DoctorRun> {
    let pull = Pull::by_edge(&stage.lab, IpVersion::V4).certificate(credentials);
    pull.must_be_refused()?;
    wait::until(reason, SOON, || {
        stage.daemon.status().ok()?.refused(reason).ok().filter(|count| *count > 0)
    })?;
    diagnose(&stage.daemon, &[])
}

fn observes(config: &mut AopToml, _: &Lab) {
    config.mode = "observe";
}

fn with_ca(ca: impl Fn(&Lab) -> PathBuf) -> impl Fn(&mut AopToml, &Lab) {
    move |config, lab| {
        config.mode = "observe";
        config.site().client_ca = vec![ca(lab)];
    }
}

/// `aop check` reports this as wrong, and so does the doctor.
fn is_a_mistake(stage: &Stage, told: &[&str]) -> Result<()> {
    let checked = stage.daemon.verb(&["check"])?;
    let text = checked.text();
    let wrong =
        |line: &&str| line.starts_with("wrong: ") && told.iter().all(|it| line.contains(it));
    ensure!(text.lines().any(|line| wrong(&line)), "{text}");
    let diagnosis = diagnose(&stage.daemon, &[])?;
    let said = diagnosis.finds("mistake")?["said"].as_str().unwrap_or_default();
    ensure!(told.iter().all(|it| said.contains(it)), "{said}");
    Ok(())
}

#[test]
fn a_wrong_client_ca_is_named_from_pulls_and_from_the_uploaded_pair() {
    on_changed_stage(with_ca(|lab| lab.pki.foreign_ca.clone()), |stage| {
        let edge = stage.lab.pki.edge.clone();
        let diagnosis = after_a_refused_pull(stage, &edge, "unknown_ca")?;
        let found = diagnosis.finds_only("pulls_of_another_ca")?;
        ensure!(found["about"] == "example.com", "{found}");
        ensure!(found["visitor"].as_str().is_some_and(|it| it.contains("525")), "{found}");
        let edge_address = stage.lab.edge_address(IpVersion::V4).to_string();
        ensure!(found["evidence"].to_string().contains(&edge_address), "{found}");
        let by_pair = diagnose_pair(&stage.daemon, &edge)?;
        ensure!(by_pair.finds("edge_certificate")?["evidence"].to_string().contains("unknown_ca"));
        Ok(())
    });
}

#[test]
fn the_origin_ca_pasted_as_client_ca_is_named() {
    let origin_ca = |lab: &Lab| {
        let (ca, key) = (lab.dir().join("origin-ca.pem"), lab.dir().join("origin-ca.key"));
        let subject = "/C=US/O=CloudFlare, Inc./OU=CloudFlare Origin SSL ECC Certificate Authority";
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "365", "-subj", subject, "-keyout"]).arg(key);
        openssl.arg("-out").arg(&ca);
        let done = child::finish(openssl, &[], SOON).expect("openssl");
        assert!(done.code == 0, "{done:?}");
        ca
    };
    on_changed_stage(with_ca(origin_ca), |stage| {
        is_a_mistake(stage, &["origin-ca.pem", "Origin CA", "cloudflare-global"])
    });
}

#[test]
fn an_expired_ca_is_named() {
    on_changed_stage(with_ca(|lab| lab.pki.expired_ca.clone()), |stage| {
        is_a_mistake(stage, &["expired-ca.pem", "expired on 2021-01-01"])?;
        let expired = stage.lab.pki.by_expired_ca.clone();
        let diagnosis = after_a_refused_pull(stage, &expired, "ca_expired")?;
        diagnosis.finds("pulls_of_expired_ca")?;
        Ok(())
    });
}

#[test]
fn shared_data_the_cloudflare_ca_of_2015_is_named() {
    let Some(data) = std::env::var_os("AOP_SHARED_DATA").map(PathBuf::from) else {
        return skip("AOP_SHARED_DATA is not set");
    };
    let of_2015 = |_: &Lab| data.join("authenticated_origin_pull_ca_2015.pem");
    on_changed_stage(with_ca(of_2015), |stage| {
        is_a_mistake(stage, &["authenticated_origin_pull_ca_2015.pem", "expired on 2020-01"])
    });
}

#[test]
fn the_certificate_of_the_edge_pasted_as_client_ca_is_named() {
    on_changed_stage(with_ca(|lab| lab.pki.edge.certificate.clone()), |stage| {
        is_a_mistake(stage, &["edge.pem", "not a CA"])
    });
}

#[test]
fn a_version_1_leaf_is_named_with_the_command_for_a_correct_one() {
    on_changed_stage(observes, |stage| {
        let version_1 = stage.lab.pki.version_1()?;
        let by_pair = diagnose_pair(&stage.daemon, &version_1)?;
        let commands = by_pair.finds_only("edge_certificate")?["commands"].to_string();
        ensure!(commands.contains("\"aop ca issue --ca ca.pem --csr leaf.csr"), "{commands}");
        let diagnosis = after_a_refused_pull(stage, &version_1, "certificate_version")?;
        let commands = diagnosis.finds_only("pulls_with_version_1")?["commands"].to_string();
        ensure!(commands.contains("aop ca issue --ca ca.pem --csr leaf.csr"), "{commands}");
        Ok(())
    });
}

#[test]
fn a_ca_as_leaf_is_named_with_the_command_for_a_correct_one() {
    on_changed_stage(observes, |stage| {
        let ca = stage.lab.pki.ca_as_leaf.clone();
        let by_pair = diagnose_pair(&stage.daemon, &ca)?;
        let commands = &by_pair.finds_only("edge_certificate")?["commands"];
        let command = commands[0].as_str().context("no command")?;
        after_a_refused_pull(stage, &ca, "ca_as_leaf")?.finds_only("pulls_with_ca_leaf")?;
        // The command does it, with the CA of the site.
        let ca = &stage.lab.pki.client_ca;
        let directory = stage.lab.dir().join("issued");
        fs::create_dir(&directory)?;
        fs::copy(ca, directory.join("ca.pem"))?;
        fs::copy(ca.with_extension("key"), directory.join("ca.key"))?;
        let line = command.strip_prefix("aop ").context("not aop")?.replace("HOST", "example.com");
        for (line, said) in [
            (&*line, "aop cloudflare roll --site HOST --ca ca.pem\n"),
            ("ca show leaf.pem leaf.key", "upload      yes\n"),
        ] {
            let mut aop = Command::new(stage.daemon.program());
            aop.args(line.split(' ')).current_dir(&directory);
            let text = child::finish(aop, &[], SOON)?.success()?.text();
            ensure!(text.contains(said), "no {said:?} in {text}");
        }
        Ok(())
    });
}

#[test]
fn a_leaf_without_the_required_name_is_named() {
    let named = |config: &mut AopToml, _: &Lab| {
        config.mode = "observe";
        config.site().rules.push("require_san = [\"dns:pull.example.com\"]".into());
    };
    on_changed_stage(named, |stage| {
        let edge = stage.lab.pki.edge.clone();
        let by_pair = diagnose_pair(&stage.daemon, &edge)?;
        let found = by_pair.finds_only("edge_certificate")?;
        ensure!(found["evidence"].to_string().contains("san_missing"), "{found}");
        diagnose_pair(&stage.daemon, &stage.lab.pki.named)?.is_clean()?;
        // The doctor itself was authorized with the other pair. That is no pull of the CDN.
        let found = after_a_refused_pull(stage, &edge, "san_missing")?;
        found.finds_only("pulls_without_required_name")?;
        Ok(())
    });
}

#[test]
fn pulls_without_a_certificate_are_named_until_the_edge_is_served() {
    on_changed_stage(observes, |stage| {
        let bare = Pull::by_edge(&stage.lab, IpVersion::V6).no_certificate();
        bare.must_be_refused()?;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("pulls_without_certificate")?;
        ensure!(found["cure"].to_string().contains("Authenticated Origin Pulls"), "{found}");
        stage.edge_is_served()?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        diagnosis.tells("pulls_without_certificate")?;
        Ok(())
    });
}

#[test]
fn a_key_of_another_certificate_and_an_unreadable_key_are_named() {
    on_stage(|stage| {
        let pki = &stage.lab.pki;
        let mixed = Credentials { key: pki.foreign.key.clone(), ..pki.edge.clone() };
        let found = diagnose_pair(&stage.daemon, &mixed)?;
        let said = found.finds_only("edge_certificate")?["said"].to_string();
        ensure!(said.contains("key does not belong to the certificate"), "{said}");
        let missing = Credentials { key: stage.lab.dir().join("none.key"), ..pki.edge.clone() };
        let said =
            diagnose_pair(&stage.daemon, &missing)?.finds("edge_certificate")?["said"].clone();
        ensure!(said.to_string().contains("none.key"), "{said}");
        Ok(())
    });
}
