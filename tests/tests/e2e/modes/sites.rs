//! A site in observe mode, and the way to enforce mode: `on_refusal = "observe"`, `aop mode
//! --site`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self, TlsClient};
use aop_tests::config::SiteTable;
use aop_tests::pki::Credentials;
use aop_tests::pull::TlsVersion;
use aop_tests::{AopToml, IpVersion, Lab, Pki, Pull, TestUpstream, wait};
use serde_json::Value;

use crate::stage::{SOON, Stage, on_changed_stage};

/// Ten seconds, and more on a busy machine.
const REVERTED: Duration = Duration::from_secs(20);

/// `example.com` observes. A second site, `example.net`, requires a certificate and has an upstream
/// of its own.
fn one_observes(config: &mut AopToml, lab: &Lab) {
    let upstream = String::from("tcp://127.0.0.1:8081");
    config.sites.push(SiteTable { upstream, ..SiteTable::second(lab) });
    config.site().rules.push("on_refusal = \"observe\"".into());
    config.drain = "1s";
}

/// As [`one_observes`], with an HTTP upstream that gets the client certificate in a header.
fn one_observes_requests(config: &mut AopToml, lab: &Lab) {
    one_observes(config, lab);
    config.site().upstream = String::from("http://127.0.0.1:8080");
    config.site().http = vec!["client_cert = true".into()];
}

fn bare(stage: &Stage) -> Pull {
    Pull::bare(&stage.lab, stage.lab.edge(), IpVersion::V4)
}

/// The count of `reason` for `example.com` in a list of the status.
fn counted(stage: &Stage, list: &str, reason: &str) -> Result<u64> {
    let status = stage.daemon.status()?;
    let counts = status.json()["handshakes"][list].as_array().context("no list")?;
    let mine = |it: &&Value| it["site"] == "example.com" && it["reason"] == reason;
    Ok(counts.iter().find(mine).and_then(|it| it["count"].as_u64()).unwrap_or(0))
}

/// Runs `aop mode` with these arguments.
fn mode(stage: &Stage, arguments: &str) -> Result<String> {
    stage.daemon.must_run(&format!("mode {arguments}"))
}

fn anyone_is_served(stage: &Stage) -> Result<()> {
    bare(stage).must_be_served()?;
    Ok(())
}

/// A pull without a certificate is refused, and the upstream sees nothing of it.
fn refuses(stage: &Stage) -> Result<()> {
    stage.refuses(&bare(stage), "certificate_required").map(drop)
}

fn observes(stage: &Stage) -> Result<bool> {
    let status = stage.daemon.status()?;
    let sites = status.json()["modes"]["sites"].as_array().context("no sites")?.clone();
    let told = sites.iter().any(|it| it["site"] == "example.com" && it["mode"] == "observe");
    let warned = status
        .warnings()?
        .first()
        .is_some_and(|it| it.contains("example.com does not enforce certificates"));
    ensure!(told == warned, "{sites:?}, {:?}", status.warnings()?);
    Ok(told)
}

/// Client certificates that enforcing would refuse, with the reasons.
fn would_be_refused(pki: &Pki) -> Result<Vec<(Option<Credentials>, &'static str)>> {
    Ok(vec![
        (None, "certificate_required"),
        (Some(pki.foreign.clone()), "unknown_ca"),
        (Some(pki.expired.clone()), "expired"),
        (Some(pki.ca_as_leaf.clone()), "ca_as_leaf"),
        (Some(pki.version_1()?), "certificate_version"),
    ])
}

