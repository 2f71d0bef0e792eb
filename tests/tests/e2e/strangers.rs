//! `aop strangers`: which sources enforcing would drop, over days and restarts.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, IpVersion, Pull, wait};
use serde_json::Value;

use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

fn document(stage: &Stage, more: &[&str]) -> Result<Value> {
    let line: Vec<&str> = ["strangers", "--json"].iter().chain(more).copied().collect();
    stage.daemon.verb(&line)?.success()?.json()
}

fn find(document: &Value, address: IpAddr) -> Option<Value> {
    let sources = document["sources"].as_array()?;
    sources.iter().find(|it| it["source"] == address.to_string().as_str()).cloned()
}

fn packets(stranger: &Value) -> Result<u64> {
    stranger["packets"].as_u64().context("no packets")
}

#[test]
fn a_stranger_is_on_record_with_count_port_times_and_reason_also_after_a_restart() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            stage.edge_is_served()?;
            let text = stage.daemon.verb(&["strangers"])?.success()?.text();
            ensure!(text.starts_with("no packet from a source"), "{text}");
            for family in IpVersion::BOTH {
                let address = stage.lab.stranger_address(family);
                Pull::by_stranger(&stage.lab, family).send()?;
                let would_drop = || stage.daemon.status()?.packets("would_drop", "unknown_source");
                let found = find(&document(stage, &[])?, address).context("not on record")?;
                ensure!(packets(&found)? >= 4 && packets(&found)? <= would_drop()?, "{found}");
                ensure!(found["port"] == 443 && found["connections"] == 1, "{found}");
                ensure!(found["reason"] == "unknown_source" && found["action"] == "would_drop");
                ensure!(found["first_seen"].as_str() <= found["last_seen"].as_str(), "{found}");
                ensure!(found["admitted_by"].is_null(), "{found}");
                let edge = stage.lab.edge_address(family);
                ensure!(find(&document(stage, &[])?, edge).is_none(), "an admitted source");
            }
            // The last packets of a pull may come after it.
            let now = wait::until("each packet that was counted is on record", SOON, || {
                let counted =
                    stage.daemon.status().ok()?.packets("would_drop", "unknown_source").ok()?;
                let now = document(stage, &[]).ok()?;
                let sources = now["sources"].as_array()?;
                let sum: u64 = sources.iter().filter_map(|it| packets(it).ok()).sum();
                (sum == counted && now["unrecorded_packets"] == 0).then_some(now)
            })?;

            std::thread::sleep(std::time::Duration::from_millis(1100));
            let v4 = stage.lab.stranger_address(IpVersion::V4);
            ensure!(find(&document(stage, &["--since", "1h"])?, v4).is_some());
            ensure!(find(&document(stage, &["--since", "0s"])?, v4).is_none());

            let before = packets(&find(&now, v4).context("gone")?)?;
            stage.daemon.stop()?;
            let stored = find(&document(stage, &[])?, v4).context("not stored")?;
            ensure!(packets(&stored)? == before, "without a daemon: {stored}");
            stage.daemon.run()?;
            Pull::by_stranger(&stage.lab, IpVersion::V4).send()?;
            let after = find(&document(stage, &[])?, v4).context("forgotten")?;
            ensure!(packets(&after)? > before && after["connections"] == 2, "{after}");
            ensure!(after["first_seen"] == stored["first_seen"], "{after} {stored}");
            stage.daemon.upgrade()?;
            let upgraded = find(&document(stage, &[])?, v4).context("lost by the upgrade")?;
            ensure!(upgraded["connections"] == 2, "{upgraded}");

            let text = stage.daemon.verb(&["strangers", "--since", "24h"])?.success()?.text();
            ensure!(text.lines().all(|line| line.len() <= 80), "{text}");
            ensure!(text.contains(&v4.to_string()), "{text}");
            Ok(())
        },
    );
}

#[test]
fn a_stranger_is_on_record_while_enforcing_and_marked_once_it_is_admitted() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let v4 = stage.lab.stranger_address(IpVersion::V4);
        let found = find(&document(stage, &[])?, v4).context("not on record")?;
        ensure!(found["action"] == "drop" && packets(&found)? >= 1, "{found}");
        let network = format!("{v4}/32");
        stage.daemon.verb(&["open", "--from", &network, "--for", "1h"])?.success()?;
        let found = find(&document(stage, &[])?, v4).context("not on record")?;
        ensure!(found["admitted_by"] == "opening", "{found}");
        Ok(())
    });
}

#[test]
fn a_question_about_a_stranger_leaves_no_record() {
    on_stage(|stage| {
        stage.daemon.verb(&["explain", "192.0.2.1"])?.success()?;
        stage.daemon.verb(&["prove"])?.success()?;
        let now = document(stage, &[])?;
        ensure!(now["sources"] == Value::Array(Vec::new()), "{now}");
        Ok(())
    });
}

#[test]
fn a_private_monitor_is_proposed_for_extra_beside_what_is_there() {
    let observe = |config: &mut AopToml| {
        config.mode = "observe";
        config.extra = vec!["203.0.113.77/32".into()];
    };
    on_changed_stage(
        |config, _| observe(config),
        |stage| {
            let monitor: IpAddr = [10, 99, 0, 7].into();
            stage.lab.stranger().ip("address add 10.99.0.7/32 dev lo")?;
            Pull::by_stranger(&stage.lab, IpVersion::V4).source(monitor).brief().send()?;
            let found = wait::until("it is on record", SOON, || {
                let now = document(stage, &[]).ok()?;
                find(&now, monitor).map(|found| (found, now))
            });
            let (found, now) = found?;
            ensure!(found["known"] == "private", "{found}");
            ensure!(
                now["extra"] == serde_json::json!(["203.0.113.77/32", "10.99.0.7/32"]),
                "{now}"
            );
            let text = stage.daemon.verb(&["strangers"])?.success()?.text();
            ensure!(
                text.ends_with("    extra = [\"203.0.113.77/32\", \"10.99.0.7/32\"]\n"),
                "{text}"
            );
            Ok(())
        },
    );
}
