//! Runs one emulated machine until a deadline, and reads its console.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Kernel,
    cards::{self, Card},
    initramfs::{BOOTED, DONE},
};
use crate::test::Outcome;

pub(super) const QEMU: &str = "qemu-system-x86_64";

/// How many lines of the console are shown after a failure.
const LAST_LINES: usize = 80;
const PAUSE: Duration = Duration::from_millis(200);

/// The tests that run in a machine.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Tests {
    /// All, and one of them reports the verified instructions.
    All,
    /// Those that match a filter.
    Some,
}

impl Tests {
    pub(super) fn of(filter: &[String]) -> Self {
        if filter.is_empty() { Self::All } else { Self::Some }
    }
}

/// A machine's tests and their time.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    pub(super) tests: Tests,
    /// The time limit from power-on to power-off.
    pub(super) within: Duration,
}

/// The results, read from the console.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Course {
    /// From power-on until the tests started.
    pub(super) booted: Option<Duration>,
    pub(super) instructions: Option<u32>,
    /// The line of each test.
    pub(super) tests: Vec<String>,
    pub(super) outcome: Outcome,
    /// Why the tests did not finish, or which result is missing.
    pub(super) complaint: Option<&'static str>,
    /// The last lines of the console.
    pub(super) end: String,
}

/// A machine with a kernel, an initramfs and cards. Its input is the lines that make the links of
/// the cards.
pub(super) fn with_cards(kernel: &Kernel, initramfs: &Path, cards: &[Card]) -> Result<Command> {
    // The network namespace of the cards is gone when QEMU ends.
    let mut qemu = Command::new("unshare");
    qemu.args(["--net", "--", "sh", "-c", r#"ip -batch - && exec "$@" </dev/null"#, "sh", QEMU]);
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"]);
    qemu.args(["-smp", "2", "-m", "2048", "-nodefaults"]);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 net.ifnames=0"]);
    qemu.arg("-kernel").arg(kernel.image()?).arg("-initrd").arg(initramfs);
    qemu.args(cards::options(cards));
    Ok(qemu)
}

/// Runs a machine with this input, and its console in the file `log`.
///
/// # Errors
/// The machine cannot be started. The result names what fails in a machine that runs.
pub(super) fn run(
    mut qemu: Command,
    input: &str,
    log: &Path,
    expected: Expected,
) -> Result<Course> {
    let console = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    qemu.args(["-display", "none", "-no-reboot", "-serial", "stdio"]);
    qemu.stdin(Stdio::piped()).stdout(console.try_clone()?).stderr(console);
    let started = Instant::now();
    let spawned = qemu.spawn();
    let mut machine = spawned.with_context(|| format!("cannot start {:?}", qemu.get_program()))?;
    let mut lines = machine.stdin.take().context("no input")?;
    lines.write_all(input.as_bytes()).context("cannot write to the machine")?;
    drop(lines);
    let booted = watch(&mut machine, log, started + expected.within);
    let ended = machine.try_wait().context("lost track of qemu")?.is_some();
    if !ended {
        machine.kill().context("cannot stop qemu")?;
        machine.wait().context("lost track of qemu")?;
    }
    let console = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let mut course = Course::read(&String::from_utf8_lossy(&console), ended, expected.tests);
    course.booted = booted;
    Ok(course)
}

/// Waits until the machine is off or the time limit has passed; returns when the tests started.
fn watch(machine: &mut Child, log: &Path, deadline: Instant) -> Option<Duration> {
    let started = Instant::now();
    let mut booted = None;
    while Instant::now() < deadline && matches!(machine.try_wait(), Ok(None)) {
        if booted.is_none() && fs::read(log).is_ok_and(|console| has(&console, BOOTED)) {
            booted = Some(started.elapsed());
        }
        thread::sleep(PAUSE);
    }
    booted
}

fn has(console: &[u8], marker: &str) -> bool {
    console.windows(marker.len()).any(|window| window == marker.as_bytes())
}

impl Course {
    /// Reads a console. Tests that do not finish count as one failure.
    fn read(console: &str, ended: bool, tests: Tests) -> Self {
        let mut course = Self::default();
        let (mut done, mut crashed) = (false, false);
        for line in console.lines().map(str::trim_end) {
            course.outcome += Outcome::of_result_line(line).unwrap_or_default();
            if line.starts_with("test ") && line.contains(" ... ") {
                course.tests.push(line.to_owned());
            }
            if let Some(count) = line.strip_prefix("verified instructions: ") {
                course.instructions = count.parse().ok();
            }
            if let Some(codes) = line.strip_prefix(DONE) {
                done = true;
                crashed = codes.split_whitespace().any(|code| code != "0");
            }
        }
        let lines: Vec<&str> = console.lines().map(str::trim_end).collect();
        course.end = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        course.complaint = match (ended, done) {
            (_, true) if crashed && course.outcome.failed == 0 => Some("a test program failed"),
            (_, true) if course.instructions.is_none() && tests == Tests::All => {
                Some("the tests do not report the verified instructions")
            }
            (_, true) => None,
            (true, false) => Some("the kernel stopped before the tests finished"),
            (false, false) => Some("the tests did not finish in time"),
        };
        course.outcome.failed += usize::from(course.complaint.is_some());
        course
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "[    1.2] something\r\naop-kernels: booted 6.1.0\r\n\r\n\
        running 2 tests\r\ntest a ... ok\r\ntest b ... FAILED\r\n\
        verified instructions: 14112\r\n\
        test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\r\n";

    #[test]
    fn tests_instructions_and_counts_are_read_from_the_console() {
        let course = Course::read(&format!("{CONSOLE}aop-kernels: done 101\r\n"), true, Tests::All);
        assert_eq!(course.tests, ["test a ... ok", "test b ... FAILED"]);
        assert_eq!(course.instructions, Some(14112));
        assert_eq!(course.outcome, Outcome { passed: 1, failed: 1, skipped: 0 });
        assert_eq!(course.complaint, None);
    }

    #[test]
    fn a_missing_report_of_the_instructions_is_a_failure() {
        let console = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\r\n\
            aop-kernels: done 0\r\n";
        let course = Course::read(console, true, Tests::All);
        assert_eq!(course.outcome, Outcome { passed: 2, failed: 1, skipped: 0 });
        assert_eq!(Course::read(console, true, Tests::Some).outcome.failed, 0);
        assert!(course.end.ends_with("aop-kernels: done 0"));
    }

    #[test]
    fn a_test_program_that_crashes_is_a_failure() {
        let console = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\r\n\
            aop-kernels: done 0 137\r\n";
        assert_eq!(Course::read(console, true, Tests::Some).outcome.failed, 1);
    }

    #[test]
    fn a_machine_that_stops_or_hangs_is_a_failure() {
        for ended in [true, false] {
            let course = Course::read("[    1.2] Kernel panic\r\n", ended, Tests::All);
            assert_eq!(course.outcome, Outcome { passed: 0, failed: 1, skipped: 0 });
            assert!(course.complaint.is_some());
        }
    }
}