/// `example.com` serves every peer in both TLS versions, and counts the reason for which enforcing
/// would refuse it. No such peer counts as authenticated.
fn serves_and_counts_every_peer(stage: &Stage) -> Result<()> {
    let second = TestUpstream::listening(&stage.lab, "127.0.0.1:8081")?;
    let would_be_refused = would_be_refused(&stage.lab.pki)?;
    for (identity, reason) in &would_be_refused {
        for tls in TlsVersion::BOTH {
            let mut pull = bare(stage).tls(tls);
            if let Some(identity) = identity {
                pull = pull.certificate(identity);
            }
            pull.clone().must_be_served()?;
            let outcome = pull.host("example.net").send()?;
            ensure!(outcome.refused(), "{reason}, by the second site: {outcome}");
        }
        for list in ["observed", "observed_from_admitted", "observed_lately"] {
            wait::until(&format!("two {list} as {reason}"), SOON, || {
                (counted(stage, list, reason).ok()? == 2).then_some(())
            })
            .with_context(|| stage.daemon.log())?;
        }
    }
    let status = stage.daemon.status()?;
    ensure!(status.peers()?.is_empty() && status.accepted()? == 0, "{}", status.json());
    ensure!(status.json()["identities"] == serde_json::json!([]), "{}", status.json());
    ensure!(second.count()? == 0, "the second site was reached");
    let log = stage.daemon.log();
    for (_, reason) in &would_be_refused {
        let told = format!("would_refuse=\"{reason}\"");
        ensure!(log.contains(&told), "nothing of {told}:\n{log}");
    }
    ensure!(observes(stage)? && log.contains("example.com does not enforce certificates"), "{log}");
    // A peer with the right certificate is authenticated as usual.
    stage.edge_is_served()?;
    wait::until("the edge is authenticated", SOON, || {
        let status = stage.daemon.status().ok()?;
        (status.peers().ok()?.len() == 1 && status.accepted().ok()? == 1).then_some(())
    })
}

#[test]
fn with_a_byte_upstream_every_peer_is_served_and_counted_and_not_authenticated() {
    on_changed_stage(one_observes, |stage| serves_and_counts_every_peer(stage));
}

#[test]
fn with_an_http_upstream_every_peer_is_served_and_no_header_contains_its_certificate() {
    on_changed_stage(one_observes_requests, |stage| {
        serves_and_counts_every_peer(stage)?;
        let told = |pull: Pull| -> Result<bool> {
            let outcome = pull.path("/head").send()?;
            ensure!(outcome.served(), "{outcome}");
            let head = String::from_utf8_lossy(outcome.body()).to_ascii_lowercase();
            ensure!(head.contains("x-forwarded-for:"), "{head}");
            Ok(head.contains("client-cert:"))
        };
        ensure!(
            told(Pull::by_edge(&stage.lab, IpVersion::V4))?,
            "it is shown where it was verified"
        );
        for (identity, reason) in would_be_refused(&stage.lab.pki)? {
            let forged = bare(stage).option("--header").option("Client-Cert: :Zm9v:");
            let pull = identity.iter().fold(forged, |pull, it| pull.certificate(it));
            ensure!(!told(pull)?, "{reason}");
        }
        Ok(())
    });
}

#[test]
fn the_proxy_header_says_that_nothing_was_verified() {
    on_changed_stage(
        |config, lab| {
            one_observes(config, lab);
            config.site().proxy = Some("v2");
        },
        |stage| {
            bare(stage).certificate(&stage.lab.pki.foreign).send()?;
            let [connection] = &stage.upstream.connections()?[..] else {
                anyhow::bail!("not one connection")
            };
            let header = connection.first_bytes.clone().context("no header")?;
            // PP2_TYPE_SSL with its length: over TLS, without a certificate, not verified.
            let ssl = header.windows(8).find(|it| it[0] == 0x20 && it[3..] == [1, 0, 0, 0, 1]);
            ensure!(ssl.is_some(), "{header:?}");
            ensure!(!header.windows(4).any(|it| it == b"edge"), "{header:?}");
            Ok(())
        },
    );
}

