//! `kernels`: tests the packet program under other kernels than this machine's.
//!
//! Debian's cloud kernels boot under QEMU's software emulation, so this needs no virtualization and
//! installs no kernel. The initramfs of each kernel holds the kernel tests of aop-userspace and the
//! tools that they call: they show whether that kernel's verifier accepts the object and whether
//! the corpus gets its verdicts. The console is kept in `target/kernels/VERSION.log`.

mod archive;
mod cpio;
mod initramfs;
mod machine;
mod package;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use machine::Course;
use package::Kernel;
use serde_json::Value;

use crate::{command, object, packages, test::Outcome, workspace};

/// The tested kernel series: the oldest that is supported, and a newer one. Debian 12 has both.
const SERIES: [&str; 2] = ["6.1", "6.12"];

pub(crate) fn run(only: Option<&str>) -> Result<()> {
    if let Some(unknown) = only.filter(|series| !SERIES.contains(series)) {
        bail!("there is no kernel {unknown:?} here; there are {}", SERIES.join(" and "));
    }
    let kernels = prepare(only)?;
    object::refresh()?;
    let tests = kernel_tests()?;

    let mut machines = Vec::new();
    for kernel in &kernels {
        machines.push((kernel, initramfs::build(kernel, &tests)?));
    }
    // In parallel: each machine runs one test at a time, which keeps one processor busy.
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let boots: Vec<_> = machines
            .iter()
            .map(|(kernel, initramfs)| scope.spawn(|| boot(kernel, initramfs)))
            .collect();
        let lost = || Err(anyhow!("a machine's watcher panicked"));
        boots.into_iter().map(|boot| boot.join().unwrap_or_else(|_| lost())).collect()
    });
    let mut total = Outcome::default();
    for outcome in outcomes {
        total += outcome?;
    }
    println!("\n{total}");
    match total.failed {
        0 => Ok(()),
        failed => bail!("failed tests: {failed}"),
    }
}

/// Installs and fetches what [`run`] needs.
pub(crate) fn setup() -> Result<()> {
    prepare(None).map(drop)
}

/// Installs the tools and fetches the kernels. A kernel that cannot be fetched is an error:
/// untested is not supported.
fn prepare(only: Option<&str>) -> Result<Vec<Kernel>> {
    packages::ensure_for(&packages::KERNELS)?;
    let wanted = SERIES.iter().filter(|series| only.is_none_or(|only| only == **series));
    wanted
        .map(|series| {
            package::fetch(series)
                .with_context(|| format!("there is no kernel {series} to test with"))
        })
        .collect()
}

/// Boots a kernel, and prints its report in one piece.
fn boot(kernel: &Kernel, initramfs: &Path) -> Result<Outcome> {
    let started = Instant::now();
    let course = machine::run(kernel, initramfs)?;
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

/// Builds the kernel tests and returns their path.
fn kernel_tests() -> Result<PathBuf> {
    let mut cargo = command::cargo("test");
    cargo.args(["--no-run", "--quiet", "--test", "kernel", "--message-format=json"]);
    let text = command::output(&mut cargo)?;
    let executable = text.lines().find_map(executable_of_tests);
    executable.context("cargo does not report the path of the kernel tests")
}

fn executable_of_tests(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_it = message.pointer("/target/name")? == "kernel";
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
    fn the_executable_is_that_of_the_kernel_tests() {
        let line = |name| format!(r#"{{"target":{{"name":"{name}"}},"executable":"/t/{name}-1"}}"#);
        assert_eq!(executable_of_tests(&line("kernel")), Some(PathBuf::from("/t/kernel-1")));
        assert_eq!(executable_of_tests(&line("aop")), None);
        assert_eq!(executable_of_tests("not JSON"), None);
    }
}
