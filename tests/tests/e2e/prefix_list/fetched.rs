//! Fetched lists that are valid: they are applied as a whole, with additions and removals.

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::list_server::ListResponse;
use aop_tests::{AopToml, IpVersion, Lab, Pull, cloudflare, wait};
use serde_json::json;

use super::{list_field, on_changed_fetching_stage, on_fetching_stage, published, refresh_to};
use crate::stage::{SOON, Stage, on_changed_stage};

/// The prefixes in `aop prefixes show --json` that are admitted by `what`.
fn admitted_by(stage: &Stage, what: &str) -> Result<Vec<String>> {
    let shown = stage.daemon.verb(&["prefixes", "show", "--json"])?.success()?.json()?;
    let prefixes = shown["prefixes"].as_array().context("no prefixes")?;
    let by = prefixes.iter().filter(|entry| entry["admits"] == what);
    Ok(by.map(|entry| entry["prefix"].as_str().unwrap_or_default().to_owned()).collect())
}

fn lines(text: &str, etag: &str) -> ListResponse {
    ListResponse::ok("text/plain", &[&format!("ETag: {etag}")], text)
}

#[test]
fn the_first_start_fetches_at_once_and_serves_with_the_snapshot_meanwhile() {
    let first = |config: &mut AopToml, _: &Lab| {
        // There is no listener.
        config.prefixes = PrefixesTable::Mirror("http://127.0.0.1:9/ips".into());
        config.refresh = "12h";
    };
    on_changed_stage(first, |stage| {
        stage.edge_is_served()?;
        wait::until("the first fetch has failed", SOON, || {
            let status = stage.daemon.status().ok()?;
            list_field(&status, "last_error").ok().filter(|error| error.is_string())
        })?;
        let status = stage.daemon.status()?;
        ensure!(list_field(&status, "origin")? == "snapshot");
        let next = list_field(&status, "next_refresh_seconds")?;
        ensure!(next.as_u64().is_some_and(|next| next <= 60), "next: {next}");
        let warnings = status.json()["warnings"].to_string();
        ensure!(warnings.contains("the prefix list is old"), "{warnings}");
        stage.edge_is_served()
    });
}

#[test]
fn a_good_list_is_applied_as_a_whole_and_shown() {
    on_fetching_stage(published(), PrefixesTable::Mirror, |stage, server| {
        ensure!(list_field(&stage.daemon.status()?, "origin")? == "snapshot");
        server.respond_with(ListResponse::json(&cloudflare::api(
            &["131.0.72.0/22"],
            &["8.8.8.0/24"],
            "e2",
        )));
        let before = stage.daemon.status()?.generation()?;
        let dry = refresh_to(stage, &["--dry-run"], "would_apply")?;
        ensure!(stage.daemon.status()?.generation()? == before, "a dry run applied it");
        let diff = stage.daemon.verb(&["prefixes", "diff"])?;
        let diff = diff.text();
        ensure!(diff.contains("+ 8.8.8.0/24\n- 131.0.72.0/22\n"), "{diff}");
        ensure!(stage.daemon.status()?.generation()? == before, "diff applied it");

        let said = refresh_to(stage, &[], "applied")?;
        ensure!(
            said["added"] == json!(["8.8.8.0/24"]) && said["removed"] == json!(["131.0.72.0/22"])
        );
        ensure!(dry["added"] == said["added"] && dry["removed"] == said["removed"]);
        let status = stage.daemon.status()?;
        ensure!(status.generation()? > before);
        ensure!(list_field(&status, "origin")? == "fetched");
        ensure!(list_field(&status, "etag")? == "e2");
        ensure!(list_field(&status, "age_seconds")?.as_u64().is_some_and(|age| age < 60));
        ensure!(admitted_by(stage, "list")?.contains(&"8.8.8.0/24".into()));
        ensure!(admitted_by(stage, "draining")? == ["131.0.72.0/22"]);
        stage.edge_is_served()?;
        stage.daemon.kill();
        ensure!(admitted_by(stage, "list")?.contains(&"8.8.8.0/24".into()), "not without a daemon");
        Ok(())
    });
}

#[test]
fn a_withdrawn_prefix_drains_for_its_authenticated_peers() {
    let first = lines(&cloudflare::list(), "\"a\"");
    on_fetching_stage(first, PrefixesTable::Url, |stage, server| {
        ensure!(list_field(&stage.daemon.status()?, "origin")? == "nowhere");
        let stranger = Pull::by_edge(&stage.lab, IpVersion::V4).brief().send()?;
        ensure!(stranger.silent(), "admitted by no list: {stranger}");
        refresh_to(stage, &[], "applied")?;
        stage.edge_is_served()?;

        server.respond_with(lines(&cloudflare::list_without_edge(), "\"b\""));
        refresh_to(stage, &[], "applied")?;
        ensure!(admitted_by(stage, "draining")?.len() == cloudflare::EDGE_PREFIXES.len());
        let neighbour = stage.lab.neighbour_address(IpVersion::V4);
        Pull::by_edge(&stage.lab, IpVersion::V4).source(neighbour).brief().must_meet_silence()?;
        stage.edge_is_served()
    });
}

