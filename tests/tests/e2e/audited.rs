//! Who had something changed over the control socket, and what came of it, is on record.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aop_tests::config::Prefixes;
use aop_tests::{Config, Family, Pull, World, cloudflare};
use serde_json::{Value, json};

use crate::stage::{Stage, on_changed_stage};

fn path(stage: &Stage) -> PathBuf {
    stage.config.state.join("audit.log")
}

/// Each line of the record.
fn record(stage: &Stage) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path(stage)).context("no record")?;
    text.lines().map(|line| serde_json::from_str(line).context(line.to_owned())).collect()
}

fn a_list_in_a_file(config: &mut Config, world: &World) {
    let list = world.dir().join("list");
    fs::write(&list, cloudflare::list()).expect("a list");
    config.prefixes = Prefixes::File(list);
}

#[test]
fn who_had_what_changed_is_recorded_with_the_outcome_and_questions_are_not() {
    on_changed_stage(a_list_in_a_file, |stage| {
        stage.edge_is_served()?;
        for question in ["status", "identities", "peers", "mode"] {
            ensure!(stage.daemon.verb(&[question])?.code == 0, "{question}");
        }
        ensure!(!path(stage).exists(), "questions are on record");

        ensure!(stage.daemon.verb(&["mode", "observe", "--port", "443"])?.code == 0);
        ensure!(stage.daemon.verb(&["mode", "observe", "--port", "81"])?.code == 1);
        ensure!(stage.daemon.verb(&["prefixes", "refresh"])?.code == 0);
        fs::write(stage.daemon.config_path(), "nonsense")?;
        ensure!(stage.daemon.verb_with(&["reload"], &started_with(stage))?.code == 1);
        stage.daemon.write(&stage.config.text())?;
        ensure!(stage.daemon.verb(&["reload"])?.code == 0);
        let new = stage.daemon.upgrade()?;

        let record = record(stage)?;
        let verbs: Vec<_> = record
            .iter()
            .map(|it| (it["request"]["verb"].clone(), it["outcome"].clone()))
            .collect();
        let expected = [
            ("mode", "done"),
            ("mode", "refused"),
            ("refresh_prefixes", "done"),
            ("reload", "refused"),
            ("reload", "done"),
            ("upgrade", "done"),
        ];
        ensure!(verbs == expected.map(|(verb, came)| (json!(verb), json!(came))), "{record:#?}");
        for line in &record {
            ensure!(line["uid"] == 0 && line["user"] == "root" && line["at"].is_string(), "{line}");
            ensure!(line["pid"].as_u64().is_some_and(|pid| pid > 1), "{line}");
            ensure!(line["error"].is_string() == (line["outcome"] == "refused"), "{line}");
        }
        ensure!(record[0]["request"]["ports"] == json!([443]), "{}", record[0]);
        ensure!(record[1]["error"].as_str().is_some_and(|why| why.contains("port 81")));
        let log = stage.daemon.log();
        ensure!(log.contains("audit: done") && log.contains("audit: refused"), "{log}");
        ensure!(new.status("State").is_ok(), "the new daemon is gone");
        Ok(())
    });
}

fn started_with(stage: &Stage) -> PathBuf {
    stage.world.dir().join("aop-started.toml")
}

#[test]
fn a_full_disk_stops_no_action_and_is_told() {
    on_changed_stage(
        |config, world| {
            config.state = world.dir().join("state");
            config.mode = "observe";
        },
        |stage| {
            stage.edge_is_served()?;
            fs::create_dir_all(&stage.config.state)?;
            symlink("/dev/full", path(stage))?;
            ensure!(stage.daemon.verb(&["mode", "enforce"])?.code == 0);
            stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")?;
            let told = "cannot write the audit log: No space left on device";
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(warnings.contains(told), "{warnings}");
            ensure!(stage.daemon.log().contains("audit: done"), "{}", stage.daemon.log());

            fs::remove_file(path(stage))?;
            ensure!(stage.daemon.verb(&["mode", "observe"])?.code == 0);
            ensure!(record(stage)?.len() == 1);
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(!warnings.contains("cannot write the audit log"), "{warnings}");
            Ok(())
        },
    );
}
