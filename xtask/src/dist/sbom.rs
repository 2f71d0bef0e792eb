//! The software bill of materials: which crates are in the program, as CycloneDX. cargo-cyclonedx
//! writes it; here it is compared with what cargo says of the same program.

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
    let text = collect(&manifest)?;
    let bill: Value = serde_json::from_str(&text).context("cargo-cyclonedx wrote no JSON")?;
    let listed = components(&bill);
    compare(&listed, &crates(target)?)?;
    let place = package.with_extension("cdx.json");
    fs::write(&place, text)?;
    println!("{}: {} crates", workspace::short(&place), listed.len());
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

/// The crates of the bill, as `name version`, without aop itself.
fn components(bill: &Value) -> BTreeSet<String> {
    let all = bill["components"].as_array().into_iter().flatten();
    let word = |component: &Value, field: &str| component[field].as_str().map(str::to_owned);
    all.filter_map(|one| Some(format!("{} {}", word(one, "name")?, word(one, "version")?)))
        .collect()
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

/// Every crate of the program must be in the bill, and every crate of the bill in the lock file.
fn compare(listed: &BTreeSet<String>, built: &BTreeSet<String>) -> Result<()> {
    let missing: Vec<_> = built.difference(listed).map(String::as_str).collect();
    ensure!(missing.is_empty(), "the bill of materials lacks {}", missing.join(", "));
    let more: Vec<_> = listed.difference(built).map(String::as_str).collect();
    ensure!(
        more.is_empty(),
        "the bill of materials has crates that are not in the program: {}",
        more.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_that_lacks_a_crate_or_has_another_is_refused() {
        let built = named("aop v1.0.0 (/x)\ntokio v1.54.1\nbytes v1.2.3 (*)\ntokio v1.54.1 (*)\n");
        let bill = |names: &[&str]| {
            let all: Vec<_> = names
                .iter()
                .filter_map(|name| name.split_once(' '))
                .map(|(name, version)| serde_json::json!({"name": name, "version": version}))
                .collect();
            components(&serde_json::json!({ "components": all }))
        };
        assert!(compare(&bill(&["bytes 1.2.3", "tokio 1.54.1"]), &built).is_ok());
        let lacking = compare(&bill(&["bytes 1.2.3", "tokio 1.54.0"]), &built).unwrap_err();
        assert!(lacking.to_string().contains("lacks tokio 1.54.1"), "{lacking}");
        let more = compare(&bill(&["bytes 1.2.3", "tokio 1.54.1", "x 1"]), &built).unwrap_err();
        assert!(more.to_string().contains("not in the program: x 1"), "{more}");
    }
}
