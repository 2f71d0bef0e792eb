//! `aop peers` tells everybody who has authenticated, and how each stands; status tells what ends next.

use anyhow::{Context, Result, ensure};
use aop_tests::{Family, Pull};
use serde_json::Value;

use crate::stage::{Stage, on_changed_stage, on_stage};

fn peers(stage: &Stage, more: &[&str]) -> Result<Value> {
    let line: Vec<&str> = ["peers", "--json"].iter().chain(more).copied().collect();
    let told = stage.daemon.verb(&line)?;
    ensure!(told.code == 0, "{told:?}");
    Ok(serde_json::from_slice(&told.output)?)
}

fn pulls_by_both_families(stage: &Stage, count: usize) -> Result<[String; 2]> {
    for (family, times) in [(Family::V4, count), (Family::V6, 1)] {
        for _ in 0..times {
            let outcome = Pull::by_edge(&stage.world, family).send()?;
            ensure!(outcome.served(), "{outcome}");
        }
    }
    Ok(Family::BOTH.map(|family| stage.world.edge_address(family).to_string()))
}

#[test]
fn all_peers_are_told_sorted_and_by_site_with_what_admits_them_with_and_without_a_daemon() {
    on_stage(|stage| {
        let [v4, v6] = pulls_by_both_families(stage, 3)?;
        let told = peers(stage, &["--sort", "count"])?;
        ensure!(told["total"] == 2, "{told}");
        let (first, second) = (&told["peers"][0], &told["peers"][1]);
        ensure!(first["address"] == *v4 && first["handshakes"] == 3, "{told}");
        ensure!(first["site"] == "example.com" && first["first_seen"].is_string(), "{told}");
        ensure!(first["admitted_by"] == "list" && first["prefix"].is_string(), "{told}");
        ensure!(second["address"] == *v6 && second["ends_seconds"].is_null(), "{told}");
        let none = peers(stage, &["--site", "other.example"])?;
        ensure!(none["peers"] == serde_json::json!([]) && none["total"] == 2, "{none}");

        let shown = String::from_utf8(stage.daemon.verb(&["peers"])?.output)?;
        let line = shown.lines().find(|line| line.starts_with(&v4)).context("no line")?;
        for word in ["3 handshakes", "site example.com", "admitted by list"] {
            ensure!(line.contains(word), "nothing of {word}: {shown}");
        }
        stage.daemon.kill();
        let without = peers(stage, &["--sort", "count"])?;
        ensure!(without == told, "{without} is not {told}");
        Ok(())
    });
}

#[test]
fn peers_are_told_from_memory_where_the_firewall_is_off() {
    on_changed_stage(
        |config, _| config.mode = "off",
        |stage| {
            let [v4, _] = pulls_by_both_families(stage, 1)?;
            let told = peers(stage, &["--sort", "first"])?;
            ensure!(told["total"] == 2 && told["peers"][0]["address"] == *v4, "{told}");
            ensure!(told["peers"][0]["admitted_by"] == "list", "{told}");
            Ok(())
        },
    );
}

#[test]
fn status_tells_what_ends_next_the_soonest_first() {
    on_stage(|stage| {
        let status = stage.daemon.status()?;
        let ends = status.json()["ends"].as_array().context("no ends")?;
        let whats: Vec<&str> = ends.iter().filter_map(|end| end["what"].as_str()).collect();
        ensure!(whats.contains(&"client_ca") && whats.contains(&"server_certificate"), "{ends:?}");
        let moments: Vec<&str> = ends.iter().filter_map(|end| end["not_after"].as_str()).collect();
        ensure!(moments.len() == ends.len() && moments.is_sorted(), "{ends:?}");
        ensure!(ends.iter().all(|end| end["site"] == "example.com"), "{ends:?}");
        ensure!(ends.iter().all(|end| !end["subject"].as_str().unwrap_or("").is_empty()));
        let shown = String::from_utf8(stage.daemon.verb(&["status"])?.output)?;
        ensure!(shown.contains("expires: "), "{shown}");
        ensure!(shown.lines().count() <= 24, "{shown}");
        Ok(())
    });
}
