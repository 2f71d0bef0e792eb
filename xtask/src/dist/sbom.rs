//! The software bill of materials: the crates in the program, as CycloneDX. cargo-cyclonedx writes
//! it for the whole workspace, with the features and crates that only tests need. Here it is cut
//! down to what cargo builds into the program.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{build, installed};
use crate::{command, workspace};

const CYCLONEDX: &str = "0.5.9";
/// The name that cargo-cyclonedx gives the file of each crate, beside the crate's manifest.
const NAME: &str = "aop.cdx";

/// Writes the bill beside the package that was built for `target`, and returns its path.
pub(super) fn make(package: &Path, target: &str) -> Result<PathBuf> {
    let program = installed("cargo-cyclonedx", CYCLONEDX)?;
    let manifest = workspace::root().join("aop-userspace/Cargo.toml");
    let mut write = Command::new(program);
    command::forget_own_build(&mut write);
    write.args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--quiet"]);
    write.args(["--target", target, "--no-build-deps", "--override-filename", NAME]);
    write.arg("--manifest-path").arg(&manifest).current_dir(workspace::root());
    write.env(build::EPOCH, build::epoch()?.to_string());
    command::run(&mut write)?;
    // Its names of our crates have this folder in them.
    let here = format!("file://{}", workspace::root().display());
    let text = collect(&manifest)?.replace(&here, "file://.");
    let mut bill: Value = serde_json::from_str(&text).context("cargo-cyclonedx wrote no JSON")?;
    let built = crates(target)?;
    keep(&mut bill, &built)?;
    let place = package.with_extension("cdx.json");
    fs::write(&place, serde_json::to_string_pretty(&bill)? + "\n")?;
    println!("{}: {} crates", workspace::short(&place), built.len());
    Ok(place)
}

/// Reads the bill of the program, and removes those of all crates from the source tree.
fn collect(manifest: &Path) -> Result<String> {
    let file = |manifest: &Path| manifest.with_file_name(format!("{NAME}.json"));
    let text = fs::read_to_string(file(manifest)).context("cargo-cyclonedx wrote no bill")?;
    let mut metadata = command::cargo("metadata");
    metadata.args(["--no-deps", "--locked", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&command::output(&mut metadata)?)?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let other = file(Path::new(package["manifest_path"].as_str().unwrap_or_default()));
        if other.is_file() {
            fs::remove_file(&other)
                .with_context(|| format!("cannot remove {}", other.display()))?;
        }
    }
    Ok(text)
}

/// Takes all but the crates that are built out of the bill. Each of these must be in it.
fn keep(bill: &mut Value, built: &BTreeSet<String>) -> Result<()> {
    let word = |component: &Value, field: &str| component[field].as_str().map(str::to_owned);
    let crate_of = |one: &Value| Some(format!("{} {}", word(one, "name")?, word(one, "version")?));
    let (mut listed, mut removed) = (BTreeSet::new(), BTreeSet::new());
    if let Some(components) = bill.get_mut("components").and_then(Value::as_array_mut) {
        components.retain(|one| match crate_of(one).filter(|name| built.contains(name)) {
            Some(name) => {
                listed.insert(name);
                true
            }
            None => {
                removed.extend(word(one, "bom-ref"));
                false
            }
        });
    }
    let missing: Vec<_> = built.difference(&listed).map(String::as_str).collect();
    ensure!(missing.is_empty(), "the bill of materials lacks {}", missing.join(", "));
    let is_kept = |of: &Value| of.as_str().is_none_or(|of| !removed.contains(of));
    if let Some(dependencies) = bill.get_mut("dependencies").and_then(Value::as_array_mut) {
        dependencies.retain(|one| is_kept(&one["ref"]));
        for one in dependencies {
            if let Some(on) = one.get_mut("dependsOn").and_then(Value::as_array_mut) {
                on.retain(is_kept);
            }
        }
    }
    Ok(())
}

/// The crates that cargo builds into the program, without those that run at build time alone.
fn crates(target: &str) -> Result<BTreeSet<String>> {
    let mut tree = command::cargo("tree");
    tree.args(["--package", "aop-userspace", "--edges", "normal", "--target", target]);
    tree.args(["--prefix", "none", "--format", "{p}", "--locked"]);
    Ok(named(&command::output(&mut tree)?))
}

/// Reads lines such as `tokio v1.54.1 (*)`; the first line is the program itself.
fn named(tree: &str) -> BTreeSet<String> {
    let read = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name} {}", rest.split_whitespace().next()?))
    };
    tree.lines().skip(1).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bill_has_the_crates_that_are_built_and_no_other() {
        let built = named("aop v1.0.0 (/x)\ntokio v1.54.1\nbytes v1.2.3 (*)\ntokio v1.54.1 (*)\n");
        let component =
            |name: &str, version: &str| json!({"name": name, "version": version, "bom-ref": name});
        let mut bill = json!({
            "components": [component("bytes", "1.2.3"), component("x", "1"), component("tokio", "1.54.1")],
            "dependencies": [
                {"ref": "aop", "dependsOn": ["tokio", "x"]},
                {"ref": "x", "dependsOn": ["bytes"]},
                {"ref": "tokio", "dependsOn": ["bytes"]},
                {"ref": "bytes"},
            ],
        });
        keep(&mut bill, &built).unwrap();
        let kept = json!({
            "components": [component("bytes", "1.2.3"), component("tokio", "1.54.1")],
            "dependencies": [
                {"ref": "aop", "dependsOn": ["tokio"]},
                {"ref": "tokio", "dependsOn": ["bytes"]},
                {"ref": "bytes"},
            ],
        });
        assert_eq!(bill, kept);
        let mut lacking =
            json!({ "components": [component("bytes", "1.2.3"), component("tokio", "1.54.0")] });
        let lacking = keep(&mut lacking, &built).unwrap_err().to_string();
        assert!(lacking.contains("lacks tokio 1.54.1"), "{lacking}");
    }
}
