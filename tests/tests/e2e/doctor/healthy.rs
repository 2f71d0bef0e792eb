//! A healthy host, and a host without a daemon. The doctor leaves no trace.

use anyhow::{Result, ensure};
use aop_tests::{IpVersion, TestUpstream};

use super::{diagnose, diagnose_pair, no_opening_is_left};
use crate::stage::{Stage, on_changed_stage, on_stage};

/// The attempts that each site and each listener must refuse.
const REFUSED: [&str; 12] = [
    "no_certificate",
    "stranger_ca",
    "forged_ca",
    "forged_expired",
    "forged_version_1",
    "forged_ca_leaf",
    "self_signed",
    "fragmented",
    "no_name",
    "unknown_name",
    "fragmented_no_name",
    "plain_http",
];

/// The doctor finds nothing: each attempt was made and refused, none reached the upstream, and
/// nothing is left of them.
fn finds_nothing_wrong(stage: &Stage) -> Result<()> {
    stage.edge_is_served()?;
    let before = stage.snapshot()?;
    let diagnosis = diagnose(&stage.daemon, &[])?;
    diagnosis.is_clean()?;
    for name in REFUSED {
        let found = diagnosis.findings("good", name);
        ensure!(found.len() == 1, "{name}: {:#}", diagnosis.json);
        let evidence = found[0]["evidence"].as_array().map_or(0, Vec::len);
        ensure!(evidence == if name == "plain_http" { 2 } else { 4 }, "{:#}", found[0]);
    }
    for name in ["daemon", "interface", "listener_port", "exposed", "udp", "upstream", "list"] {
        diagnosis.is_good(name)?;
    }
    for name in
        ["clock", "ephemeral_port", "evasions", "pulls", "upstream_answers", "packet_filter"]
    {
        diagnosis.is_good(name)?;
    }
    for name in ["edge_certificate", "edge_accepted", "host_split", "resumption"] {
        ensure!(!diagnosis.findings("untried", name).is_empty(), "{name}: {:#}", diagnosis.json);
    }
    stage.upstream_saw_nothing_since(&before)?;
    no_opening_is_left(stage)?;
    let status = stage.daemon.status()?;
    ensure!(status.accepted()? == before.status().accepted()?, "an attempt was accepted");
    ensure!(status.refused("not_admitted")? == 0, "an attempt was refused by address");
    for reason in ["certificate_required", "unknown_ca", "unknown_name", "not_tls"] {
        ensure!(status.refused(reason)? > 0, "no {reason}: {:?}", status.refusals()?);
    }
    ensure!(status.refusals_from_admitted()?.is_empty(), "{}", status.json()["handshakes"]);
    let lately = &status.json()["handshakes"]["refused_lately"];
    ensure!(*lately == serde_json::json!([]), "{lately}");
    Ok(())
}

#[test]
fn on_a_healthy_host_that_enforces_nothing_is_wrong_and_nothing_reaches_the_upstream() {
    on_stage(|stage| {
        finds_nothing_wrong(stage)?;
        let screen = stage.daemon.verb(&["doctor"])?;
        let text = screen.text();
        ensure!(text.starts_with("nothing is wrong: 0 wrong"), "{text}");
        ensure!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        ensure!(text.contains("counts them as refused"), "{text}");
        Ok(())
    });
}

#[test]
fn on_a_healthy_host_that_observes_nothing_is_wrong() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            finds_nothing_wrong(stage)?;
            diagnose(&stage.daemon, &[])?.tells("mode")?;
            Ok(())
        },
    );
}

#[test]
fn the_uploaded_pair_is_checked_presented_and_limited_to_its_host() {
    let requests = |config: &mut aop_tests::AopToml, lab: &aop_tests::Lab| {
        config.site().upstream = "http://127.0.0.1:8080".into();
        config.site().rules.push("resumption = \"verified\"".into());
        let mut other = aop_tests::config::SiteTable::new(lab);
        other.hosts = vec!["example.net".into()];
        other.upstream = "http://127.0.0.1:8080".into();
        other.rules.push("resumption = \"verified\"".into());
        config.sites.push(other);
        config.share_the_upstream();
    };
    on_changed_stage(requests, |stage| {
        stage.edge_is_served()?;
        let before = stage.snapshot()?;
        let diagnosis = diagnose_pair(&stage.daemon, &stage.lab.pki.edge)?;
        diagnosis.is_clean()?;
        for (name, count) in
            [("edge_certificate", 2), ("edge_accepted", 4), ("host_split", 4), ("resumption", 1)]
        {
            let found = diagnosis.findings("good", name).len();
            ensure!(found == count, "{name}: {found}, {:#}", diagnosis.json);
        }
        stage.upstream_saw_nothing_since(&before)?;
        no_opening_is_left(stage)
    });
}

