//! `aop peers`: the authenticated peers and their admission. `aop status`: what expires next.

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull};
use serde_json::Value;

use crate::stage::{Stage, on_changed_stage, on_stage};

fn peers(stage: &Stage, more: &[&str]) -> Result<Value> {
    let line: Vec<&str> = ["peers", "--json"].iter().chain(more).copied().collect();
    let told = stage.daemon.verb(&line)?.success()?;
    told.json()
}

fn pull_over_both_ip_versions(stage: &Stage, count: usize) -> Result<[String; 2]> {
    for (family, times) in [(IpVersion::V4, count), (IpVersion::V6, 1)] {
        for _ in 0..times {
            Pull::by_edge(&stage.lab, family).must_be_served()?;
        }
    }
    Ok(IpVersion::BOTH.map(|family| stage.lab.edge_address(family).to_string()))
}

#[test]
fn peers_are_sorted_and_filtered_and_show_their_admission_also_without_a_daemon() {
    on_stage(|stage| {
        let [v4, v6] = pull_over_both_ip_versions(stage, 3)?;
        let told = peers(stage, &["--sort", "count"])?;
        ensure!(told["total"] == 2, "{told}");
        let (first, second) = (&told["peers"][0], &told["peers"][1]);
        ensure!(first["address"] == *v4 && first["handshakes"] == 3, "{told}");
        ensure!(first["site"] == "example.com" && first["first_seen"].is_string(), "{told}");
        ensure!(first["admitted_by"] == "list" && first["prefix"].is_string(), "{told}");
        ensure!(second["address"] == *v6 && second["ends_seconds"].is_null(), "{told}");
        let none = peers(stage, &["--site", "other.example"])?;
        ensure!(none["peers"] == serde_json::json!([]) && none["total"] == 2, "{none}");

        let shown = stage.daemon.verb(&["peers"])?.text();
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
fn with_the_firewall_off_peers_come_from_memory() {
    on_changed_stage(
        |config, _| config.mode = "off",
        |stage| {
            let [v4, _] = pull_over_both_ip_versions(stage, 1)?;
            let told = peers(stage, &["--sort", "first"])?;
            ensure!(told["total"] == 2 && told["peers"][0]["address"] == *v4, "{told}");
            ensure!(told["peers"][0]["admitted_by"] == "list", "{told}");
            Ok(())
        },
    );
}

#[test]
fn status_lists_what_expires_next_first() {
    on_stage(|stage| {
        let status = stage.daemon.status()?;
        let ends = status.json()["ends"].as_array().context("no ends")?;
        let whats: Vec<&str> = ends.iter().filter_map(|end| end["what"].as_str()).collect();
        ensure!(whats.contains(&"client_ca") && whats.contains(&"server_certificate"), "{ends:?}");
        let moments: Vec<&str> = ends.iter().filter_map(|end| end["not_after"].as_str()).collect();
        ensure!(moments.len() == ends.len() && moments.is_sorted(), "{ends:?}");
        ensure!(ends.iter().all(|end| end["site"] == "example.com"), "{ends:?}");
        ensure!(ends.iter().all(|end| !end["subject"].as_str().unwrap_or("").is_empty()));
        let shown = stage.daemon.verb(&["status"])?.text();
        ensure!(shown.contains("expires: "), "{shown}");
        ensure!(shown.lines().count() <= 24, "{shown}");
        Ok(())
    });
}
