//! Rules of a site beyond the signature of a client CA, for both TLS versions; revocation; and
//! client CAs that have expired.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self, TlsClient};
use aop_tests::config::SiteTable;
use aop_tests::pki::Credentials;
use aop_tests::pull::TlsVersion;
use aop_tests::{AopToml, IpVersion, Lab, Pki, Pull, child, wait};
use rustls::HandshakeKind;

use crate::stage::{SOON, Stage, on_changed_stage};

/// The whole claim, on a stage whose second site has these `rules`: that site serves `good` and
/// refuses `bad` for `reason`, in both TLS versions. The first site serves `bad`.
fn accepts_and_refuses(
    rules: impl Fn(&Lab) -> Vec<String>,
    good: impl Fn(&Pki) -> Credentials,
    bad: impl Fn(&Pki) -> Credentials,
    reason: &str,
) {
    on_changed_stage(
        |config, lab| second_site(config, lab, rules(lab)),
        |stage| {
            let (good, bad) = (good(&stage.lab.pki), bad(&stage.lab.pki));
            for (tls, family) in TlsVersion::BOTH.into_iter().zip(IpVersion::BOTH) {
                let pull = Pull::by_edge(&stage.lab, family).tls(tls);
                let without = pull.clone().certificate(&bad).send()?;
                ensure!(without.served(), "the other site refuses it too: {without}");
                let pull = pull.host("example.net");
                let outcome = pull.clone().certificate(&good).send()?;
                ensure!(outcome.served(), "the good peer met: {outcome}\n{}", stage.daemon.log());
                stage.refuses(&pull.certificate(&bad), reason)?;
            }
            let log = stage.daemon.log();
            let told = log.lines().find(|line| line.contains(reason)).context("not in the log")?;
            ensure!(told.contains("help="), "no help: {told}");
            Ok(())
        },
    );
}

fn second_site(config: &mut AopToml, lab: &Lab, rules: Vec<String>) {
    config.sites.push(SiteTable { rules, ..SiteTable::second(lab) });
    config.share_the_upstream();
}

fn line(text: &str) -> impl Fn(&Lab) -> Vec<String> {
    move |_| vec![text.to_owned()]
}

#[test]
fn a_certificate_without_a_required_name_is_refused() {
    let rule = r#"require_san = ["dns:other.example", "dns:pull.example.com"]"#;
    accepts_and_refuses(line(rule), |pki| pki.named.clone(), |pki| pki.edge.clone(), "san_missing");
    let rule = r#"require_san = ["uri:spiffe://example.com/edge"]"#;
    accepts_and_refuses(line(rule), |pki| pki.named.clone(), |pki| pki.edge.clone(), "san_missing");
}

#[test]
fn a_certificate_with_another_common_name_is_refused() {
    let rule = r#"require_cn = "edge.example.com""#;
    accepts_and_refuses(
        line(rule),
        |pki| pki.edge.clone(),
        |pki| pki.odd_subject.clone(),
        "cn_mismatch",
    );
}

#[test]
fn a_certificate_with_a_key_that_is_not_pinned_is_refused() {
    let rule = |lab: &Lab| {
        let pin = pin(&lab.pki.edge.certificate).expect("openssl tells the key");
        vec![format!("spki_pins = [\"{}\", \"{pin}\"]", "00".repeat(32))]
    };
    accepts_and_refuses(rule, |pki| pki.edge.clone(), |pki| pki.named.clone(), "pin_mismatch");
}

/// The pin, made with the command in the error message.
fn pin(certificate: &Path) -> Result<String> {
    let mut command = std::process::Command::new("sh");
    let make =
        "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum";
    command.args(["-c", make]).arg(certificate);
    let output = String::from_utf8(child::finish(command, &[], SOON)?.output)?;
    Ok(output.split_whitespace().next().context("no sum")?.to_owned())
}

#[test]
fn a_revoked_certificate_is_refused() {
    let rule = |lab: &Lab| vec![format!("crl = [{:?}]", lab.pki.crl)];
    accepts_and_refuses(rule, |pki| pki.edge.clone(), |pki| pki.revoked.clone(), "revoked");
}

