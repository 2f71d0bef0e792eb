//! The last good list on disk, which a restart begins with.

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::list_server::ListResponse;
use aop_tests::{IpVersion, ListServer, Pull, cloudflare, wait};

use super::{list_field, on_fetching_stage, published, refresh_to};
use crate::stage::{SOON, Stage};

/// Fetches and stores a list with one more prefix. Then the source stops responding.
fn store(stage: &Stage, server: &ListServer) -> Result<Vec<u8>> {
    server.respond_with(ListResponse::json(&cloudflare::api(&[], &["8.8.8.0/24"], "e2")));
    refresh_to(stage, &[], "applied")?;
    server.respond_with(ListResponse::Bytes(Vec::new()));
    fs::read(stage.config.state.join("prefixes.json")).context("nothing was stored")
}

#[test]
fn a_restart_without_network_begins_with_the_last_good_list() {
    on_fetching_stage(published(), PrefixesTable::Mirror, |stage, server| {
        store(stage, server)?;
        stage.daemon.run()?;
        let status = stage.daemon.status()?;
        ensure!(list_field(&status, "origin")? == "stored");
        ensure!(list_field(&status, "v4")? == 16 && list_field(&status, "etag")? == "e2");
        ensure!(list_field(&status, "age_seconds")?.as_u64().is_some_and(|age| age < 60));
        stage.edge_is_served()
    });
}

#[test]
fn a_broken_stored_list_is_named_and_the_snapshot_is_used() {
    on_fetching_stage(published(), PrefixesTable::Mirror, |stage, server| {
        let whole = store(stage, server)?;
        let path = stage.config.state.join("prefixes.json");
        let text = String::from_utf8_lossy(&whole).into_owned();
        for bad in [
            text.split_at(text.len() / 2).0,
            "",
            "<!DOCTYPE html>",
            &text.replace("8.8.8.0/24", "10.0.0.0/8"),
            &text.replace("8.8.8.0/24", "0.0.0.0/0"),
        ] {
            fs::write(&path, bad)?;
            let check = stage.daemon.verb(&["check"])?;
            let said = check.text();
            ensure!(check.code == 0 && said.contains("prefixes.json"), "{said}");
            stage.daemon.run()?;
            ensure!(stage.daemon.log().contains("prefixes.json"), "{}", stage.daemon.log());
            let status = stage.daemon.status()?;
            ensure!(
                list_field(&status, "origin")? == "snapshot" && list_field(&status, "v4")? == 15
            );
            ensure!(status.json()["warnings"].to_string().contains("prefixes.json"));
            stage.edge_is_served()?;
        }
        server.respond_with(published());
        refresh_to(stage, &[], "confirmed")?;
        let warnings = stage.daemon.status()?.json()["warnings"].to_string();
        ensure!(!warnings.contains("prefixes.json"), "still there after the repair: {warnings}");
        Ok(())
    });
}

#[test]
fn a_stored_list_of_another_source_is_not_used() {
    on_fetching_stage(published(), PrefixesTable::Mirror, |stage, server| {
        store(stage, server)?;
        stage.config.prefixes = PrefixesTable::Mirror(format!("{}/other", server.url()));
        stage.daemon.write(&stage.config.text())?;
        stage.daemon.run()?;
        ensure!(list_field(&stage.daemon.status()?, "origin")? == "snapshot");
        Ok(())
    });
}

#[test]
fn a_state_directory_that_cannot_be_written_only_causes_a_warning() {
    on_fetching_stage(published(), PrefixesTable::Mirror, |stage, server| {
        // A file in place of the directory: not even root can write there.
        let state = &stage.config.state;
        let first = state.join("interfaces.json");
        wait::until("the daemon has written there", SOON, || first.exists().then_some(()))?;
        fs::rename(state, state.with_extension("aside"))?;
        fs::write(state, "in the way")?;
        server.respond_with(ListResponse::json(&cloudflare::api(&[], &["8.8.8.0/24"], "e2")));
        refresh_to(stage, &[], "applied")?;
        let status = stage.daemon.status()?;
        ensure!(list_field(&status, "v4")? == 16);
        let warnings = status.json()["warnings"].to_string();
        ensure!(
            warnings.contains("cannot store") && warnings.contains("paths.state"),
            "{warnings}"
        );
        // A reload keeps the active list, although it is not on disk.
        stage.daemon.must_reload()?;
        ensure!(list_field(&stage.daemon.status()?, "v4")? == 16);
        stage.edge_is_served()?;
        stage.daemon.run()?;
        stage.edge_is_served()
    });
}

#[test]
fn if_the_source_is_unreachable_the_prefixes_of_the_previous_run_stay() {
    on_fetching_stage(
        ListResponse::ok("text/plain", &[], &cloudflare::list()),
        PrefixesTable::Url,
        |stage, server| {
            refresh_to(stage, &[], "applied")?;
            stage.edge_is_served()?;
            server.respond_with(ListResponse::Bytes(Vec::new()));
            fs::remove_dir_all(&stage.config.state)?;
            stage.daemon.run()?;
            let status = stage.daemon.status()?;
            ensure!(
                list_field(&status, "origin")? == "nowhere" && list_field(&status, "v4")? == 15
            );
            ensure!(status.json()["warnings"].to_string().contains("never been fetched"));
            let neighbour = stage.lab.neighbour_address(IpVersion::V4);
            Pull::by_edge(&stage.lab, IpVersion::V4).source(neighbour).must_be_served()?;
            Ok(())
        },
    );
}

#[test]
fn while_the_source_was_never_reached_a_prefix_that_leaves_extra_goes_also_over_a_restart() {
    on_fetching_stage(
        ListResponse::ok("text/plain", &[], &cloudflare::list()),
        PrefixesTable::Url,
        |stage, server| {
            refresh_to(stage, &[], "applied")?;
            server.respond_with(ListResponse::Bytes(Vec::new()));
            fs::remove_dir_all(&stage.config.state)?;
            stage.config.admission_drain = "0s";
            let without = stage.config.text();
            stage.config.extra.push(stage.lab.stranger_address(IpVersion::V4).to_string() + "/32");
            let with = stage.config.text();
            let stranger = |stage: &Stage| Pull::by_stranger(&stage.lab, IpVersion::V4);
            let taken_back = |stage: &Stage| {
                stranger(stage).must_meet_silence().context("it stays admitted")?;
                stage.edge_is_served()
            };
            stage.daemon.write(&with)?;
            stage.daemon.run()?;
            ensure!(list_field(&stage.daemon.status()?, "origin")? == "nowhere");
            stage.daemon.reload()?;
            ensure!(stranger(stage).must_meet_silence().is_err(), "it is not admitted");
            stage.daemon.write(&without)?;
            stage.daemon.reload()?;
            taken_back(stage)?;
            stage.daemon.write(&with)?;
            stage.daemon.reload()?;
            ensure!(stranger(stage).must_meet_silence().is_err(), "it is not admitted");
            stage.daemon.write(&without)?;
            stage.daemon.run()?;
            taken_back(stage)
        },
    );
}