#[test]
fn enforcing_waits_for_the_right_certificate_and_then_drains_unauthenticated_connections() {
    on_changed_stage(one_observes, |stage| {
        let _second = TestUpstream::listening(&stage.lab, "127.0.0.1:8081")?;
        let refused = |reason: &str| -> Result<()> {
            let done = stage.daemon.verb(&["mode", "enforce", "--site", "www.example.com"])?;
            ensure!(done.code == 1 && done.errors.contains(reason), "{reason}: {done:?}");
            ensure!(done.errors.contains("--force") && observes(stage)?, "{done:?}");
            Ok(())
        };
        refused("no peer but this host has authenticated")?;
        stage.edge_is_served()?;
        let lab = &stage.lab;
        let to = lab.origin_at(IpVersion::V4, 443);
        let foreign = TlsClient::new(&lab.pki, &lab.pki.foreign)?;
        let mut unproven = foreign.open(lab.edge(), to, "example.com")?;
        client::get(&mut unproven, "/before")?;
        let mut proven = stage.open()?;
        refused("1 pulls from admitted addresses would have been refused: 1 unknown_ca")?;
        refused(&lab.edge_address(IpVersion::V4).to_string())?;

        let unknown = stage.daemon.verb(&["mode", "enforce", "--site", "unknown.test"])?;
        ensure!(unknown.code == 1 && unknown.errors.contains("example.net"), "{unknown:?}");
        let said = mode(stage, "enforce --force --site www.example.com")?;
        ensure!(said.contains("site example.com: enforce (set by `aop mode`"), "{said}");
        ensure!(!observes(stage)?);
        refuses(stage)?;
        let cut = client::read_to_end(&mut unproven);
        ensure!(cut.as_ref().map_or(true, Vec::is_empty), "{cut:?}");
        client::get(&mut proven, "/after").context("the edge's connection was cut, too")?;
        ensure!(stage.daemon.log().contains("site example.com: observe → close"));

        // It survives a reload and a restart. A changed configuration of the site removes it.
        stage.daemon.reload()?;
        refuses(stage)?;
        stage.daemon.run()?;
        refuses(stage)?;
        stage.config.site().rules.clear();
        stage.daemon.write(&stage.config.text())?;
        let told = stage.daemon.reload()?;
        ensure!(told.contains("on_refusal was observe"), "{told}");
        refuses(stage)?;
        let said = mode(stage, "observe --site example.com")?;
        ensure!(said.contains("site example.com: observe (set by `aop mode`; on_refusal is close"));
        anyone_is_served(stage)?;
        mode(stage, "default --site example.com")?;
        refuses(stage)
    });
}

#[test]
fn an_unconfirmed_site_observes_again_also_after_a_kill_or_an_upgrade() {
    on_changed_stage(one_observes, |stage| {
        let waits = |stage: &Stage| -> Result<Value> {
            Ok(stage.daemon.status()?.json()["modes"]["pending"].clone())
        };
        let is_reverted = |stage: &Stage| -> Result<()> {
            wait::until("the site observes again", REVERTED, || {
                observes(stage).ok()?.then_some(())
            })
            .with_context(|| stage.daemon.log())?;
            anyone_is_served(stage)?;
            ensure!(!stage.config.state.join("modes.json").exists());
            Ok(())
        };
        stage.edge_is_served()?;
        let said = mode(stage, "enforce --site example.com --confirm 10s")?;
        ensure!(said.contains("site example.com: enforcing for "), "{said}");
        ensure!(said.contains("then site example.com: observe"), "{said}");
        refuses(stage)?;
        stage.daemon.kill();
        stage.daemon.run()?;
        refuses(stage)?;
        is_reverted(stage)?;

        mode(stage, "enforce --site example.com --confirm 10s --force")?;
        let told = waits(stage)?;
        stage.daemon.upgrade()?;
        ensure!(waits(stage)? == told, "{}", waits(stage)?);
        refuses(stage)?;
        is_reverted(stage)?;

        mode(stage, "enforce --site example.com --confirm 10s --force")?;
        let set = Instant::now();
        stage.daemon.verb(&["confirm"])?.success()?;
        // Proves that nothing is reverted when the deadline passes.
        wait::until_elapsed(set, Duration::from_secs(11));
        refuses(stage)
    });
}

