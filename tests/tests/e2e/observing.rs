//! A site that observes, and its way to refusing: `on_refusal = "observe"`, `aop mode --site`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::hand::{self, Client};
use aop_tests::pki::Identity;
use aop_tests::pull::Tls;
use aop_tests::{Config, Family, Pki, Pull, Upstream, World, wait};
use serde_json::Value;

use crate::stage::{SOON, Stage, on_changed_stage};

/// Ten seconds, and a busy machine.
const TAKEN_BACK: Duration = Duration::from_secs(20);

/// `example.com` observes; `example.net` beside it requires a certificate, and has an upstream of its
/// own.
fn one_observes(config: &mut Config, world: &World) {
    let mut beside = config.sites[0].clone();
    beside.hosts = vec!["example.net".into()];
    beside.certificate.clone_from(&world.pki.second_server.certificate);
    beside.key.clone_from(&world.pki.second_server.key);
    beside.upstream = String::from("tcp://127.0.0.1:8081");
    config.sites.push(beside);
    config.site().rules.push("on_refusal = \"observe\"".into());
    config.drain = "1s";
}

/// The same, relaying requests and showing certificates.
fn one_observes_requests(config: &mut Config, world: &World) {
    one_observes(config, world);
    config.site().upstream = String::from("http://127.0.0.1:8080");
    config.site().http = vec!["client_cert = true".into()];
}

fn bare(stage: &Stage) -> Pull {
    Pull::bare(&stage.world, stage.world.edge(), Family::V4)
}

/// How often this was counted of `example.com` in a list of the status.
fn counted(stage: &Stage, list: &str, reason: &str) -> Result<u64> {
    let status = stage.daemon.status()?;
    let counts = status.json()["handshakes"][list].as_array().context("no list")?;
    let mine = |it: &&Value| it["site"] == "example.com" && it["reason"] == reason;
    Ok(counts.iter().find(mine).and_then(|it| it["count"].as_u64()).unwrap_or(0))
}

/// Runs `aop mode` with these arguments.
fn mode(stage: &Stage, arguments: &str) -> Result<String> {
    let line: Vec<&str> = ["mode"].into_iter().chain(arguments.split_whitespace()).collect();
    let done = stage.daemon.verb(&line)?;
    ensure!(done.code == 0, "aop mode {arguments}: {done:?}");
    Ok(String::from_utf8(done.output)?)
}

fn everybody_is_served(stage: &Stage) -> Result<()> {
    let outcome = bare(stage).send()?;
    ensure!(outcome.served(), "{outcome}\n{}", stage.daemon.log());
    Ok(())
}

/// Who has no certificate is refused, and the upstream sees nothing of it.
fn it_refuses(stage: &Stage) -> Result<()> {
    stage.refuses(&bare(stage), "certificate_required").map(drop)
}

fn observes(stage: &Stage) -> Result<bool> {
    let status = stage.daemon.status()?;
    let sites = status.json()["modes"]["sites"].as_array().context("no sites")?.clone();
    let told = sites.iter().any(|it| it["site"] == "example.com" && it["mode"] == "observe");
    let warns = |it: &String| it.contains("example.com does not enforce certificates");
    let warned = status.warnings()?.first().is_some_and(warns);
    ensure!(told == warned, "{sites:?}, {:?}", status.warnings()?);
    Ok(told)
}

/// Who would be refused, and for what.
fn wrong(pki: &Pki) -> Result<Vec<(Option<Identity>, &'static str)>> {
    Ok(vec![
        (None, "certificate_required"),
        (Some(pki.foreign.clone()), "unknown_ca"),
        (Some(pki.expired.clone()), "expired"),
        (Some(pki.ca_as_leaf.clone()), "ca_as_leaf"),
        (Some(pki.version_1()?), "certificate_version"),
    ])
}

