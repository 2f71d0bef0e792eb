//! `test`: runs all tests of the workspace in three parts. At the end it prints the failures and a
//! line of counts.
//!
//! The kernel and e2e parts need privilege; without it, their tests are listed and counted as
//! skipped. So are tests that need published data if `AOP_SHARED_DATA` names no folder. If no test
//! runs, that is a failure.

mod failures;
mod outcome;
mod targets;

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use failures::Failures;
pub(crate) use outcome::Outcome;

use crate::{
    command, decoder,
    launch::{self, AOP_BIN, Profile},
    object, packages,
    privilege::Privilege,
    promtool, workspace,
};

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Part {
    /// Unit, property and documentation tests, which need no privilege
    Unit,
    /// Tests of the loaded packet program, frame by frame
    Kernel,
    /// Tests with real packets and handshakes between network namespaces
    E2e,
}

/// Tests with this in their name read published data from the folder that [`SHARED_DATA`] names.
const NEEDS_DATA: &str = "shared_data";
const SHARED_DATA: &str = "AOP_SHARED_DATA";

pub(crate) fn run(part: Option<Part>, filter: &[String]) -> Result<()> {
    let parts = part.map_or(vec![Part::Unit, Part::Kernel, Part::E2e], |part| vec![part]);
    let lacking = Privilege::current()?.lacking_for_tests();
    let privileged = parts.iter().any(|part| part.is_privileged());
    if privileged && lacking.is_none() {
        packages::ensure()?;
        if parts.contains(&Part::E2e) {
            packages::ensure_for(&packages::OTHER_SOFTWARE)?;
        }
        decoder::ensure();
        promtool::ensure();
        object::refresh()?;
    }

    let (mut total, mut failures) = (Outcome::default(), Failures::default());
    for part in parts {
        let start = Instant::now();
        let outcome = match &lacking {
            Some(lacking) if part.is_privileged() => part.skip(filter, lacking)?,
            Some(_) | None => part.run(filter, &mut failures)?,
        };
        println!("== {}: {outcome} in {:.1} s", part.name(), start.elapsed().as_secs_f32());
        total += outcome;
    }
    println!("{failures}\n{total}");

    if total.failed > 0 {
        bail!("failed tests: {}", total.failed);
    }
    if total.passed == 0 {
        bail!("no test ran");
    }
    match lacking {
        Some(lacking) if privileged && env::var_os("CI").is_some_and(|ci| ci == "true") => {
            bail!("the privileged tests were skipped ({lacking}), which CI=true forbids")
        }
        Some(_) | None => Ok(()),
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Kernel => "kernel",
            Self::E2e => "e2e",
        }
    }

    fn is_privileged(self) -> bool {
        self != Self::Unit
    }

    fn run(self, filter: &[String], failures: &mut Failures) -> Result<Outcome> {
        println!("== {}", self.name());
        let mut options: Vec<OsString> = filter.iter().map(OsString::from).collect();
        let mut outcome = Outcome::default();
        if let Some(why) = no_data() {
            for mut cargo in self.commands()? {
                cargo.args(["--", "--list", NEEDS_DATA]);
                outcome += skip(&mut cargo, &why)?;
            }
            options.extend(["--skip".into(), NEEDS_DATA.into()]);
        }
        if self == Self::E2e {
            launch::build_next_layout()?;
            launch::build(Profile::Debug, &["aop"])?;
            options.push("--test-threads=4".into());
        }
        for mut cargo in self.commands()? {
            outcome += stream(cargo.arg("--").args(&options), failures)?;
        }
        Ok(outcome)
    }

    /// Lists the tests that would have run.
    fn skip(self, filter: &[String], lacking: &str) -> Result<Outcome> {
        println!("== {}, skipped: {lacking}", self.name());
        let mut outcome = Outcome::default();
        for mut cargo in self.commands()? {
            outcome += skip(cargo.args(["--", "--list"]).args(filter), lacking)?;
        }
        Ok(outcome)
    }

    fn commands(self) -> Result<Vec<Command>> {
        let test = || command::cargo("test");
        Ok(match self {
            Self::Unit => {
                let mut code = test();
                code.args(["--no-fail-fast", "--lib", "--bins"]);
                code.args(targets::unprivileged()?.iter().flat_map(|name| ["--test", name]));
                let mut documentation = test();
                documentation.args(["--no-fail-fast", "--doc"]);
                vec![code, documentation]
            }
            Self::Kernel | Self::E2e => {
                let mut code = test();
                code.args(["--test", self.name()]);
                code.env(AOP_BIN, workspace::target().join("debug/aop"));
                code.env(decoder::FOLDER, decoder::folder());
                code.env(promtool::PROGRAM, promtool::program());
                vec![code]
            }
        })
    }
}

/// Runs tests, and prints their output as it arrives.
fn stream(cargo: &mut Command, failures: &mut Failures) -> Result<Outcome> {
    let started = cargo.stdout(Stdio::piped()).spawn();
    let mut child = started.with_context(|| format!("cannot start `{}`", command::line(cargo)))?;
    let mut outcome = Outcome::default();
    if let Some(output) = child.stdout.take() {
        for text in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            outcome += Outcome::of_result_line(&text).unwrap_or_default();
            failures.read(&text);
        }
    }
    let status = child.wait().context("lost track of `cargo test`")?;
    if !status.success() && outcome.failed == 0 {
        println!("`cargo test` ended early ({status}): counted as one failure");
        outcome.failed += 1;
    }
    Ok(outcome)
}

/// Lists tests, and counts them as skipped.
fn skip(list: &mut Command, why: &str) -> Result<Outcome> {
    let list = command::output(list)?;
    let names = outcome::listed(&list);
    for name in &names {
        println!("test {name} ... skipped: {why}");
    }
    Ok(Outcome { skipped: names.len(), ..Outcome::default() })
}

/// Why there is no folder of published data, if there is none.
fn no_data() -> Option<String> {
    match env::var_os(SHARED_DATA).map(PathBuf::from) {
        None => Some(format!("{SHARED_DATA} is not set")),
        Some(folder) if folder.is_dir() => None,
        Some(folder) => Some(format!("{SHARED_DATA}: no folder {}", folder.display())),
    }
}
