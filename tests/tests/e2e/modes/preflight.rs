//! The preflight: `aop mode enforce` is refused if the traffic so far shows that it would cut
//! pulls.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull, wait};
use serde_json::Value;

use super::{stranger_is_served, stranger_meets_silence, two_ports};
use crate::stage::{SOON, Stage, on_changed_stage};

/// Each of these commands is refused for this reason, and the mode does not change.
fn is_refused(stage: &Stage, reason: &str) -> Result<()> {
    let port = ["mode", "enforce", "--port", "443"];
    for line in [&["mode", "enforce"][..], &["mode", "enforce", "--confirm", "1m"], &port] {
        let done = stage.daemon.verb(line)?;
        ensure!(done.code == 1 && done.errors.contains("--force"), "{line:?}: {done:?}");
        ensure!(done.errors.contains(reason), "{line:?}: {done:?}");
    }
    let modes = &stage.daemon.status()?.json()["modes"].clone();
    ensure!(modes["set_at"].is_null() && modes["pending"].is_null(), "{modes}");
    Ok(())
}

fn is_done(stage: &Stage, line: &[&str]) -> Result<()> {
    stage.daemon.verb(line)?.success()?;
    Ok(())
}

#[test]
fn enforce_is_refused_without_peers_and_with_peers_outside_the_prefixes() {
    on_changed_stage(two_ports, |stage| {
        is_refused(stage, "no peer has authenticated at the listeners yet")?;
        stage.edge_is_served()?;
        is_done(stage, &["mode", "enforce"])?;
        is_done(stage, &["mode", "observe"])?;

        stranger_is_served(&stage.lab, 443)?;
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        is_refused(stage, &stranger)?;
        is_refused(stage, "authenticated within the last 24 hours")?;
        stranger_is_served(&stage.lab, 443)?;
        is_done(stage, &["mode", "enforce", "--force"])?;
        stranger_meets_silence(&stage.lab, 443)?;
        // This changes nothing.
        is_done(stage, &["mode", "enforce"])
    });
}

/// The record of the source `address`, once there is one.
fn on_record(stage: &Stage, address: IpAddr) -> Result<Value> {
    wait::until("the source is on record", SOON, || {
        let report =
            stage.daemon.verb(&["strangers", "--json"]).ok()?.success().ok()?.json().ok()?;
        let sources = report["sources"].as_array()?;
        sources.iter().find(|it| it["source"] == address.to_string().as_str()).cloned()
    })
}

#[test]
fn enforce_is_refused_while_a_known_source_would_be_dropped() {
    on_changed_stage(two_ports, |stage| {
        stage.edge_is_served()?;
        let monitor: IpAddr = [10, 99, 0, 7].into();
        stage.lab.stranger().ip("address add 10.99.0.7/32 dev lo")?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).source(monitor).brief().send()?;
        on_record(stage, monitor)?;
        is_refused(stage, "10.99.0.7 (a private address) came within the last 24 hours")?;
        // It never sent to this port.
        is_done(stage, &["mode", "enforce", "--port", "8443"])?;
        is_done(stage, &["mode", "observe"])?;
        is_refused(stage, "10.99.0.7")?;
        stage.config.extra = vec!["10.99.0.7/32".to_owned()];
        stage.reload()?;
        let done = stage.daemon.verb(&["mode", "enforce", "--json"])?.success()?.json()?;
        ensure!(done["mode"] == "enforce" && done["newly_dropped"] == Value::Array(Vec::new()));
        Ok(())
    });
}

#[test]
fn enforce_names_the_unknown_sources_of_many_packets_that_it_drops() {
    on_changed_stage(two_ports, |stage| {
        stage.edge_is_served()?;
        let stranger = stage.lab.stranger_address(IpVersion::V4);
        for _ in 0..50 {
            Pull::by_stranger(&stage.lab, IpVersion::V4).no_certificate().send()?;
            if on_record(stage, stranger)?["packets"].as_u64().context("no packets")? >= 100 {
                break;
            }
        }
        let line = ["mode", "enforce", "--port", "443", "--confirm", "1h"];
        let text = stage.daemon.verb(&line)?.success()?.text();
        let warning = format!(
            "warning: 1 source that sent many packets within the last 24 hours is dropped \
                     now: {stranger} (see `aop strangers`)\n"
        );
        ensure!(text.ends_with(&warning), "{text}");
        // The second command changes nothing.
        let again = stage.daemon.verb(&line)?.success()?.text();
        ensure!(!again.contains("dropped now"), "{again}");
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        is_done(stage, &["mode", "observe"])?;
        let pull = Pull::by_stranger(&stage.lab, IpVersion::V4).no_certificate();
        pull.must_be_refused()?;
        let done =
            stage.daemon.verb(&["mode", "enforce", "--force", "--json"])?.success()?.json()?;
        ensure!(done["newly_dropped"][0]["source"] == stranger.to_string().as_str(), "{done}");
        Ok(())
    });
}
