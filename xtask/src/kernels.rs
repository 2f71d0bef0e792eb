//! `kernels`: tests the packet program under other kernels, and aop on network cards.
//!
//! Debian's kernels boot under QEMU's software emulation, so this needs no virtualization and
//! installs no kernel. The initramfs of each kernel holds two test programs and the tools that they
//! call. The kernel tests show whether that kernel's verifier accepts the object and whether the
//! corpus gets its verdicts; the card tests run aop itself on emulated network cards, and on bonds,
//! VLANs and other interfaces on top of them. The console is kept in `target/kernels/VERSION.log`.

mod archive;
mod arm64;
mod cards;
mod cpio;
mod initramfs;
mod machine;
mod modules;
mod package;

use std::{
    fs,
    num::NonZero,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use cards::Card;
use machine::{Course, Expected, Tests};
use package::Kernel;
use serde_json::Value;

use crate::{
    command,
    launch::{self, Profile},
    object, packages,
    test::Outcome,
    workspace,
};

/// A tested kernel series.
struct Series {
    name: &'static str,
    /// The beginning of its versions.
    version: &'static str,
    /// The release of Debian that has it, unless this machine's has.
    release: &'static str,
    /// Debian's name of the architecture.
    architecture: &'static str,
    /// Whether the card tests run under it, too, if all series are tested: they take minutes.
    cards: bool,
}

/// The oldest kernel that is supported, that of Debian 13, and the newest that Debian builds for a
/// stable release.
const SERIES: [Series; 3] = [
    series("6.1", "6.1.", "bookworm"),
    series("6.12", "6.12.", "bookworm"),
    Series { cards: false, ..series("newest", "", "trixie-backports") },
];

const fn series(name: &'static str, version: &'static str, release: &'static str) -> Series {
    Series { name, version, release, architecture: "amd64", cards: true }
}

/// The time limit from power-on to power-off, with room for other load on this machine. Emulation
/// is about thirty times slower than the machine itself.
const TIME_LIMIT: Duration = Duration::from_secs(1800);

/// Boots the machine for arm64.
pub(crate) fn run_arm64(filter: &[String]) -> Result<()> {
    arm64::run(filter)
}

pub(crate) fn run(only: Option<&str>, filter: &[String]) -> Result<()> {
    let names = SERIES.map(|series| series.name);
    if let Some(unknown) = only.filter(|only| !names.contains(only)) {
        bail!("there is no kernel {unknown:?} here; there are {}", names.join(", "));
    }
    let kernels = prepare(only)?;
    object::refresh()?;
    let programs = TestPrograms::build()?;
    let cards = cards::available()?;

    let mut machines = Vec::new();
    for (series, kernel) in kernels {
        let cards = if series.cards || only.is_some() { &cards[..] } else { &[] };
        let initramfs = initramfs::build(&kernel, &programs, cards, filter)?;
        machines.push(EmulatedMachine { kernel, initramfs, cards });
    }
    let total = boot_all(&machines, Tests::of(filter))?;
    println!("\n{total}");
    match total.failed {
        0 if total.passed == 0 => bail!("no test ran"),
        0 => Ok(()),
        failed => bail!("failed tests: {failed}"),
    }
}

/// A machine that is not booted yet.
struct EmulatedMachine<'a> {
    kernel: Kernel,
    initramfs: PathBuf,
    cards: &'a [Card],
}

