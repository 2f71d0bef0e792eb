//! The last good list on disk: what a restart begins with.

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::config::Prefixes;
use aop_tests::list_server::Answer;
use aop_tests::{Family, ListServer, Pull, cloudflare};

use super::{list_field, on_fetching_stage, published, refresh_to};
use crate::stage::Stage;

/// A list with a prefix more is fetched and kept; then the source falls silent.
fn keep(stage: &Stage, server: &ListServer) -> Result<Vec<u8>> {
    server.say(Answer::json(&cloudflare::api(&[], &["8.8.8.0/24"], "e2")));
    refresh_to(stage, &[], "applied")?;
    server.say(Answer::Bytes(Vec::new()));
    fs::read(stage.config.state.join("prefixes.json")).context("nothing was kept")
}

#[test]
fn a_restart_without_network_begins_with_the_last_good_list() {
    on_fetching_stage(published(), Prefixes::Mirror, |stage, server| {
        keep(stage, server)?;
        stage.daemon.run()?;
        let status = stage.daemon.status()?;
        ensure!(list_field(&status, "origin")? == "stored");
        ensure!(list_field(&status, "v4")? == 16 && list_field(&status, "etag")? == "e2");
        ensure!(list_field(&status, "age_seconds")?.as_u64().is_some_and(|age| age < 60));
        stage.edge_is_served()
    });
}

#[test]
fn a_broken_copy_is_named_and_the_snapshot_begins() {
    on_fetching_stage(published(), Prefixes::Mirror, |stage, server| {
        let whole = keep(stage, server)?;
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
            let said = String::from_utf8_lossy(&check.output).into_owned();
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
        server.say(published());
        refresh_to(stage, &[], "confirmed")?;
        let warnings = stage.daemon.status()?.json()["warnings"].to_string();
        ensure!(!warnings.contains("prefixes.json"), "mended, and still: {warnings}");
        Ok(())
    });
}

#[test]
fn a_list_of_another_source_is_not_taken_from_disk() {
    on_fetching_stage(published(), Prefixes::Mirror, |stage, server| {
        keep(stage, server)?;
        stage.config.prefixes = Prefixes::Mirror(format!("{}/other", server.url()));
        stage.daemon.write(&stage.config.text())?;
        stage.daemon.run()?;
        ensure!(list_field(&stage.daemon.status()?, "origin")? == "snapshot");
        Ok(())
    });
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_warning_and_no_more() {
    on_fetching_stage(published(), Prefixes::Mirror, |stage, server| {
        // A file stands where the directory would be: not even root can write there.
        fs::write(&stage.config.state, "in the way")?;
        server.say(Answer::json(&cloudflare::api(&[], &["8.8.8.0/24"], "e2")));
        refresh_to(stage, &[], "applied")?;
        let status = stage.daemon.status()?;
        ensure!(list_field(&status, "v4")? == 16);
        let warnings = status.json()["warnings"].to_string();
        ensure!(
            warnings.contains("cannot store") && warnings.contains("paths.state"),
            "{warnings}"
        );
        // A reload keeps what is in force, though the disk knows nothing of it.
        ensure!(!stage.daemon.reload()?.contains("not reloaded"));
        ensure!(list_field(&stage.daemon.status()?, "v4")? == 16);
        stage.edge_is_served()?;
        stage.daemon.run()?;
        stage.edge_is_served()
    });
}

#[test]
fn a_source_that_cannot_be_reached_leaves_what_an_earlier_run_admitted() {
    on_fetching_stage(
        Answer::ok("text/plain", &[], &cloudflare::list()),
        Prefixes::Url,
        |stage, server| {
            refresh_to(stage, &[], "applied")?;
            stage.edge_is_served()?;
            server.say(Answer::Bytes(Vec::new()));
            fs::remove_dir_all(&stage.config.state)?;
            stage.daemon.run()?;
            let status = stage.daemon.status()?;
            ensure!(
                list_field(&status, "origin")? == "nowhere" && list_field(&status, "v4")? == 15
            );
            ensure!(status.json()["warnings"].to_string().contains("never been fetched"));
            let neighbour = stage.world.neighbour_address(Family::V4);
            let outcome = Pull::by_edge(&stage.world, Family::V4).source(neighbour).send()?;
            ensure!(outcome.served(), "{outcome}");
            Ok(())
        },
    );
}
