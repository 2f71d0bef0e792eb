//! docs/json.md documents each field of every JSON document, and each verb of the control socket.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull};
use serde_json::Value;

use crate::stage::{Stage, on_stage};

fn documentation() -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
    fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// The names of all fields in `document`, at any depth.
fn fields(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            found.insert(name.clone());
            fields(value, found);
        }),
        Value::Array(list) => list.iter().for_each(|value| fields(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Each field of `document` has a row in `documentation`. Returns the number of names.
fn must_be_documented(document: &Value, documentation: &str) -> Result<usize> {
    let mut names = BTreeSet::new();
    fields(document, &mut names);
    ensure!(!names.is_empty(), "no field is printed");
    for name in &names {
        let row = format!("| `{name}` | ");
        ensure!(documentation.contains(&row), "{name} is not in docs/json.md");
    }
    Ok(names.len())
}

/// The same for a document of a verb that needs no daemon.
pub(crate) fn is_documented(document: &Value) -> Result<()> {
    must_be_documented(document, &documentation()?).map(drop)
}

fn printed(stage: &Stage, line: &[&str]) -> Result<Value> {
    let line: Vec<&str> = line.iter().copied().chain(["--json"]).collect();
    let printed = stage.daemon.verb(&line)?;
    let parsed = serde_json::from_slice(&printed.output);
    parsed.with_context(|| format!("{line:?}: {printed:?}"))
}

#[test]
fn every_field_that_a_verb_prints_is_documented() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let bad = Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate();
        stage.refuses(&bad, "certificate_required")?;
        let network = "198.51.100.0/24";
        let documentation = documentation()?;
        let mut least = 0;
        for line in [
            &["open", "--from", network, "--for", "1h"][..],
            &["mode", "enforce", "--port", "443", "--confirm", "1h"],
            &["reload"],
            &["status"],
            &["peers"],
            &["identities"],
            &["strangers"],
            &["prefixes", "show"],
            &["prefixes", "refresh"],
            &["mode"],
            &["confirm"],
            &["check"],
            &["explain", "192.0.2.1"],
            &["prove", "--shapes"],
            &["open", "--list"],
            &["upgrade"],
        ] {
            least += must_be_documented(&printed(stage, line)?, &documentation)
                .with_context(|| format!("{line:?}"))?;
        }
        ensure!(least > 150, "only {least} fields were seen");
        Ok(())
    });
}

/// Also fields that no daemon in these tests prints.
#[test]
fn every_field_that_a_document_may_have_is_documented() -> Result<()> {
    let documentation = documentation()?;
    let crate_of_documents =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../aop-userspace/crates/api/src");
    // Not in a document: internal parts, and one whose fields are merged into its parent.
    let inside = [
        "admission",
        "authenticated",
        "checked",
        "extra",
        "opened",
        "peer",
        "published",
        "trusting",
    ];
    let mut seen = 0;
    for path in files_below(&crate_of_documents)? {
        // Messages between two processes of one build are no documents.
        if path.ends_with("terminator.rs") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for line in text.lines() {
            let Some((name, _)) = line.strip_prefix("    pub ").and_then(|it| it.split_once(':'))
            else {
                continue;
            };
            if name.contains(' ') {
                continue;
            }
            seen += 1;
            let documented = documentation.contains(&format!("| `{name}` | "));
            ensure!(
                documented || inside.contains(&name),
                "{}: {name} is not in docs/json.md",
                path.display()
            );
        }
    }
    ensure!(seen > 150, "only {seen} fields were found");
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

#[test]
fn every_verb_of_the_control_socket_is_documented() {
    on_stage(|stage| {
        let refused = crate::control::send_to(stage, "control.sock", b"{\"verb\":\"burn\"}\n")?;
        let (_, known) = refused.split_once("expected one of ").context("no verbs")?;
        let verbs: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        ensure!(verbs.len() >= 11, "{refused}");
        let documentation = documentation()?;
        for verb in verbs {
            let row = format!("| `{{\"verb\": \"{verb}\"");
            ensure!(documentation.contains(&row), "{verb} is not in docs/json.md");
        }
        Ok(())
    });
}