#[test]
fn an_unchanged_list_only_gets_a_new_age() {
    let first = lines(&cloudflare::list(), "\"a\"");
    on_fetching_stage(first, PrefixesTable::Url, |stage, server| {
        refresh_to(stage, &[], "applied")?;
        let generation = stage.daemon.status()?.generation()?;
        wait::until("the list has an age", SOON, || {
            let age = list_field(&stage.daemon.status().ok()?, "age_seconds").ok()?;
            age.as_u64().filter(|age| *age >= 1)
        })?;
        server.respond_with(ListResponse::raw("304 Not Modified", &["ETag: \"a\""], b""));
        refresh_to(stage, &[], "confirmed")?;
        let asked = server.requests().pop().context("no request")?.to_lowercase();
        ensure!(asked.contains("if-none-match: \"a\""), "{asked}");
        let status = stage.daemon.status()?;
        ensure!(status.generation()? == generation);
        ensure!(list_field(&status, "age_seconds")? == 0, "{}", status.json()["prefixes"]);
        ensure!(list_field(&status, "etag")? == "\"a\"");
        stage.edge_is_served()
    });
}

#[test]
fn a_list_that_shrinks_a_lot_waits_for_the_operator() {
    on_fetching_stage(published(), PrefixesTable::Mirror, |stage, server| {
        let four = ["103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "190.93.240.0/20"];
        server.respond_with(ListResponse::json(&cloudflare::api(&four, &[], "e2")));
        let dry = refresh_to(stage, &["--dry-run"], "refused")?;
        ensure!(dry["removed"] == json!(four), "it does not show what would go: {dry}");
        let refused = refresh_to(stage, &[], "refused")?;
        ensure!(refused["error"].as_str().is_some_and(|told| told.contains("--accept")));
        let accepted = refresh_to(stage, &["--accept"], "applied")?;
        ensure!(accepted["removed"] == json!(four), "{accepted}");
        ensure!(list_field(&stage.daemon.status()?, "v4")? == 11);
        stage.edge_is_served()
    });
}

#[test]
fn the_china_network_is_admitted_if_configured() {
    let first = cloudflare::api(&[], &[], "e2");
    let first = first.replace("\"etag\"", "\"jdcloud_cidrs\":[\"8.8.4.0/24\"],\"etag\"");
    let jdcloud = |url| PrefixesTable::Mirror(format!("{url}?networks=jdcloud"));
    on_fetching_stage(ListResponse::json(&first), jdcloud, |stage, server| {
        refresh_to(stage, &[], "applied")?;
        let asked = server.requests().pop().context("no request")?;
        ensure!(asked.starts_with("GET /client/v4/ips?networks=jdcloud HTTP/1.1"), "{asked}");
        ensure!(admitted_by(stage, "list")?.contains(&"8.8.4.0/24".into()));
        server.respond_with(published());
        refresh_to(stage, &[], "refused")?;
        stage.edge_is_served()
    });
}

#[test]
fn without_a_firewall_the_terminator_uses_the_fetched_list() {
    let first = lines(&cloudflare::list_without_edge(), "\"a\"");
    let off = |config: &mut AopToml, url| {
        config.mode = "off";
        config.prefixes = PrefixesTable::Url(url);
    };
    on_changed_fetching_stage(first, off, |stage, server| {
        refresh_to(stage, &[], "applied")?;
        let outcome = Pull::by_edge(&stage.lab, IpVersion::V4).send()?;
        ensure!(!outcome.served(), "served although the list does not contain it");
        server.respond_with(lines(&cloudflare::list(), "\"b\""));
        refresh_to(stage, &[], "applied")?;
        stage.edge_is_served()
    });
}

#[test]
fn a_stop_does_not_wait_for_a_hung_source() {
    let hanging = |config: &mut AopToml, url| {
        config.prefixes = PrefixesTable::Mirror(url);
        config.refresh = "12h";
    };
    on_changed_fetching_stage(ListResponse::Silence, hanging, |stage, server| {
        let asked = || (!server.requests().is_empty()).then_some(());
        wait::until("the source is asked", SOON, asked)?;
        stage.edge_is_served()?;
        stage.daemon.reload()?;
        stage.daemon.stop()?;
        Ok(())
    });
}
