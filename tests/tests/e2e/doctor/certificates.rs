//! Mistakes in certificates: each is named, from the files or by what the edge meets.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use aop_tests::pki::Identity;
use aop_tests::{Config, Family, Pull, World, child, wait};

use super::{Diagnosis, diagnose, diagnose_pair};
use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

/// The edge pulls with `identity` and is refused; then the doctor is asked.
fn after_a_refused_pull(stage: &Stage, identity: &Identity, reason: &str) -> Result<Diagnosis> {
    let pull = Pull::by_edge(&stage.world, Family::V4).certificate(identity);
    let outcome = pull.send()?;
    ensure!(outcome.refused(), "{outcome}");
    wait::until(reason, SOON, || {
        stage.daemon.status().ok()?.refused(reason).ok().filter(|count| *count > 0)
    })?;
    diagnose(&stage.daemon, &[])
}

fn observes(config: &mut Config, _: &World) {
    config.mode = "observe";
}

fn with_ca(ca: impl Fn(&World) -> PathBuf) -> impl Fn(&mut Config, &World) {
    move |config, world| {
        config.mode = "observe";
        config.site().client_ca = vec![ca(world)];
    }
}

/// `aop check` says this under "wrong", and the doctor takes it over.
fn is_a_mistake(stage: &Stage, told: &[&str]) -> Result<()> {
    let checked = stage.daemon.verb(&["check"])?;
    let text = String::from_utf8(checked.output)?;
    let wrong =
        |line: &&str| line.starts_with("wrong: ") && told.iter().all(|it| line.contains(it));
    ensure!(text.lines().any(|line| wrong(&line)), "{text}");
    let diagnosis = diagnose(&stage.daemon, &[])?;
    let said = diagnosis.finds("mistake")?["said"].as_str().unwrap_or_default();
    ensure!(told.iter().all(|it| said.contains(it)), "{said}");
    Ok(())
}

#[test]
fn a_wrong_ca_is_named_by_what_the_edge_meets_and_by_the_uploaded_pair() {
    on_changed_stage(with_ca(|world| world.pki.foreign_ca.clone()), |stage| {
        let edge = stage.world.pki.edge.clone();
        let diagnosis = after_a_refused_pull(stage, &edge, "unknown_ca")?;
        let found = diagnosis.finds_only("pulls_of_another_ca")?;
        ensure!(found["about"] == "example.com", "{found}");
        ensure!(found["visitor"].as_str().is_some_and(|it| it.contains("525")), "{found}");
        let edge_address = stage.world.edge_address(Family::V4).to_string();
        ensure!(found["evidence"].to_string().contains(&edge_address), "{found}");
        let by_pair = diagnose_pair(&stage.daemon, &edge)?;
        ensure!(by_pair.finds("edge_certificate")?["evidence"].to_string().contains("unknown_ca"));
        Ok(())
    });
}

#[test]
fn the_origin_ca_pasted_as_client_ca_is_named() {
    let origin_ca = |world: &World| {
        let (ca, key) = (world.dir().join("origin-ca.pem"), world.dir().join("origin-ca.key"));
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
    on_changed_stage(with_ca(|world| world.pki.expired_ca.clone()), |stage| {
        is_a_mistake(stage, &["expired-ca.pem", "expired on 2021-01-01"])?;
        let expired = stage.world.pki.by_expired_ca.clone();
        let diagnosis = after_a_refused_pull(stage, &expired, "ca_expired")?;
        diagnosis.finds("pulls_of_expired_ca")?;
        Ok(())
    });
}

#[test]
fn shared_data_the_ca_of_2015_is_named() {
    let of_2015 = |_: &World| {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
        let shared = std::env::var_os("AOP_SHARED_DATA").unwrap_or_else(|| beside.into());
        Path::new(&shared).join("authenticated_origin_pull_ca_2015.pem")
    };
    on_changed_stage(with_ca(of_2015), |stage| {
        is_a_mistake(stage, &["authenticated_origin_pull_ca_2015.pem", "expired on 2020-01"])
    });
}

#[test]
fn the_edge_s_own_certificate_pasted_as_ca_is_named() {
    on_changed_stage(with_ca(|world| world.pki.edge.certificate.clone()), |stage| {
        is_a_mistake(stage, &["edge.pem", "not a CA"])
    });
}

#[test]
fn a_leaf_of_version_1_is_named_with_the_command_that_makes_a_right_one() {
    on_changed_stage(observes, |stage| {
        let version_1 = stage.world.pki.version_1()?;
        let by_pair = diagnose_pair(&stage.daemon, &version_1)?;
        let commands = by_pair.finds_only("edge_certificate")?["commands"].to_string();
        ensure!(
            commands.contains("\"openssl x509 -req") && commands.contains("-extfile"),
            "{commands}"
        );
        let diagnosis = after_a_refused_pull(stage, &version_1, "certificate_version")?;
        let commands = diagnosis.finds_only("pulls_with_version_1")?["commands"].to_string();
        ensure!(commands.contains("openssl x509 -req"), "{commands}");
        Ok(())
    });
}

#[test]
fn a_ca_as_leaf_is_named_with_the_command_that_makes_a_right_one() {
    on_changed_stage(observes, |stage| {
        let ca = stage.world.pki.ca_as_leaf.clone();
        let by_pair = diagnose_pair(&stage.daemon, &ca)?;
        let commands = &by_pair.finds_only("edge_certificate")?["commands"];
        ensure!(commands.to_string().contains("openssl x509 -req"), "{commands}");
        after_a_refused_pull(stage, &ca, "ca_as_leaf")?.finds_only("pulls_with_ca_leaf")?;
        Ok(())
    });
}

#[test]
fn a_leaf_without_the_required_name_is_named() {
    let named = |config: &mut Config, _: &World| {
        config.mode = "observe";
        config.site().rules.push("require_san = [\"dns:pull.example.com\"]".into());
    };
    on_changed_stage(named, |stage| {
        let edge = stage.world.pki.edge.clone();
        let by_pair = diagnose_pair(&stage.daemon, &edge)?;
        let found = by_pair.finds_only("edge_certificate")?;
        ensure!(found["evidence"].to_string().contains("san_missing"), "{found}");
        diagnose_pair(&stage.daemon, &stage.world.pki.named)?.is_clean()?;
        // That the doctor itself was let in with the other pair is no pull of the CDN.
        let found = after_a_refused_pull(stage, &edge, "san_missing")?;
        found.finds_only("pulls_without_required_name")?;
        Ok(())
    });
}

#[test]
fn pulls_without_any_certificate_are_named_until_the_edge_is_served() {
    on_changed_stage(observes, |stage| {
        let bare = Pull::by_edge(&stage.world, Family::V6).no_certificate();
        ensure!(bare.send()?.refused());
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
fn a_pair_that_does_not_belong_together_or_cannot_be_read_is_named() {
    on_stage(|stage| {
        let pki = &stage.world.pki;
        let mixed = Identity { key: pki.foreign.key.clone(), ..pki.edge.clone() };
        let found = diagnose_pair(&stage.daemon, &mixed)?;
        let said = found.finds_only("edge_certificate")?["said"].to_string();
        ensure!(said.contains("key does not belong to the certificate"), "{said}");
        let missing = Identity { key: stage.world.dir().join("none.key"), ..pki.edge.clone() };
        let said =
            diagnose_pair(&stage.daemon, &missing)?.finds("edge_certificate")?["said"].clone();
        ensure!(said.to_string().contains("none.key"), "{said}");
        Ok(())
    });
}
