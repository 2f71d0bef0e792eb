//! `aop explain SOURCE`: it tests packets in the active firewall and changes no counter.

mod budgets;
mod captures;

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull, TestDaemon};
use serde_json::Value;

use crate::doctor::packet_filter::rules;
use crate::stage::{Stage, on_changed_stage, on_stage};

pub(crate) fn asked(daemon: &TestDaemon, verb: &[&str]) -> Result<Value> {
    let told = daemon.verb(&[verb, &["--json"]].concat())?.success()?;
    serde_json::from_slice(&told.output).context("no JSON")
}

pub(crate) fn explained(stage: &Stage, more: &[&str]) -> Result<Value> {
    asked(&stage.daemon, &[&["explain"], more].concat())
}

pub(crate) fn gets(answer: &Value, action: &str, reason: &str, detail: &str) -> Result<()> {
    let told = answer["detail"].as_str().context("no detail")?;
    let right = answer["action"] == action && answer["reason"] == reason && told.contains(detail);
    ensure!(right && answer["would_drop"] == (action == "would_drop"), "{answer}");
    Ok(())
}

/// The counters that only packets to guarded ports increase.
pub(crate) fn counters(stage: &Stage) -> Result<Vec<u64>> {
    let status = stage.daemon.status()?;
    [("drop", "unknown_source"), ("drop", "fragment"), ("drop", "too_deep"), ("pass", "admitted")]
        .into_iter()
        .map(|(action, reason)| status.packets(action, reason))
        .collect()
}

#[test]
fn explain_prints_verdict_prefix_and_generation_and_changes_no_counter() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        let before = counters(stage)?;
        for family in IpVersion::BOTH {
            let stranger = stage.lab.stranger_address(family).to_string();
            let answer = explained(stage, &[&stranger])?;
            gets(&answer, "drop", "unknown_source", "in no admitted prefix")?;
            let to = stage.lab.origin_at(family, 443);
            ensure!(answer["destination"] == to.ip().to_string() && answer["port"] == 443);
            ensure!(answer["interface"] == "eth0" && answer["guarded_ports"][0] == 443, "{answer}");

            let edge = stage.lab.edge_address(family).to_string();
            let answer = explained(stage, &[&edge])?;
            let prefix = if family == IpVersion::V4 { "173.245.48.0/20" } else { "2400:cb00::/32" };
            gets(&answer, "pass", "admitted", prefix)?;
            ensure!(answer["generation"] == stage.daemon.status()?.generation()?, "{answer}");
            ensure!(answer["authenticated"] == (family == IpVersion::V4), "{answer}");
            gets(&explained(stage, &[&stranger, "80"])?, "pass", "not_guarded", "guarded: 443")?;
        }
        ensure!(counters(stage)? == before, "a live counter moved");
        Ok(())
    });
}

#[test]
fn explain_considers_the_routes_of_the_host() {
    on_stage(|stage| {
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        let edge = stage.lab.edge_address(IpVersion::V4).to_string();
        let through = [stranger.as_str(), "--to", edge.as_str()];
        gets(&explained(stage, &through)?, "drop", "unknown_source", "in no admitted prefix")?;
        stage.lab.origin().inside(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
        gets(&explained(stage, &through)?, "pass", "transit", &edge)?;
        gets(&explained(stage, &[&stranger])?, "drop", "unknown_source", "in no admitted prefix")
    });
}

#[test]
fn explain_distinguishes_a_peer_in_a_draining_prefix_from_its_neighbour() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.config.prefixes = aop_tests::config::PrefixesTable::List(vec!["192.0.2.0/24".into()]);
        stage.reload()?;
        let peer = stage.lab.edge_address(IpVersion::V4).to_string();
        let answer = explained(stage, &[&peer])?;
        gets(&answer, "pass", "proven", "it has authenticated")?;
        ensure!(answer["drains_for_seconds"].as_u64().is_some_and(|left| left > 3000), "{answer}");
        let neighbour = stage.lab.neighbour_address(IpVersion::V4).to_string();
        let only = "only peers that have authenticated";
        gets(&explained(stage, &[&neighbour])?, "drop", "unknown_source", only)
    });
}

