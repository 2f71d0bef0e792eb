//! Client certificates that are refused and those that are accepted, for both TLS versions.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use aop_tests::config::SiteTable;
use aop_tests::pki::Credentials;
use aop_tests::pull::TlsVersion;
use aop_tests::{AopToml, IpVersion, Lab, Pki, Pull, child};

use crate::stage::{SOON, on_changed_stage, on_stage};

/// The whole claim, for a pull with the certificate that `choose` returns, or without one.
fn refused(choose: impl Fn(&Pki) -> Result<Option<Credentials>>, reason: &str) {
    on_stage(|stage| {
        let presented = choose(&stage.lab.pki)?;
        for (tls, family) in TlsVersion::BOTH.into_iter().zip(IpVersion::BOTH) {
            let pull = Pull::by_edge(&stage.lab, family).tls(tls);
            let pull = match &presented {
                Some(credentials) => pull.certificate(credentials),
                None => pull.no_certificate(),
            };
            stage.refuses(&pull, reason)?;
        }
        Ok(())
    });
}

#[test]
fn no_certificate_is_refused() {
    refused(|_| Ok(None), "certificate_required");
}

#[test]
fn a_certificate_of_another_ca_is_refused() {
    refused(|pki| Ok(Some(pki.foreign.clone())), "unknown_ca");
}

#[test]
fn a_certificate_of_a_ca_with_the_same_name_is_refused() {
    refused(|pki| Ok(Some(pki.namesake.clone())), "bad_certificate");
}

#[test]
fn a_certificate_for_servers_is_refused() {
    refused(|pki| Ok(Some(pki.wrong_usage.clone())), "wrong_usage");
}

#[test]
fn an_expired_certificate_is_refused() {
    refused(|pki| Ok(Some(pki.expired.clone())), "expired");
}

#[test]
fn a_certificate_that_is_not_yet_valid_is_refused() {
    refused(|pki| Ok(Some(pki.not_yet_valid.clone())), "not_yet_valid");
}

#[test]
fn a_version_1_certificate_is_refused() {
    refused(|pki| pki.version_1().map(Some), "certificate_version");
}

/// The log of that refusal contains commands. They make a certificate that is served.
#[test]
fn the_command_in_the_log_of_a_refusal_makes_a_correct_certificate() {
    on_stage(|stage| {
        let pki = &stage.lab.pki;
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
        stage.refuses(&pull.clone().certificate(&pki.version_1()?), "certificate_version")?;
        let log = stage.daemon.log();
        let help = log.split_once("one for its key: aop ").context("no help")?.1;
        let line =
            help.split(" --out leaf").next().context("no end")?.replace("HOST", "example.com");

        let dir = stage.lab.dir().join("issue");
        fs::create_dir(&dir)?;
        let beside = |name: &str| pki.client_ca.with_file_name(name);
        fs::copy(beside("version-1.csr"), dir.join("leaf.csr"))?;
        fs::copy(&pki.client_ca, dir.join("ca.pem"))?;
        fs::copy(beside("client-ca.key"), dir.join("ca.key"))?;
        let mut command = Command::new(stage.daemon.program());
        command.current_dir(&dir).args(line.split(' ')).args(["--out", "leaf"]);
        child::finish(command, &[], SOON)?.success()?;
        let issued = Credentials { certificate: dir.join("leaf.pem"), key: pki.edge.key.clone() };
        pull.certificate(&issued).must_be_served()?;
        Ok(())
    });
}

#[test]
fn a_ca_presented_as_a_leaf_is_refused() {
    refused(|pki| Ok(Some(pki.ca_as_leaf.clone())), "ca_as_leaf");
}

#[test]
fn a_self_signed_certificate_is_refused() {
    refused(|pki| Ok(Some(pki.self_signed.clone())), "ca_as_leaf");
}

#[test]
fn a_chain_through_an_intermediate_is_accepted() {
    on_stage(|stage| {
        for tls in TlsVersion::BOTH {
            let chain = &stage.lab.pki.edge_by_intermediate;
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).certificate(chain).tls(tls);
            pull.must_be_served()?;
        }
        Ok(())
    });
}

#[test]
fn during_a_rollover_both_client_cas_are_trusted() {
    let both = |config: &mut AopToml, lab: &Lab| {
        config.site().client_ca.push(lab.pki.foreign_ca.clone());
    };
    on_changed_stage(both, |stage| {
        for identity in [&stage.lab.pki.edge, &stage.lab.pki.foreign] {
            Pull::by_edge(&stage.lab, IpVersion::V4).certificate(identity).must_be_served()?;
        }
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4).certificate(&stage.lab.pki.self_signed);
        stage.refuses(&pull, "ca_as_leaf")?;
        Ok(())
    });
}

#[test]
fn each_site_trusts_only_its_own_client_ca() {
    let second = |config: &mut AopToml, lab: &Lab| {
        config.sites.push(SiteTable {
            client_ca: vec![lab.pki.foreign_ca.clone()],
            ..SiteTable::second(lab)
        });
        config.share_the_upstream();
    };
    on_changed_stage(second, |stage| {
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
        let (edge, foreign) = (&stage.lab.pki.edge, &stage.lab.pki.foreign);
        let second = pull.clone().host("example.net");
        second.clone().certificate(foreign).must_be_served()?;
        stage.refuses(&second.certificate(edge), "unknown_ca")?;
        stage.refuses(&pull.certificate(foreign), "unknown_ca")?;
        Ok(())
    });
}

#[test]
fn the_ca_of_the_cdn_does_not_authorize_the_certificate_of_the_operator() {
    let global = |config: &mut AopToml, lab: &Lab| {
        config.sites.push(SiteTable {
            client_ca: vec!["cloudflare-global".into()],
            ..SiteTable::second(lab)
        });
        config.share_the_upstream();
    };
    on_changed_stage(global, |stage| {
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4).host("example.net");
        stage.refuses(&pull, "unknown_ca").map(drop)
    });
}
