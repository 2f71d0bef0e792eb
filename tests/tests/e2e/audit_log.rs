//! The audit log: every change through the control socket, its user and its outcome.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, IpVersion, Lab, Pull, cloudflare};
use serde_json::{Value, json};

use crate::stage::{Stage, on_changed_stage};

fn path(stage: &Stage) -> PathBuf {
    stage.config.state.join("audit.log")
}

/// The lines of the audit log.
fn record(stage: &Stage) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path(stage)).context("no record")?;
    text.lines().map(|line| serde_json::from_str(line).context(line.to_owned())).collect()
}

fn list_from_file(config: &mut AopToml, lab: &Lab) {
    let list = lab.dir().join("list");
    fs::write(&list, cloudflare::list()).expect("a list");
    config.prefixes = PrefixesTable::File(list);
}

#[test]
fn changes_are_logged_with_user_and_outcome_and_questions_are_not() {
    on_changed_stage(list_from_file, |stage| {
        stage.edge_is_served()?;
        for question in ["status", "identities", "peers", "mode"] {
            stage.daemon.verb(&[question])?.success()?;
        }
        ensure!(!path(stage).exists(), "a question was logged");

        stage.daemon.verb(&["mode", "observe", "--port", "443"])?.success()?;
        ensure!(stage.daemon.verb(&["mode", "observe", "--port", "81"])?.code == 1);
        stage.daemon.verb(&["prefixes", "refresh"])?.success()?;
        fs::write(stage.daemon.config_path(), "nonsense")?;
        ensure!(stage.daemon.verb_with(&["reload"], &stage.daemon.started_with())?.code == 1);
        stage.daemon.write(&stage.config.text())?;
        stage.daemon.verb(&["reload"])?.success()?;
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

#[test]
fn a_full_disk_stops_no_action_and_causes_a_warning() {
    on_changed_stage(
        |config, lab| {
            config.state = lab.dir().join("state");
            config.mode = "observe";
        },
        |stage| {
            stage.edge_is_served()?;
            fs::create_dir_all(&stage.config.state)?;
            symlink("/dev/full", path(stage))?;
            stage.daemon.verb(&["mode", "enforce"])?.success()?;
            stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
            let told = "cannot write the audit log: No space left on device";
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(warnings.contains(told), "{warnings}");
            ensure!(stage.daemon.log().contains("audit: done"), "{}", stage.daemon.log());

            fs::remove_file(path(stage))?;
            stage.daemon.verb(&["mode", "observe"])?.success()?;
            ensure!(record(stage)?.len() == 1);
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(!warnings.contains("cannot write the audit log"), "{warnings}");
            Ok(())
        },
    );
}
