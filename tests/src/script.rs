//! Peers and applications in Python, with HTTP libraries that are not ours.
//!
//! The scripts are in `tests/scripts`. They need Debian's Python and its packages, so they run with
//! `/usr/bin/python3` and not with the first `python3` of the path. A script that plays the edge
//! prints a line for each case: `ok NAME` or `failed NAME: WHY`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::child::{self, Child};
use crate::{IpVersion, Lab, wait};

/// Debian's Python.
pub const PYTHON: &str = "/usr/bin/python3";
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
/// How long a script may run on a slow machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// Runs the script `name` in the namespace of the edge until it ends. It gets the address of aop,
/// the certificates of the edge and `arguments`. Returns the names of its cases.
///
/// # Errors
/// When a case fails, or the script itself.
pub fn run_as_edge(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Vec<String>> {
    let mut command = lab.edge().command(PYTHON);
    command.args(line(name)).arg("--address");
    command.arg(lab.origin_at(IpVersion::V4, 443).to_string());
    command.arg("--ca").arg(&lab.pki.server_ca);
    command.arg("--certificate").arg(&lab.pki.edge.certificate);
    command.arg("--key").arg(&lab.pki.edge.key).args(arguments);
    let report = child::finish(command, &[], PATIENCE)?;
    cases(name, report.code, &report.text(), &report.errors)
}

/// The names of the cases of a script that has ended, from what it printed.
fn cases(name: &str, code: i32, text: &str, errors: &str) -> Result<Vec<String>> {
    let failed: Vec<&str> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
    ensure!(failed.is_empty() && code == 0, "{name}: {}\n{errors}", failed.join("\n"));
    Ok(text.lines().filter_map(|line| line.strip_prefix("ok ")).map(str::to_owned).collect())
}

/// Runs the script `name` in the namespace of the origin. Once it has printed the line `loaded`,
/// calls `act`, and waits until the script ends. Returns the names of its cases.
///
/// # Errors
/// When a case fails, or the script itself, or `act`.
pub fn run_on_origin(
    lab: &Lab,
    name: &str,
    arguments: &[&str],
    act: impl FnOnce() -> Result<()>,
) -> Result<Vec<String>> {
    const LOADED: &str = "loaded";
    let mut child = start_on_origin(lab, name, arguments)?;
    wait::until(&format!("{name} is {LOADED}"), PATIENCE, || {
        (child.log().lines().any(|line| line == LOADED) || child.ended().is_some()).then_some(())
    })
    .with_context(|| child.log())?;
    act()?;
    let code = child.wait(PATIENCE)?.code().unwrap_or(1);
    let lines: Vec<String> =
        child.log().lines().filter(|line| *line != LOADED).map(str::to_owned).collect();
    cases(name, code, &lines.join("\n"), "")
}

/// Starts the script `name` in the namespace of the origin, and waits until it prints `listens`.
///
/// # Errors
/// When it does not listen within 20 seconds.
pub fn serve_on_origin(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Child> {
    let mut child = start_on_origin(lab, name, arguments)?;
    let listens = wait::until(&format!("{name} listens"), Duration::from_secs(20), || {
        let listens = child.log().lines().any(|line| line == "listens");
        (listens || child.ended().is_some()).then_some(listens)
    });
    ensure!(listens.with_context(|| child.log())?, "{name} has ended: {}", child.log());
    Ok(child)
}

fn start_on_origin(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Child> {
    let mut words = vec![PathBuf::from(PYTHON)];
    words.extend(line(name).map(PathBuf::from));
    words.extend(arguments.iter().map(PathBuf::from));
    Child::serve(lab.origin(), &words, &lab.dir().join(format!("{name}.log")))
}

/// Whether Debian's Python has all of these modules.
#[must_use]
pub fn has_modules(modules: &[&str]) -> bool {
    let mut python = Command::new(PYTHON);
    python.arg("-c").arg(format!("import {}", modules.join(", ")));
    child::finish(python, &[], Duration::from_secs(30)).is_ok_and(|done| done.code == 0)
}

/// `-u`: lines are written at once. `-B`: no compiled files beside the scripts.
fn line(name: &str) -> [String; 3] {
    ["-u".to_owned(), "-B".to_owned(), format!("{FOLDER}/{name}.py")]
}
