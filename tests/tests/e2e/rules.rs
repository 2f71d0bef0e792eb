//! What a site demands beside a client CA's signature, over both TLS versions; what is revoked; and
//! client CAs that have ended.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::hand::{self, Client};
use aop_tests::pki::Identity;
use aop_tests::pull::Tls;
use aop_tests::{Config, Family, Pki, Pull, World, child, wait};
use rustls::HandshakeKind;

use crate::stage::{SOON, Stage, on_changed_stage};

/// On a stage with a second site of these `rules`: there `good` is served in both TLS versions, and
/// `bad`, which the first site serves, is refused for `reason`.
fn tells_apart(
    rules: impl Fn(&World) -> Vec<String>,
    good: impl Fn(&Pki) -> Identity,
    bad: impl Fn(&Pki) -> Identity,
    reason: &str,
) {
    on_changed_stage(
        |config, world| second_site(config, world, rules(world)),
        |stage| {
            let (good, bad) = (good(&stage.world.pki), bad(&stage.world.pki));
            for (tls, family) in Tls::BOTH.into_iter().zip(Family::BOTH) {
                let pull = Pull::by_edge(&stage.world, family).tls(tls);
                let without = pull.clone().certificate(&bad).send()?;
                ensure!(without.served(), "the rule was not what refuses: {without}");
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

fn second_site(config: &mut Config, world: &World, rules: Vec<String>) {
    let mut site = config.sites[0].clone();
    site.hosts = vec!["example.net".into()];
    site.certificate.clone_from(&world.pki.second_server.certificate);
    site.key.clone_from(&world.pki.second_server.key);
    site.rules = rules;
    config.sites.push(site);
    config.share_the_upstream();
}

fn line(text: &str) -> impl Fn(&World) -> Vec<String> {
    move |_| vec![text.to_owned()]
}

#[test]
fn a_certificate_without_a_required_name_is_refused() {
    let rule = r#"require_san = ["dns:other.example", "dns:pull.example.com"]"#;
    tells_apart(line(rule), |pki| pki.named.clone(), |pki| pki.edge.clone(), "san_missing");
    let rule = r#"require_san = ["uri:spiffe://example.com/edge"]"#;
    tells_apart(line(rule), |pki| pki.named.clone(), |pki| pki.edge.clone(), "san_missing");
}

#[test]
fn a_certificate_with_another_common_name_is_refused() {
    let rule = r#"require_cn = "edge.example.com""#;
    tells_apart(line(rule), |pki| pki.edge.clone(), |pki| pki.odd_subject.clone(), "cn_mismatch");
}

#[test]
fn a_certificate_with_a_key_that_is_not_pinned_is_refused() {
    let rule = |world: &World| {
        let pin = pin(&world.pki.edge.certificate).expect("openssl tells the key");
        vec![format!("spki_pins = [\"{}\", \"{pin}\"]", "00".repeat(32))]
    };
    tells_apart(rule, |pki| pki.edge.clone(), |pki| pki.named.clone(), "pin_mismatch");
}

/// The pin as the error message says that one makes it.
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
    let rule = |world: &World| vec![format!("crl = [{:?}]", world.pki.crl)];
    tells_apart(rule, |pki| pki.edge.clone(), |pki| pki.revoked.clone(), "revoked");
}

#[test]
fn a_chain_of_which_one_issuer_has_no_list_is_refused() {
    let rule = |world: &World| vec![format!("crl = [{:?}]", world.pki.crl)];
    tells_apart(
        rule,
        |pki| pki.edge.clone(),
        |pki| pki.edge_by_intermediate.clone(),
        "unknown_revocation",
    );
}

#[test]
fn where_the_leaf_alone_is_looked_up_an_intermediate_without_a_list_passes() {
    on_changed_stage(
        |config, world| {
            let list = format!("crl = [{:?}]", world.pki.crl_of_intermediate);
            second_site(config, world, vec![list, "crl_scope = \"leaf\"".into()]);
        },
        |stage| {
            let pull = Pull::by_edge(&stage.world, Family::V4).host("example.net");
            let good = pull.clone().certificate(&stage.world.pki.edge_by_intermediate);
            let revoked = pull.clone().certificate(&stage.world.pki.revoked_by_intermediate);
            let outcome = good.send()?;
            ensure!(outcome.served(), "{outcome}\n{}", stage.daemon.log());
            stage.refuses(&revoked, "revoked")?;
            // The leaf's issuer is the client CA here, which has no list.
            stage.refuses(&pull, "unknown_revocation")?;

            stage.config.sites[1].rules.retain(|rule| !rule.starts_with("crl_scope"));
            reload(stage)?;
            stage.refuses(&good, "unknown_revocation")?;
            let (own, above) = (&stage.world.pki.crl_of_intermediate, &stage.world.pki.crl);
            stage.config.sites[1].rules =
                vec![format!("crl = [{own:?}, {above:?}]"), "shared_upstream = true".into()];
            reload(stage)?;
            let outcome = good.send()?;
            ensure!(outcome.served(), "{outcome}\n{}", stage.daemon.log());
            stage.refuses(&revoked, "revoked").map(drop)
        },
    );
}

#[test]
fn after_the_end_of_a_revocation_list_peers_are_refused_unless_that_is_tolerated() {
    on_changed_stage(
        |config, world| {
            let list = format!("crl = [{:?}]", world.pki.crl_expired);
            second_site(config, world, vec![list]);
        },
        |stage| {
            let pull = Pull::by_edge(&stage.world, Family::V4).host("example.net");
            stage.refuses(&pull, "crl_expired")?;
            warns(
                stage,
                "clients-expired.crl expired on 2021-01-01T00:00:00Z: peers of its issuer are refused",
            )?;
            stage.config.sites[1].rules.push("crl_expired = \"warn\"".into());
            reload(stage)?;
            let outcome = pull.send()?;
            ensure!(outcome.served(), "{outcome}");
            stage.refuses(&pull.certificate(&stage.world.pki.revoked), "revoked")?;
            warns(stage, "peers that were revoked since then are still served")
        },
    );
}

#[test]
fn after_the_end_of_a_client_ca_its_peers_are_refused_unless_that_is_tolerated() {
    on_changed_stage(
        |config, world| {
            config.site().client_ca.push(world.pki.expired_ca.clone());
        },
        |stage| {
            let pull = Pull::by_edge(&stage.world, Family::V4);
            let pull = pull.certificate(&stage.world.pki.by_expired_ca);
            stage.refuses(&pull, "ca_expired")?;
            warns(
                stage,
                "expired-ca.pem expired on 2021-01-01T00:00:00Z: peers with a certificate from it \
                 are refused",
            )?;
            stage.config.site().rules.push("expired_ca = \"warn\"".into());
            reload(stage)?;
            let outcome = pull.send()?;
            ensure!(outcome.served(), "{outcome}");
            warns(stage, "are still served (expired_ca)")
        },
    );
}

fn warns(stage: &Stage, words: &str) -> Result<()> {
    let warnings = stage.daemon.status()?.warnings()?;
    ensure!(warnings.iter().any(|warning| warning.contains(words)), "{warnings:#?}");
    let check = stage.daemon.verb(&["check"])?;
    let text = String::from_utf8(check.output)?;
    ensure!(check.code == 0 && text.contains(words), "{text}");
    ensure!(stage.daemon.log().contains(words));
    Ok(())
}

fn reload(stage: &Stage) -> Result<()> {
    stage.daemon.write(&stage.config.text())?;
    let said = stage.daemon.reload()?;
    ensure!(!said.contains("not reloaded"), "{said}");
    Ok(())
}

/// Both TLS 1.3 alone: TLS 1.2 has no ML-DSA. curl of today has none either.
#[test]
fn where_ml_dsa_is_required_a_classical_certificate_is_refused() {
    on_changed_stage(
        |config, world| second_site(config, world, vec!["require_key = \"ml-dsa\"".into()]),
        |stage| {
            let to = stage.world.origin_at(Family::V4, 443);
            let pki = &stage.world.pki;
            let client = Client::new(pki, &pki.post_quantum)?;
            for host in ["example.com", "example.net"] {
                let mut session = client.open(stage.world.edge(), to, host)?;
                ensure!(hand::get(&mut session, "/pq")? == b"the upstream answers /pq\n");
                let group = session.conn.negotiated_key_exchange_group().context("no group")?;
                ensure!(group.name() == rustls::NamedGroup::X25519MLKEM768, "{group:?}");
            }
            let pull = Pull::by_edge(&stage.world, Family::V4).host("example.net");
            stage.refuses(&pull, "not_post_quantum").map(drop)
        },
    );
}

#[test]
fn a_revocation_list_that_grows_cuts_off_whom_it_revokes_and_a_broken_one_keeps_the_old() {
    on_changed_stage(
        |config, world| {
            config.drain = "2s";
            config.site().rules = vec![format!("crl = [{:?}]", world.pki.crl)];
        },
        |stage| {
            let pki = &stage.world.pki;
            let to = stage.world.origin_at(Family::V4, 443);
            let client = Client::new(pki, &pki.edge)?;
            let mut session = client.open(stage.world.edge(), to, "example.com")?;
            hand::get(&mut session, "/before")?;

            let good = fs::read(&pki.crl)?;
            for bad in [b"".as_slice(), b"not PEM", &good[..good.len() / 2]] {
                fs::write(&pki.crl, bad)?;
                let said = stage.daemon.reload()?;
                ensure!(
                    said.contains("not reloaded") && said.contains("clients.crl.pem"),
                    "{said}"
                );
                let pull = Pull::by_edge(&stage.world, Family::V4).certificate(&pki.revoked);
                stage.refuses(&pull, "revoked")?;
            }
            hand::get(&mut session, "/between")?;

            fs::rename(&pki.crl_grown, &pki.crl)?;
            ensure!(!stage.daemon.reload()?.contains("not reloaded"));
            let before = stage.before()?;
            let outcome = Pull::by_edge(&stage.world, Family::V4).send()?;
            ensure!(outcome.refused(), "{outcome}");
            stage.counted_as(&before, "revoked", 1)?;
            wait::until("the old connection ends", Duration::from_secs(10), || {
                hand::get(&mut session, "/after").is_err().then_some(())
            })
            .with_context(|| stage.daemon.log())
        },
    );
}

#[test]
fn a_rule_that_a_reload_adds_ends_what_it_would_have_refused() {
    on_changed_stage(
        |config, _| config.drain = "2s",
        |stage| {
            let to = stage.world.origin_at(Family::V4, 443);
            let client = Client::new(&stage.world.pki, &stage.world.pki.edge)?;
            let mut session = client.open(stage.world.edge(), to, "example.com")?;
            hand::get(&mut session, "/before")?;
            stage.config.site().rules = vec!["require_san = [\"dns:pull.example.com\"]".into()];
            reload(stage)?;
            hand::get(&mut session, "/within")?;
            wait::until("the old connection ends", Duration::from_secs(10), || {
                hand::get(&mut session, "/after").is_err().then_some(())
            })
            .with_context(|| stage.daemon.log())
        },
    );
}

#[test]
fn where_a_site_resumes_a_revoked_certificate_is_refused_all_the_same() {
    on_changed_stage(
        |config, world| {
            let list = format!("crl = [{:?}]", world.pki.crl);
            config.site().rules = vec![list, "resumption = \"verified\"".into()];
        },
        |stage| {
            let pki = &stage.world.pki;
            let to = stage.world.origin_at(Family::V4, 443);
            // Remembers sessions, as an edge does.
            let client = Client::new(pki, &pki.edge)?;
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
                let mut session = client.open(stage.world.edge(), to, "example.com")?;
                hand::get(&mut session, "/")?;
                ensure!(session.conn.handshake_kind() == Some(kind), "not {kind:?}");
            }
            fs::rename(&pki.crl_grown, &pki.crl)?;
            ensure!(!stage.daemon.reload()?.contains("not reloaded"));
            let before = stage.before()?;
            let mut session = client.open(stage.world.edge(), to, "example.com")?;
            let error = hand::get(&mut session, "/").err().context("served")?;
            ensure!(format!("{error:#}").contains("CertificateRevoked"), "{error:#}");
            stage.counted_as(&before, "revoked", 1)
        },
    );
}