#[test]
fn a_chain_with_an_issuer_that_has_no_list_is_refused() {
    let rule = |lab: &Lab| vec![format!("crl = [{:?}]", lab.pki.crl)];
    accepts_and_refuses(
        rule,
        |pki| pki.edge.clone(),
        |pki| pki.edge_by_intermediate.clone(),
        "unknown_revocation",
    );
}

#[test]
fn with_scope_leaf_an_intermediate_without_a_list_is_accepted() {
    on_changed_stage(
        |config, lab| {
            let list = format!("crl = [{:?}]", lab.pki.crl_of_intermediate);
            second_site(config, lab, vec![list, "crl_scope = \"leaf\"".into()]);
        },
        |stage| {
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).host("example.net");
            let good = pull.clone().certificate(&stage.lab.pki.edge_by_intermediate);
            let revoked = pull.clone().certificate(&stage.lab.pki.revoked_by_intermediate);
            good.must_be_served()?;
            stage.refuses(&revoked, "revoked")?;
            // The issuer of this leaf is the client CA, which has no list.
            stage.refuses(&pull, "unknown_revocation")?;

            stage.config.sites[1].rules.retain(|rule| !rule.starts_with("crl_scope"));
            reload(stage)?;
            stage.refuses(&good, "unknown_revocation")?;
            let (own, above) = (&stage.lab.pki.crl_of_intermediate, &stage.lab.pki.crl);
            stage.config.sites[1].rules =
                vec![format!("crl = [{own:?}, {above:?}]"), "shared_upstream = true".into()];
            reload(stage)?;
            good.must_be_served()?;
            stage.refuses(&revoked, "revoked").map(drop)
        },
    );
}

#[test]
fn after_a_revocation_list_expires_peers_are_refused_unless_configured_otherwise() {
    on_changed_stage(
        |config, lab| {
            let list = format!("crl = [{:?}]", lab.pki.crl_expired);
            second_site(config, lab, vec![list]);
        },
        |stage| {
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).host("example.net");
            stage.refuses(&pull, "crl_expired")?;
            warns(
                stage,
                "clients-expired.crl (CN=Example Operator Client CA) expired on \
                 2021-01-01T00:00:00Z: peers of its issuer are refused",
            )?;
            stage.config.sites[1].rules.push("crl_expired = \"warn\"".into());
            reload(stage)?;
            pull.must_be_served()?;
            stage.refuses(&pull.certificate(&stage.lab.pki.revoked), "revoked")?;
            warns(stage, "peers that were revoked since then are still served")
        },
    );
}

#[test]
fn after_a_client_ca_expires_its_peers_are_refused_unless_configured_otherwise() {
    on_changed_stage(
        |config, lab| {
            config.site().client_ca.push(lab.pki.expired_ca.clone());
        },
        |stage| {
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
            let pull = pull.certificate(&stage.lab.pki.by_expired_ca);
            stage.refuses(&pull, "ca_expired")?;
            warns(
                stage,
                "expired-ca.pem (CN=Ended Operator Client CA) expired on 2021-01-01T00:00:00Z: peers \
                 with a certificate from it are refused",
            )?;
            stage.config.site().rules.push("expired_ca = \"warn\"".into());
            reload(stage)?;
            pull.must_be_served()?;
            warns(stage, "are still served (expired_ca)")
        },
    );
}

fn warns(stage: &Stage, words: &str) -> Result<()> {
    let warnings = stage.daemon.status()?.warnings()?;
    ensure!(warnings.iter().any(|warning| warning.contains(words)), "{warnings:#?}");
    let check = stage.daemon.verb(&["check"])?;
    let text = check.text();
    let wrong = text.lines().any(|line| line.starts_with("wrong: "));
    ensure!(check.code == i32::from(wrong) && text.contains(words), "{text}");
    ensure!(stage.daemon.log().contains(words));
    Ok(())
}

fn reload(stage: &Stage) -> Result<()> {
    stage.reload()?;
    Ok(())
}