#[test]
fn only_pulls_with_the_right_certificate_confirm_an_override() {
    on_changed_stage(one_observes, |stage| {
        let _second = TestUpstream::listening(&stage.lab, "127.0.0.1:8081")?;
        stage.edge_is_served()?;
        let said = mode(stage, "enforce --site example.com --confirm 1h --pulls 3")?;
        ensure!(said.contains("or 3 pulls with the right certificate (0 so far)"), "{said}");
        let so_far = |stage: &Stage| -> Result<Value> {
            Ok(stage.daemon.status()?.json()["modes"]["pending"]["pulls_so_far"].clone())
        };
        for _ in 0..4 {
            let other = Pull::by_edge(&stage.lab, IpVersion::V4).host("example.net").send()?;
            ensure!(other.served() && bare(stage).send()?.refused(), "{other}");
        }
        stage.edge_is_served()?;
        wait::until("one pull is counted", SOON, || (so_far(stage).ok()? == 1).then_some(()))
            .with_context(|| stage.daemon.log())?;
        stage.edge_is_served()?;
        stage.edge_is_served()?;
        wait::until("it is confirmed", SOON, || so_far(stage).ok()?.is_null().then_some(()))
            .with_context(|| stage.daemon.log())?;
        refuses(stage)?;
        let log = stage.daemon.log();
        ensure!(log.contains("3 authenticated pulls of example.com have confirmed"), "{log}");
        let record = std::fs::read_to_string(stage.config.state.join("audit.log"))?;
        let last = record.lines().last().context("no record")?;
        ensure!(last.contains("{\"verb\":\"confirm\"}") && last.contains("\"done\""), "{last}");
        ensure!(stage.daemon.verb(&["confirm"])?.errors.contains("nothing to confirm"));

        // The same for packets, with the pulls of all sites.
        mode(stage, "observe")?;
        mode(stage, "enforce --confirm 1h --pulls 1")?;
        let other = Pull::by_edge(&stage.lab, IpVersion::V4).host("example.net").send()?;
        ensure!(other.served(), "{other}");
        wait::until("it is confirmed", SOON, || so_far(stage).ok()?.is_null().then_some(()))
    });
}

#[test]
fn an_override_cannot_share_a_byte_upstream_and_a_damaged_file_makes_every_site_refuse() {
    on_changed_stage(
        |config, lab| {
            one_observes(config, lab);
            config.site().rules.clear();
            config.sites[1].upstream = String::from("tcp://127.0.0.1:8080");
        },
        |stage| {
            let done = stage.daemon.verb(&["mode", "observe", "--site", "example.com"])?;
            ensure!(done.code == 1 && done.errors.contains("share the upstream"), "{done:?}");
            refuses(stage)?;
            mode(stage, "observe --site example.com --site example.net")?;
            anyone_is_served(stage)?;
            std::fs::write(stage.config.state.join("modes.json"), "{")?;
            stage.daemon.run()?;
            refuses(stage)?;
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(warnings.contains("every site refuses"), "{warnings}");
            Ok(())
        },
    );
}

#[test]
fn evidence_about_a_site_counts_after_a_restart_until_the_site_begins_to_observe_again() {
    on_changed_stage(one_observes, |stage| {
        let _second = TestUpstream::listening(&stage.lab, "127.0.0.1:8081")?;
        let enforce = ["mode", "enforce", "--site", "example.com"];
        let refused = |stage: &Stage, reason: &str| -> Result<()> {
            let done = stage.daemon.verb(&enforce)?;
            ensure!(done.code == 1 && done.errors.contains(reason), "{reason}: {done:?}");
            Ok(())
        };
        let foreign = |stage: &Stage| -> Result<()> {
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.foreign)?;
            let mut pull = client.open(stage.lab.edge(), to, "example.com")?;
            client::get(&mut pull, "/").map(drop)
        };
        stage.edge_is_served()?;
        foreign(stage)?;
        for expected in [1, 2] {
            let pulls = format!("{expected} pulls from admitted addresses would have been refused");
            refused(stage, &pulls)?;
            stage.daemon.stop()?;
            stage.daemon.run()?;
            refused(stage, &pulls)?;
            foreign(stage)?;
        }
        mode(stage, "enforce --force --site example.com")?;
        mode(stage, "observe --site example.com")?;
        // Only what was seen since counts.
        stage.daemon.verb(&enforce)?.success()?;
        Ok(())
    });
}
