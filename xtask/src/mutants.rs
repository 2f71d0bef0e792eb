//! `mutants`: changes the code of a package in one place at a time with cargo-mutants, and expects
//! a test of that package to fail.
//!
//! `.cargo/mutants.toml` lists the changes that no test can tell from the original, each with the
//! reason.

use std::io::{IsTerminal, stdout};

use anyhow::{Context, Result, bail};

use crate::{command, workspace};

/// The exit codes of cargo-mutants.
const MISSED: i32 = 2;
const TIMED_OUT: i32 = 3;
const ALREADY_FAILS: i32 = 4;

pub(crate) fn run(package: &str, arguments: &[String]) -> Result<()> {
    ensure_installed()?;
    // cargo-mutants itself finds nothing to change in a package that does not exist, and succeeds.
    command::output(command::cargo("pkgid").arg(package))
        .with_context(|| format!("there is no package {package:?}; they are named aop-NAME"))?;
    let folder = workspace::target().join("mutants").join(package);
    let mut mutants = command::cargo("mutants");
    // Each change is built in a copy of the tree, with a target directory of its own.
    mutants.env_remove("CARGO_TARGET_DIR");
    // No change is ever debugged, and without this it builds in two thirds of the time.
    mutants.env("CARGO_PROFILE_DEV_DEBUG", "0");
    mutants.args(["--package", package, "--output"]).arg(&folder);
    if !stdout().is_terminal() {
        // Only a terminal gets a progress bar: elsewhere, a line for each change shows progress.
        mutants.args(["--caught", "--unviable"]);
    }
    mutants.args(arguments);
    eprintln!("+ {}", command::line(&mutants));
    let status = mutants.status().context("cannot start cargo")?;
    let lists = workspace::short(&folder.join("mutants.out")).to_string();
    outcome(status.code(), package, &lists)
}

fn ensure_installed() -> Result<()> {
    let version = command::cargo("mutants").arg("--version").output();
    if !version.context("cannot start cargo")?.status.success() {
        bail!("cargo-mutants is not installed: run `cargo install --locked cargo-mutants`");
    }
    Ok(())
}

/// The result of a run that ended with `code`, and left its lists in the folder `lists`.
fn outcome(code: Option<i32>, package: &str, lists: &str) -> Result<()> {
    match code {
        Some(0) => Ok(()),
        Some(MISSED) => bail!(
            "the tests of {package} miss the changes in {lists}/missed.txt: write a test for each, \
             or list it in .cargo/mutants.toml with the reason why no test can notice it"
        ),
        Some(TIMED_OUT) => bail!(
            "with the changes in {lists}/timeout.txt, the tests of {package} do not end: give the \
             loop a bound, or a test that fails earlier"
        ),
        Some(ALREADY_FAILS) => bail!(
            "the tests of {package} fail without any change: run `cargo test -p {package}`, or \
             see {lists}/log/baseline.log"
        ),
        Some(code) => bail!("cargo-mutants failed with exit code {code}"),
        None => bail!("a signal ended cargo-mutants"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_in_which_every_change_fails_a_test_is_a_success() {
        assert!(outcome(Some(0), "aop-common", "lists").is_ok());
        for code in [Some(1), Some(MISSED), Some(TIMED_OUT), Some(ALREADY_FAILS), Some(70), None] {
            assert!(outcome(code, "aop-common", "lists").is_err(), "{code:?}");
        }
    }

    #[test]
    fn changes_that_were_missed_are_an_error_that_names_the_lists_and_both_cures() {
        let error = outcome(Some(MISSED), "aop-common", "lists").unwrap_err().to_string();
        for part in ["aop-common", "lists/missed.txt", "write a test", ".cargo/mutants.toml"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}