/// Both in TLS 1.3 only, because TLS 1.2 has no ML-DSA. curl does not support ML-DSA yet.
#[test]
fn a_site_that_requires_ml_dsa_refuses_a_classical_certificate() {
    on_changed_stage(
        |config, lab| second_site(config, lab, vec!["require_key = \"ml-dsa\"".into()]),
        |stage| {
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            let pki = &stage.lab.pki;
            let client = TlsClient::new(pki, &pki.post_quantum)?;
            for host in ["example.com", "example.net"] {
                let mut session = client.open(stage.lab.edge(), to, host)?;
                ensure!(client::get(&mut session, "/pq")? == b"the upstream answers /pq\n");
                let group = session.conn.negotiated_key_exchange_group().context("no group")?;
                ensure!(group.name() == rustls::NamedGroup::X25519MLKEM768, "{group:?}");
            }
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).host("example.net");
            stage.refuses(&pull, "not_post_quantum").map(drop)
        },
    );
}

#[test]
fn a_new_revocation_list_cuts_revoked_peers_and_a_broken_one_is_not_used() {
    on_changed_stage(
        |config, lab| {
            config.drain = "2s";
            config.site().rules = vec![format!("crl = [{:?}]", lab.pki.crl)];
        },
        |stage| {
            let pki = &stage.lab.pki;
            let mut session = stage.connect()?;
            client::get(&mut session, "/before")?;

            let good = fs::read(&pki.crl)?;
            for bad in [b"".as_slice(), b"not PEM", &good[..good.len() / 2]] {
                fs::write(&pki.crl, bad)?;
                let said = stage.daemon.reload()?;
                ensure!(
                    said.contains("not reloaded") && said.contains("clients.crl.pem"),
                    "{said}"
                );
                let pull = Pull::by_edge(&stage.lab, IpVersion::V4).certificate(&pki.revoked);
                stage.refuses(&pull, "revoked")?;
            }
            client::get(&mut session, "/between")?;

            fs::rename(&pki.crl_grown, &pki.crl)?;
            stage.daemon.must_reload()?;
            let before = stage.snapshot()?;
            Pull::by_edge(&stage.lab, IpVersion::V4).must_be_refused()?;
            stage.counts_refused(&before, "revoked", 1)?;
            wait::until("the old connection ends", Duration::from_secs(10), || {
                client::get(&mut session, "/after").is_err().then_some(())
            })
            .with_context(|| stage.daemon.log())
        },
    );
}

#[test]
fn a_rule_that_a_reload_adds_ends_connections_that_violate_it() {
    on_changed_stage(
        |config, _| config.drain = "2s",
        |stage| {
            let mut session = stage.connect()?;
            client::get(&mut session, "/before")?;
            stage.config.site().rules = vec!["require_san = [\"dns:pull.example.com\"]".into()];
            reload(stage)?;
            client::get(&mut session, "/within")?;
            wait::until("the old connection ends", Duration::from_secs(10), || {
                client::get(&mut session, "/after").is_err().then_some(())
            })
            .with_context(|| stage.daemon.log())
        },
    );
}

#[test]
fn with_resumption_a_revoked_certificate_is_still_refused() {
    on_changed_stage(
        |config, lab| {
            let list = format!("crl = [{:?}]", lab.pki.crl);
            config.site().rules = vec![list, "resumption = \"verified\"".into()];
        },
        |stage| {
            let pki = &stage.lab.pki;
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            // This client remembers sessions, as an edge does.
            let client = TlsClient::new(pki, &pki.edge)?;
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
                let mut session = client.open(stage.lab.edge(), to, "example.com")?;
                client::get(&mut session, "/")?;
                ensure!(session.conn.handshake_kind() == Some(kind), "not {kind:?}");
            }
            fs::rename(&pki.crl_grown, &pki.crl)?;
            stage.daemon.must_reload()?;
            let before = stage.snapshot()?;
            let mut session = client.open(stage.lab.edge(), to, "example.com")?;
            let error = client::get(&mut session, "/").err().context("served")?;
            ensure!(format!("{error:#}").contains("CertificateRevoked"), "{error:#}");
            stage.counts_refused(&before, "revoked", 1)
        },
    );
}