/// Boots the machines, as many at a time as there are processors: the tests in a machine keep one
/// processor busy.
fn boot_all(machines: &[EmulatedMachine<'_>], tests: Tests) -> Result<Outcome> {
    let waiting = Mutex::new(machines.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<Outcome> {
        let mut total = Outcome::default();
        while let Some(machine) = next() {
            total += boot(machine, tests)?;
        }
        Ok(total)
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let lost = || Err(anyhow!("a machine's watcher panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| lost())).collect()
    });
    outcomes.into_iter().try_fold(Outcome::default(), |mut total, outcome| {
        total += outcome?;
        Ok(total)
    })
}

/// Installs and fetches what [`run`] needs.
pub(crate) fn setup() -> Result<()> {
    prepare(None).map(drop)
}

/// Installs the tools and fetches the kernels. A kernel that cannot be fetched is an error:
/// untested is not supported.
fn prepare(only: Option<&str>) -> Result<Vec<(&'static Series, Kernel)>> {
    packages::ensure_for(&packages::KERNELS)?;
    let wanted = SERIES.iter().filter(|series| only.is_none_or(|only| only == series.name));
    wanted
        .map(|series| {
            let fetched = package::fetch(series)
                .with_context(|| format!("there is no kernel {} to test with", series.name));
            Ok((series, fetched?))
        })
        .collect()
}

/// Boots a kernel, and prints its report in one piece.
fn boot(machine: &EmulatedMachine<'_>, tests: Tests) -> Result<Outcome> {
    let EmulatedMachine { kernel, initramfs, cards } = machine;
    let started = Instant::now();
    let qemu = machine::with_cards(kernel, initramfs, cards)?;
    let course = machine::run(
        qemu,
        &cards::links(cards),
        &kernel.log(),
        Expected { tests, within: TIME_LIMIT },
    )?;
    fs::remove_file(initramfs).context("cannot remove the initramfs")?;
    println!("{}", report(kernel, &course, started.elapsed()));
    Ok(course.outcome)
}

fn report(kernel: &Kernel, course: &Course, took: Duration) -> String {
    let mut lines = vec![format!("== {}", kernel.version)];
    lines.extend(course.tests.iter().cloned());
    let Course { booted, instructions, outcome, complaint, .. } = course;
    lines.push(match booted {
        Some(booted) => format!("booted in {:.1} s", booted.as_secs_f32()),
        None => "did not boot".to_owned(),
    });
    lines.extend(instructions.map(|count| format!("verified instructions: {count}")));
    if outcome.failed > 0 {
        lines.push(format!("the end of the console:\n{}", course.end));
    }
    lines.extend(complaint.map(|complaint| {
        format!("{complaint}: counted as one failure; see {}", kernel.log().display())
    }));
    lines.push(format!("== {}: {outcome} in {:.1} s", kernel.version, took.as_secs_f32()));
    lines.join("\n")
}

/// The programs of this workspace that run in an emulated machine.
struct TestPrograms {
    kernel: PathBuf,
    cards: PathBuf,
    /// Those that the card tests start.
    started: Vec<PathBuf>,
}

impl TestPrograms {
    fn build() -> Result<Self> {
        let started = ["aop", "aop-upstream"];
        let folder = launch::build(Profile::Debug, &started)?;
        let mut cargo = command::cargo("test");
        cargo.args(["--no-run", "--quiet", "--test", "kernel", "--test", "cards"]);
        let text = command::output(cargo.arg("--message-format=json"))?;
        let started = started.map(|name| folder.join(name)).to_vec();
        let built = |name| Self::built(&text, name);
        Ok(Self { kernel: built("kernel")?, cards: built("cards")?, started })
    }

    /// The path of a test target, from cargo's messages.
    fn built(messages: &str, name: &str) -> Result<PathBuf> {
        let path = messages.lines().find_map(|line| executable(line, name));
        path.with_context(|| format!("cargo does not report the path of the tests {name:?}"))
    }
}

fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_it = message.pointer("/target/name")? == name;
    is_it.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
}

/// Runs a command, and shows its error output only if it fails.
fn run_silent(command: &mut Command) -> Result<()> {
    let output =
        command.output().with_context(|| format!("cannot start `{}`", command::line(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", command::line(command), said.trim());
    }
    Ok(())
}

/// The directory of the downloaded kernels and the consoles.
fn folder() -> PathBuf {
    workspace::target().join("kernels")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_that_of_the_test_target() {
        let line = |name| format!(r#"{{"target":{{"name":"{name}"}},"executable":"/t/{name}-1"}}"#);
        assert_eq!(executable(&line("kernel"), "kernel"), Some(PathBuf::from("/t/kernel-1")));
        assert_eq!(executable(&line("aop"), "kernel"), None);
        assert_eq!(executable("not JSON", "kernel"), None);
    }
}
