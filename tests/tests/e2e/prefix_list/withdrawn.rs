//! Prefixes that are withdrawn from a list: peers drain, neighbours do not, and a bad list changes
//! nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, IpVersion, Lab, Pull, PullOutcome, cloudflare, wait};

use crate::stage::{Stage, on_changed_stage};

fn list(lab: &Lab) -> std::path::PathBuf {
    lab.dir().join("prefixes.txt")
}

/// Configures a list in a file, with all of Cloudflare's prefixes.
fn from_file(config: &mut AopToml, lab: &Lab) {
    std::fs::write(list(lab), cloudflare::list()).expect("a list");
    config.prefixes = PrefixesTable::File(list(lab));
}

fn replace(stage: &Stage, text: &str) -> Result<String> {
    std::fs::write(list(&stage.lab), text)?;
    stage.daemon.reload()
}

fn neighbour(lab: &Lab, family: IpVersion) -> Pull {
    Pull::by_edge(lab, family).source(lab.neighbour_address(family)).brief()
}

#[test]
fn in_a_withdrawn_prefix_an_authenticated_peer_is_served_and_its_neighbour_is_not() {
    on_changed_stage(from_file, |stage| {
        for family in IpVersion::BOTH {
            Pull::by_edge(&stage.lab, family).must_be_served()?;
            // The neighbour is admitted, but it never authenticates.
            neighbour(&stage.lab, family).no_certificate().must_be_refused()?;
        }
        let generation = stage.daemon.status()?.generation()?;
        replace(stage, &cloudflare::list_without_edge())?;
        ensure!(stage.daemon.status()?.generation()? > generation);

        for family in IpVersion::BOTH {
            let before = stage.snapshot()?;
            neighbour(&stage.lab, family).must_meet_silence()?;
            stage.upstream_saw_nothing_since(&before)?;
            Pull::by_edge(&stage.lab, family).must_be_served()?;
            let now = stage.daemon.status()?;
            let moved = |action, reason| -> Result<u64> {
                Ok(now.packets(action, reason)? - before.status().packets(action, reason)?)
            };
            ensure!(moved("drop", "unknown_source")? > 0 && moved("pass", "proven")? > 0);
            ensure!(moved("pass", "admitted")? == 0);
        }
        Ok(())
    });
}

#[test]
fn after_the_drain_the_authenticated_peer_meets_silence_too() {
    let short = |config: &mut AopToml, lab: &Lab| {
        from_file(config, lab);
        config.admission_drain = "4s";
    };
    on_changed_stage(short, |stage| {
        stage.edge_is_served()?;
        replace(stage, &cloudflare::list_without_edge())?;
        stage.edge_is_served()?;
        // A pull whose connection the expiry interrupts stalls: it must end before the patience.
        let pull =
            Pull::by_edge(&stage.lab, IpVersion::V4).brief().option("--max-time").option("3");
        let met: PullOutcome = wait::until("the drain is over", Duration::from_secs(15), || {
            // A pull at the moment of the expiry is refused by the terminator instead.
            pull.send().ok().filter(PullOutcome::silent)
        })?;
        ensure!(met.silent(), "{met}");
        Ok(())
    });
}

#[test]
fn a_prefix_that_returns_admits_all_its_addresses_again() {
    on_changed_stage(from_file, |stage| {
        replace(stage, &cloudflare::list_without_edge())?;
        neighbour(&stage.lab, IpVersion::V4).must_meet_silence()?;
        replace(stage, &cloudflare::list())?;
        neighbour(&stage.lab, IpVersion::V4).must_be_served()?;
        Ok(())
    });
}

#[test]
fn a_malformed_list_is_refused_as_a_whole_and_the_old_one_stays() {
    on_changed_stage(from_file, |stage| {
        let bad = [
            // The network of the stranger, then a typing error.
            ("198.51.100.0/24\n203.0.113.0/33\n", "prefixes.txt:2"),
            ("198.51.100.0/24\n<!DOCTYPE html>\n", "prefixes.txt:2"),
            ("0.0.0.0/0\n", "0.0.0.0/0"),
            ("", "prefixes.txt"),
        ];
        for (text, named) in bad {
            let generation = stage.daemon.status()?.generation()?;
            let said = replace(stage, text)?;
            ensure!(said.contains("not reloaded") && said.contains(named), "{said}");
            ensure!(stage.daemon.status()?.generation()? == generation);
            stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        }
        Ok(())
    });
}