#[test]
fn explain_takes_a_host_name_and_a_network_and_names_what_admits() {
    let extra = |config: &mut aop_tests::AopToml, _: &aop_tests::Lab| {
        config.extra = vec!["198.51.100.64/26".to_owned()];
    };
    on_changed_stage(extra, |stage| {
        let all = explained(stage, &["198.51.100.0/24"])?;
        let all = all.as_array().context("no list")?;
        let told: Vec<_> = all.iter().map(|it| (it["source"].as_str(), &it["action"])).collect();
        let [first, inner, last] = &told[..] else { anyhow::bail!("{told:?}") };
        ensure!(first == &(Some("198.51.100.0"), &Value::from("drop")), "{told:?}");
        ensure!(inner == &(Some("198.51.100.64"), &Value::from("pass")), "{told:?}");
        ensure!(last == &(Some("198.51.100.255"), &Value::from("drop")), "{told:?}");
        let shown = stage.daemon.must_run("explain 198.51.100.0/24")?;
        ensure!(shown.contains("2 parts of 198.51.100.0/24 differ"), "{shown}");
        ensure!(shown.contains("is in 198.51.100.64/26, which firewall.extra admits"), "{shown}");
        let edges = stage.daemon.must_run("explain 173.245.48.0/20")?;
        ensure!(edges.contains("all of 173.245.48.0/20") && edges.contains("the prefix list"));
        let named = explained(stage, &["localhost"])?;
        let source = named[0]["source"].as_str().context("no source")?;
        ensure!(["127.0.0.1", "::1"].contains(&source), "{named}");
        let told = stage.daemon.verb(&["explain", "no-such-host.invalid"])?;
        ensure!(told.code == 1 && told.errors.contains("no host name that can be"), "{told:?}");
        Ok(())
    });
}

#[test]
fn explain_names_the_rule_behind_aop_that_drops_an_admitted_packet() {
    on_stage(|stage| {
        let edge = stage.lab.edge_address(IpVersion::V4).to_string();
        ensure!(explained(stage, &[&edge])?["netfilter"].is_null());
        rules(stage, "chain own { type filter hook input priority 0; policy drop; }")?;
        let answer = explained(stage, &[&edge])?;
        let fate = answer["netfilter"].as_str().context("no fate")?;
        ensure!(answer["action"] == "pass" && fate.contains("chain own of"), "{answer}");
        let shown = stage.daemon.must_run(&format!("explain {edge}"))?;
        ensure!(shown.contains("But after aop, the host's own packet filter drops it"), "{shown}");
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        ensure!(explained(stage, &[&stranger])?["netfilter"].is_null());
        Ok(())
    });
}

#[test]
fn in_observe_mode_explain_and_prove_report_what_enforcing_would_do() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            let stranger = stage.lab.stranger_address(IpVersion::V6).to_string();
            let answer = explained(stage, &[&stranger])?;
            gets(&answer, "would_drop", "unknown_source", "enforce would drop it")?;
            let proof = asked(&stage.daemon, &["prove"])?;
            ensure!(proof["mode"] == "observe" && proof["failed"] == 0, "{proof}");
            ensure!(proof["groups"][0]["dropped"].as_u64() > Some(20), "{proof}");
            Ok(())
        },
    );
}

#[test]
fn explain_and_prove_work_without_a_daemon_and_help_without_a_firewall() {
    on_stage(|stage| {
        stage.daemon.kill();
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        gets(&explained(stage, &[&stranger])?, "drop", "unknown_source", "in no admitted prefix")?;
        stage.daemon.verb(&["prove"])?.success()?;
        let told = stage.daemon.verb(&["explain", &stranger, "--interface", "lo"])?;
        ensure!(
            told.code == 1 && told.errors.contains("guarded interfaces are eth0"),
            "{}",
            told.errors
        );
        stage.daemon.verb(&["unload"])?.success()?;
        for verb in [&["prove"][..], &["explain", &stranger]] {
            let told = stage.daemon.verb(verb)?;
            ensure!(told.code == 1 && told.errors.contains("`aop run` loads one"), "{told:?}");
        }
        Ok(())
    });
}
