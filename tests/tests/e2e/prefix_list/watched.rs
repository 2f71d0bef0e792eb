//! A list in a file is read again when the file changes, without a signal.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, IpVersion, Lab, Pull, cloudflare, wait};
use serde_json::Value;

use super::{list_field, refresh_to};
use crate::stage::{Stage, on_changed_stage};
use crate::syn_flood::under_a_flood;

/// Two checks of the file, and more on a busy machine.
const SEEN: Duration = Duration::from_secs(15);

fn list(lab: &Lab) -> PathBuf {
    lab.dir().join("prefixes.txt")
}

/// Configures a list that is a symbolic link to a file.
fn through_a_link(config: &mut AopToml, lab: &Lab) {
    let first = lab.dir().join("first.txt");
    fs::write(&first, cloudflare::list()).expect("a list");
    symlink(first, list(lab)).expect("a link");
    config.prefixes = PrefixesTable::File(list(lab));
}

/// Waits until a field of `prefixes` in the status fits.
fn becomes(stage: &Stage, field: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until(&format!("{field} changes"), SEEN, || {
        list_field(&stage.daemon.status().ok()?, field).ok().filter(&fits)
    })
    .with_context(|| stage.daemon.log())
}

#[test]
fn a_renamed_file_and_a_new_target_of_a_link_are_noticed() {
    on_changed_stage(through_a_link, |stage| {
        stage.edge_is_served()?;
        let path = list(&stage.lab);
        let aside = stage.lab.dir().join("aside");
        symlink("second.txt", &aside)?;
        let second = cloudflare::list_without_edge() + "192.0.2.0/24\n";
        fs::write(stage.lab.dir().join("second.txt"), second)?;
        fs::rename(&aside, &path)?;
        becomes(stage, "v4", |v4| *v4 == 15)?;
        becomes(stage, "draining", |draining| *draining == 2)?;
        // The edge has authenticated. Its neighbour address has not.
        let neighbour = stage.lab.neighbour_address(IpVersion::V4);
        Pull::by_edge(&stage.lab, IpVersion::V4).source(neighbour).brief().must_meet_silence()?;

        fs::write(&aside, cloudflare::list())?;
        fs::rename(&aside, &path)?;
        becomes(stage, "draining", |draining| *draining == 1)?;
        stage.edge_is_served()
    });
}

#[test]
fn an_invalid_change_is_reported_and_the_old_list_stays_until_it_is_repaired() {
    on_changed_stage(through_a_link, |stage| {
        stage.edge_is_served()?;
        let generation = stage.daemon.status()?.generation()?;
        let bad = [Some("198.51.100.0/24\n<html>\n"), Some(""), None];
        for bad in bad {
            let path = list(&stage.lab);
            match bad {
                Some(text) => fs::write(&path, text)?,
                None => fs::remove_file(&path)?,
            }
            becomes(stage, "last_error", |error| {
                let told = error.as_str().unwrap_or_default();
                let missing = told.contains("No such file");
                let empty = told.contains("no prefix");
                missing == bad.is_none() && empty == (bad == Some("")) && !told.is_empty()
            })?;
            ensure!(stage.daemon.status()?.generation()? == generation);
            stage.edge_is_served()?;
        }
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        fs::write(list(&stage.lab), cloudflare::list())?;
        becomes(stage, "last_error", Value::is_null)?;
        stage.edge_is_served()
    });
}

#[test]
fn a_refresh_on_demand_reads_the_file_at_once() {
    on_changed_stage(through_a_link, |stage| {
        fs::write(list(&stage.lab), cloudflare::list() + "192.0.2.0/24\n")?;
        let verb = stage.daemon.verb(&["prefixes", "diff"])?;
        ensure!(String::from_utf8_lossy(&verb.output).contains("+ 192.0.2.0/24"), "{verb:?}");
        let (code, said) = super::refresh(stage, &[])?;
        // The watch may already have applied it.
        ensure!(code == 0, "{said}");
        ensure!(list_field(&stage.daemon.status()?, "v4")? == 16);
        refresh_to(stage, &[], "confirmed")?;
        Ok(())
    });
}

/// Cloudflare's list and 20,000 more networks. Half of them are the same for `at` and `at + 1`.
fn long(at: u32) -> String {
    let net = |n: u32| std::net::Ipv4Addr::from((20 << 24) + (at * 10_000 + n) * 256);
    (0..20_000).fold(cloudflare::list(), |list, n| list + &format!("{}/24\n", net(n)))
}

#[test]
fn while_a_long_list_is_replaced_strangers_meet_silence_and_pulls_continue() {
    on_changed_stage(through_a_link, |stage| {
        stage.edge_is_served()?;
        let over = AtomicBool::new(false);
        let flood = under_a_flood(stage, |stage| {
            let stage: &Stage = stage;
            std::thread::scope(|scope| {
                let pulls = scope.spawn(|| -> Result<u32> {
                    let mut pulls = 0;
                    while !over.load(Ordering::Relaxed) {
                        stage.edge_is_served()?;
                        pulls += 1;
                    }
                    Ok(pulls)
                });
                let swapped = replace_long_lists(stage);
                over.store(true, Ordering::Relaxed);
                swapped?;
                let pulls = pulls.join().unwrap_or_else(|_| anyhow::bail!("a pull panicked"))?;
                ensure!(pulls > 0, "no pull");
                Ok(())
            })
        })?;
        ensure!(flood.sent > 100 && flood.answers == 0, "{flood:?}");
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")
    });
}

/// Replaces the list three times, by a refresh or a reload.
fn replace_long_lists(stage: &Stage) -> Result<()> {
    for at in 1..=3 {
        let aside = stage.lab.dir().join("aside");
        fs::write(&aside, long(at))?;
        fs::rename(&aside, list(&stage.lab))?;
        if at == 3 {
            stage.daemon.must_reload()?;
        } else {
            super::refresh(stage, &[])?;
        }
        // The watch may already have applied it, or be about to.
        becomes(stage, "v4", |v4| *v4 == 20_015)?;
        becomes(stage, "draining", |draining| *draining == (at - 1) * 10_000)?;
    }
    Ok(())
}