#[test]
fn pulls_of_the_doctor_do_not_count_for_or_against_enforcing() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            diagnose_pair(&stage.daemon, &stage.lab.pki.edge)?.is_clean()?;
            let refused = stage.daemon.verb(&["mode", "enforce"])?;
            ensure!(refused.code == 1, "{refused:?}");
            ensure!(
                refused.errors.contains("no peer has authenticated at the listeners yet"),
                "{refused:?}"
            );
            ensure!(!refused.errors.contains("127.0.0.1"), "{refused:?}");
            stage.edge_is_served()?;
            stage.daemon.verb(&["mode", "enforce"])?.success()?;
            Ok(())
        },
    );
}

#[test]
fn a_listener_on_one_address_with_proxy_headers_is_tested_too() {
    let proxied = |config: &mut aop_tests::AopToml, lab: &aop_tests::Lab| {
        config.bind = vec![lab.origin_at(IpVersion::V4, 443).to_string(), "[::]:443".into()];
        config.proxy_from = vec!["127.0.0.0/8".into(), "::1/128".into()];
    };
    on_changed_stage(proxied, |stage| finds_nothing_wrong(stage));
}

#[test]
fn without_a_firewall_the_terminator_is_tested_too() {
    on_changed_stage(
        |config, _| config.mode = "off",
        |stage| {
            stage.edge_is_served()?;
            let diagnosis = diagnose(&stage.daemon, &[])?;
            diagnosis.is_clean()?;
            diagnosis.tells("firewall")?;
            for name in REFUSED {
                diagnosis.is_good(name)?;
            }
            no_opening_is_left(stage)
        },
    );
}

#[test]
fn without_a_daemon_the_doctor_checks_what_it_can() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.daemon.kill();
        let diagnosis = diagnose_pair(&stage.daemon, &stage.lab.pki.edge)?;
        diagnosis.finds_only("daemon")?;
        for name in ["interface", "evasions", "site_files", "clock", "edge_certificate"] {
            diagnosis.is_good(name)?;
        }
        for name in ["tls", "observed", "list", "edge_accepted"] {
            ensure!(
                !diagnosis.findings("untried", name).is_empty(),
                "{name}: {:#}",
                diagnosis.json
            );
        }
        Ok(())
    });
}

#[test]
fn a_listener_of_another_program_is_not_tested() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let other = TestUpstream::listening(&stage.lab, "127.0.0.1:8443")?;
        let bind = "bind = [\"127.0.0.1:8443\", \"127.0.0.1:8444\", ";
        let text = stage.config.text().replace("bind = [", bind);
        stage.daemon.write(&text)?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        // A restart would fail.
        diagnosis.finds_only("port_held")?;
        for name in REFUSED {
            diagnosis.is_good(name)?;
        }
        let untried = diagnosis.findings("untried", "tls");
        let told: Vec<String> = untried.iter().map(ToString::to_string).collect();
        let is_told = |words: [&str; 2]| told.iter().any(|it| words.iter().all(|w| it.contains(w)));
        ensure!(is_told(["127.0.0.1:8443", "aop-upstream listens there"]), "{told:#?}");
        ensure!(is_told(["127.0.0.1:8444", "not open"]), "{told:#?}");
        ensure!(other.count()? == 0, "it was attacked");
        Ok(())
    });
}

#[test]
fn an_opening_of_the_operator_is_not_changed() {
    on_stage(|stage| {
        stage.daemon.verb(&["open", "--from", "127.0.0.1/32", "--for", "10m"])?.success()?;
        diagnose(&stage.daemon, &[])?.is_clean()?;
        let openings = stage.daemon.status()?.json()["openings"].clone();
        ensure!(openings.as_array().is_some_and(|open| open.len() == 1), "{openings}");
        ensure!(openings[0]["network"] == "127.0.0.1/32", "{openings}");
        Ok(())
    });
}

#[test]
fn a_site_that_explains_its_refusals_is_listed_and_still_refuses() {
    let explains = |config: &mut aop_tests::AopToml, _: &aop_tests::Lab| {
        config.site().upstream = "http://127.0.0.1:8080".into();
        config.site().rules.push("on_refusal = \"explain\"".into());
    };
    on_changed_stage(explains, |stage| {
        stage.edge_is_served()?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        diagnosis.is_good("no_certificate")?;
        let told = diagnosis.findings("told", "warning");
        ensure!(told.iter().any(|it| it["said"].to_string().contains("on_refusal")), "{told:?}");
        Ok(())
    });
}
