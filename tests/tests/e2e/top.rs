//! `aop top` in a pseudoterminal.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Process, Pull, Terminal, child, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{SOON, Stage, on_stage};

/// The sequences that switch to the alternate screen and back, and that show the cursor.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const CURSOR: &str = "\u{1b}[?25h";

/// `aop top` on a terminal of 24 rows.
struct TopScreen(Terminal);

impl TopScreen {
    fn open(stage: &Stage, name: &str, every: &str) -> Result<Self> {
        let aop = stage.daemon.program().display();
        let config = stage.daemon.config_path();
        let line = format!(
            "stty rows 24 cols 80; {aop} top --interval 200ms --every {every} --config {}; \
             echo \"exit code $?\"; stty -a | grep -o -- '-*icanon'",
            config.display()
        );
        let script = stage.lab.origin().command("script");
        Ok(Self(Terminal::open(script, &line, &stage.lab.dir().join(name))?))
    }

    fn seen(&self) -> String {
        self.0.seen()
    }

    fn shows(&self, words: &[&str]) -> Result<()> {
        wait::until(&format!("it shows {words:?}"), SOON, || {
            let screen = screen(&self.seen());
            words.iter().all(|word| screen.contains(word)).then_some(())
        })
        .with_context(|| screen(&self.seen()))
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        self.0.press(keys)
    }

    /// The terminal is restored, and aop has exited with code 0.
    fn is_restored(&mut self) -> Result<()> {
        self.0.end(SOON)?;
        let seen = self.seen();
        let end = seen
            .rfind(LEAVE)
            .with_context(|| format!("the alternate screen is not left: {seen:?}"))?;
        let after = &seen[end..];
        ensure!(seen.find(ENTER).is_some_and(|begin| begin < end), "{seen:?}");
        ensure!(after.contains("exit code 0"), "{after:?}");
        // Canonical mode is on again.
        ensure!(after.contains("icanon") && !after.contains("-icanon"), "{after:?}");
        ensure!(seen.contains(CURSOR) && !seen.contains("panicked"), "{seen:?}");
        Ok(())
    }
}

#[test]
fn top_shows_reasons_strangers_and_peers_and_restores_the_terminal_on_q() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let bad = Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate();
        stage.refuses(&bad, "certificate_required")?;
        let mut terminal = TopScreen::open(stage, "typescript", "1")?;
        terminal.shows(&[
            "ENFORCING",
            "pulls accepted",
            "certificate_required",
            "eth0 enforcing",
        ])?;

        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        terminal.shows(&["unknown_source"])?;
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        terminal.press("2")?;
        terminal.shows(&[&stranger])?;
        stage.daemon.verb(&["drops", "--for", "100ms"])?.success()?;
        terminal.shows(&["ended the sampling"])?;
        let edge = stage.lab.edge_address(IpVersion::V4).to_string();
        terminal.press("\t")?;
        terminal.shows(&[&edge])?;
        terminal.press("q")?;
        terminal.is_restored()
    });
}

#[test]
fn top_restores_the_terminal_on_signals_and_reports_that_another_top_samples_the_drops() {
    on_stage(|stage| {
        let mut first = TopScreen::open(stage, "first", "16")?;
        first.shows(&["ENFORCING"])?;
        let mut second = TopScreen::open(stage, "second", "16")?;
        second.press("2")?;
        second.shows(&["another program follows the drops"])?;
        for (terminal, signal) in [(&mut first, Signal::SIGTERM), (&mut second, Signal::SIGHUP)] {
            let top = descendant(terminal.0.pid(), "top")?;
            kill(Pid::from_raw(i32::try_from(top.0)?), signal)?;
            terminal.is_restored()?;
        }
        stage.daemon.kill();
        let mut alone = TopScreen::open(stage, "alone", "16")?;
        alone.shows(&["NO DAEMON", "aop is not running"])?;
        alone.press("\u{1b}")?;
        alone.is_restored()
    });
}

/// The text on a terminal after the output `written`. Interprets only text and cursor positions.
fn screen(written: &str) -> String {
    let mut rows = vec![[' '; 80]; 24];
    let (mut row, mut column) = (0, 0);
    let mut rest = written.split_once(ENTER).map_or("", |(_, after)| after);
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        if let Some(sequence) = rest.strip_prefix('[').filter(|_| letter == '\u{1b}') {
            let Some(end) = sequence.find(|letter: char| letter.is_ascii_alphabetic()) else {
                break;
            };
            let numbers: Vec<usize> =
                sequence[..end].split(';').filter_map(|number| number.parse().ok()).collect();
            if let (Some("H"), [down, right]) = (sequence.get(end..=end), &numbers[..]) {
                (row, column) = (down.saturating_sub(1), right.saturating_sub(1));
            }
            rest = &sequence[end + 1..];
        } else if let Some(cell) = rows.get_mut(row).and_then(|row| row.get_mut(column)) {
            (*cell, column) = (letter, column + 1);
        }
    }
    let rows: Vec<String> = rows.iter().map(|row| row.iter().collect()).collect();
    rows.join("\n")
}

/// The process below `parent` whose first argument is `verb`.
fn descendant(parent: u32, verb: &str) -> Result<Process> {
    let is_it = |process: &Process| {
        process.command().is_ok_and(|line| line.get(1).is_some_and(|word| word == verb))
    };
    let found = Process(parent).with_descendants()?.into_iter().find(is_it);
    found.with_context(|| format!("no {verb} below process {parent}"))
}

#[test]
fn without_a_usable_terminal_top_names_the_alternative() {
    on_stage(|stage| {
        let piped = stage.daemon.verb(&["top"])?;
        ensure!(piped.code == 1 && piped.output.is_empty(), "{piped:?}");
        ensure!(piped.errors.contains("needs a terminal"), "{piped:?}");
        ensure!(piped.errors.contains("aop status --json"), "{piped:?}");
        let line = format!("{} top", stage.daemon.program().display());
        let mut dumb = Command::new("script");
        dumb.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("TERM", "dumb");
        let dumb = child::finish(dumb, &[], Duration::from_secs(10))?;
        let said = dumb.text();
        ensure!(dumb.code == 1 && said.contains("see `aop status`"), "{dumb:?} {said}");
        ensure!(!said.contains('\u{1b}'), "{said:?}");
        Ok(())
    });
}