/// Everybody is served by `example.com` in both versions of TLS, and counted for the right reason;
/// nobody is believed.
fn lets_in_everybody(stage: &Stage) -> Result<()> {
    let beside = Upstream::listening(&stage.world, "127.0.0.1:8081")?;
    let wrong = wrong(&stage.world.pki)?;
    for (identity, reason) in &wrong {
        for tls in Tls::BOTH {
            let mut pull = bare(stage).tls(tls);
            if let Some(identity) = identity {
                pull = pull.certificate(identity);
            }
            let outcome = pull.clone().send()?;
            ensure!(outcome.served(), "{reason}: {outcome}\n{}", stage.daemon.log());
            let outcome = pull.host("example.net").send()?;
            ensure!(outcome.refused(), "{reason}, by the site beside it: {outcome}");
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
    ensure!(beside.count()? == 0, "the site beside it was reached");
    let log = stage.daemon.log();
    for (_, reason) in &wrong {
        let told = format!("would_refuse=\"{reason}\"");
        ensure!(log.contains(&told), "nothing of {told}:\n{log}");
    }
    ensure!(observes(stage)? && log.contains("example.com does not enforce"), "{log}");
    // Who has the right certificate is believed as ever.
    stage.edge_is_served()?;
    wait::until("the edge is believed", SOON, || {
        let status = stage.daemon.status().ok()?;
        (status.peers().ok()?.len() == 1 && status.accepted().ok()? == 1).then_some(())
    })
}

#[test]
fn everybody_is_served_and_counted_and_nobody_is_believed_where_bytes_are_relayed() {
    on_changed_stage(one_observes, |stage| lets_in_everybody(stage));
}

#[test]
fn everybody_is_served_and_counted_and_no_header_tells_of_a_certificate() {
    on_changed_stage(one_observes_requests, |stage| {
        lets_in_everybody(stage)?;
        let told = |pull: Pull| -> Result<bool> {
            let outcome = pull.path("/head").send()?;
            ensure!(outcome.served(), "{outcome}");
            let head = String::from_utf8_lossy(outcome.body()).to_ascii_lowercase();
            ensure!(head.contains("x-forwarded-for:"), "{head}");
            Ok(head.contains("client-cert:"))
        };
        ensure!(
            told(Pull::by_edge(&stage.world, Family::V4))?,
            "it is shown where it was verified"
        );
        for (identity, reason) in wrong(&stage.world.pki)? {
            let forged = bare(stage).option("--header").option("Client-Cert: :Zm9v:");
            let pull = identity.iter().fold(forged, |pull, it| pull.certificate(it));
            ensure!(!told(pull)?, "{reason}");
        }
        Ok(())
    });
}

#[test]
fn an_upstream_is_told_by_proxy_that_nothing_was_verified() {
    on_changed_stage(
        |config, world| {
            one_observes(config, world);
            config.site().proxy = Some("v2");
        },
        |stage| {
            bare(stage).certificate(&stage.world.pki.foreign).send()?;
            let [connection] = &stage.upstream.connections()?[..] else {
                anyhow::bail!("not one connection")
            };
            let header = connection.opening.clone().context("no header")?;
            // PP2_TYPE_SSL with its length: over TLS, without a certificate, and not verified.
            let ssl = header.windows(8).find(|it| it[0] == 0x20 && it[3..] == [1, 0, 0, 0, 1]);
            ensure!(ssl.is_some(), "{header:?}");
            ensure!(!header.windows(4).any(|it| it == b"edge"), "{header:?}");
            Ok(())
        },
    );
}

#[test]
fn refusing_waits_for_the_right_certificate_and_then_drains_who_proved_nothing() {
    on_changed_stage(one_observes, |stage| {
        let _beside = Upstream::listening(&stage.world, "127.0.0.1:8081")?;
        let refused = |reason: &str| -> Result<()> {
            let done = stage.daemon.verb(&["mode", "enforce", "--site", "www.example.com"])?;
            ensure!(done.code == 1 && done.errors.contains(reason), "{reason}: {done:?}");
            ensure!(done.errors.contains("--force") && observes(stage)?, "{done:?}");
            Ok(())
        };
        refused("no peer but this host has authenticated")?;
        stage.edge_is_served()?;
        let world = &stage.world;
        let to = world.origin_at(Family::V4, 443);
        let foreign = Client::new(&world.pki, &world.pki.foreign)?;
        let mut unproven = foreign.open(world.edge(), to, "example.com")?;
        hand::get(&mut unproven, "/before")?;
        let mut proven = stage.open()?;
        refused("1 pulls from admitted addresses would have been refused: 1 unknown_ca")?;
        refused(&world.edge_address(Family::V4).to_string())?;

        let unknown = stage.daemon.verb(&["mode", "enforce", "--site", "unknown.test"])?;
        ensure!(unknown.code == 1 && unknown.errors.contains("example.net"), "{unknown:?}");
        let said = mode(stage, "enforce --force --site www.example.com")?;
        ensure!(said.contains("site example.com: enforce (set by `aop mode`"), "{said}");
        ensure!(!observes(stage)?);
        it_refuses(stage)?;
        let cut = hand::read_to_end(&mut unproven);
        ensure!(cut.as_ref().map_or(true, Vec::is_empty), "{cut:?}");
        hand::get(&mut proven, "/after").context("the edge's connection was cut, too")?;
        ensure!(stage.daemon.log().contains("site example.com: observe → close"));

        // It survives a reload and a restart, and its own configuration takes it back.
        stage.daemon.reload()?;
        it_refuses(stage)?;
        stage.daemon.run()?;
        it_refuses(stage)?;
        stage.config.site().rules.clear();
        stage.daemon.write(&stage.config.text())?;
        let told = stage.daemon.reload()?;
        ensure!(told.contains("on_refusal was observe"), "{told}");
        it_refuses(stage)?;
        let said = mode(stage, "observe --site example.com")?;
        ensure!(said.contains("site example.com: observe (set by `aop mode`; on_refusal is close"));
        everybody_is_served(stage)?;
        mode(stage, "default --site example.com")?;
        it_refuses(stage)
    });
}

#[test]
fn what_nobody_confirms_observes_again_after_a_kill_and_after_an_upgrade() {
    on_changed_stage(one_observes, |stage| {
        let waits = |stage: &Stage| -> Result<Value> {
            Ok(stage.daemon.status()?.json()["modes"]["pending"].clone())
        };
        let is_taken_back = |stage: &Stage| -> Result<()> {
            wait::until("the site observes again", TAKEN_BACK, || {
                observes(stage).ok()?.then_some(())
            })
            .with_context(|| stage.daemon.log())?;
            everybody_is_served(stage)?;
            ensure!(!stage.config.state.join("modes.json").exists());
            Ok(())
        };
        stage.edge_is_served()?;
        let said = mode(stage, "enforce --site example.com --confirm 10s")?;
        ensure!(said.contains("site example.com: enforcing until "), "{said}");
        ensure!(said.contains("then site example.com: observe"), "{said}");
        it_refuses(stage)?;
        stage.daemon.kill();
        stage.daemon.run()?;
        it_refuses(stage)?;
        is_taken_back(stage)?;

        mode(stage, "enforce --site example.com --confirm 10s --force")?;
        let told = waits(stage)?;
        stage.daemon.upgrade()?;
        ensure!(waits(stage)? == told, "{}", waits(stage)?);
        it_refuses(stage)?;
        is_taken_back(stage)?;

        mode(stage, "enforce --site example.com --confirm 10s --force")?;
        ensure!(stage.daemon.verb(&["confirm"])?.code == 0);
        std::thread::sleep(Duration::from_secs(11));
        it_refuses(stage)
    });
}

#[test]
fn so_many_pulls_with_the_right_certificate_confirm_it_and_no_others_do() {
    on_changed_stage(one_observes, |stage| {
        let _beside = Upstream::listening(&stage.world, "127.0.0.1:8081")?;
        stage.edge_is_served()?;
        let said = mode(stage, "enforce --site example.com --confirm 1h --pulls 3")?;
        ensure!(said.contains("or 3 pulls with the right certificate (0 so far)"), "{said}");
        let so_far = |stage: &Stage| -> Result<Value> {
            Ok(stage.daemon.status()?.json()["modes"]["pending"]["pulls_so_far"].clone())
        };
        for _ in 0..4 {
            let other = Pull::by_edge(&stage.world, Family::V4).host("example.net").send()?;
            ensure!(other.served() && bare(stage).send()?.refused(), "{other}");
        }
        stage.edge_is_served()?;
        wait::until("one pull is counted", SOON, || (so_far(stage).ok()? == 1).then_some(()))
            .with_context(|| stage.daemon.log())?;
        stage.edge_is_served()?;
        stage.edge_is_served()?;
        wait::until("it is confirmed", SOON, || so_far(stage).ok()?.is_null().then_some(()))
            .with_context(|| stage.daemon.log())?;
        it_refuses(stage)?;
        let log = stage.daemon.log();
        ensure!(log.contains("3 authenticated pulls of example.com have confirmed"), "{log}");
        let record = std::fs::read_to_string(stage.config.state.join("audit.log"))?;
        let last = record.lines().last().context("no record")?;
        ensure!(last.contains("{\"verb\":\"confirm\"}") && last.contains("\"done\""), "{last}");
        ensure!(stage.daemon.verb(&["confirm"])?.errors.contains("nothing to confirm"));

        // The same of packets, by the pulls of all sites.
        mode(stage, "observe")?;
        mode(stage, "enforce --confirm 1h --pulls 1")?;
        let other = Pull::by_edge(&stage.world, Family::V4).host("example.net").send()?;
        ensure!(other.served(), "{other}");
        wait::until("it is confirmed", SOON, || so_far(stage).ok()?.is_null().then_some(()))
    });
}

#[test]
fn an_upstream_of_bytes_is_not_shared_by_a_word_and_a_damaged_file_lets_in_nobody() {
    on_changed_stage(
        |config, world| {
            one_observes(config, world);
            config.site().rules.clear();
            config.sites[1].upstream = String::from("tcp://127.0.0.1:8080");
        },
        |stage| {
            let done = stage.daemon.verb(&["mode", "observe", "--site", "example.com"])?;
            ensure!(done.code == 1 && done.errors.contains("share the upstream"), "{done:?}");
            it_refuses(stage)?;
            mode(stage, "observe --site example.com --site example.net")?;
            everybody_is_served(stage)?;
            std::fs::write(stage.config.state.join("modes.json"), "{")?;
            stage.daemon.run()?;
            it_refuses(stage)?;
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(warnings.contains("every site refuses"), "{warnings}");
            Ok(())
        },
    );
}
