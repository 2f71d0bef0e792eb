//! One walk through a document: does the steps of its plan, and reports each block.

use std::{
    fmt, fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    page::CodeBlock,
    peer::{Family, Outcome, Peer},
    plan::{Plan, Step},
    plans::start,
    world::World,
};
use crate::booted::Machine;

/// The time limit for something that a step expects.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(super) struct Score {
    used: u32,
    left: u32,
    pub(super) failed: u32,
}

impl Score {
    pub(super) fn add(&mut self, other: &Self) {
        self.used += other.used;
        self.left += other.left;
        self.failed += other.failed;
    }
}

impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { used, left, failed } = self;
        write!(out, "{used} blocks ok, {failed} FAILED, {left} not run")
    }
}

pub(super) struct Session {
    // Dropped before the network around it.
    machine: Machine,
    world: World,
    verbose: bool,
}

/// A block, and what went wrong with it or after it.
struct Current {
    name: String,
    complaints: Vec<String>,
}

impl Session {
    pub(super) fn new(world: World, machine: Machine, verbose: bool) -> Self {
        Self { machine, world, verbose }
    }

    pub(super) fn walk(mut self, plan: &Plan) -> Result<Score> {
        let steps = plan.matched()?;
        for step in plan.start {
            self.perform(step, None).with_context(|| format!("before {}", plan.document))?;
        }
        let installed = fs::read_to_string(self.machine.path(start::INSTALLATION));
        print!("{}", installed.context("no installation before the document")?);
        let document = format!("{}{}", plan.document, plan.variant);
        let (mut score, mut number) = (Score::default(), 0);
        let mut current: Option<Current> = None;
        for (step, block) in steps {
            if let Some(block) = &block {
                score.close(current.take());
                number += 1;
                let name = format!("{document} block {number} (line {})", block.line);
                if let Step::Leave(_, reason) = step {
                    println!("{name}: not run: {reason}");
                    score.left += 1;
                    continue;
                }
                current = Some(Current { name, complaints: Vec::new() });
            }
            if let Err(error) = self.perform(step, block.as_ref()) {
                let name = format!("{document} after block {number}");
                let current = current.get_or_insert(Current { name, complaints: Vec::new() });
                current.complaints.push(format!("{error:#}"));
            }
        }
        score.close(current);
        Ok(score)
    }

    fn perform(&mut self, step: &Step, block: Option<&CodeBlock>) -> Result<()> {
        let text = block.map_or("", |block| block.text.as_str());
        match step {
            Step::Type(_) => self.inside(text),
            Step::Write(_, path) => fs::write(self.machine.path(path), text).context(*path),
            Step::Append(_, path) => {
                let path = self.machine.path(path);
                let before = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                Ok(fs::write(&path, format!("{before}\n{text}"))?)
            }
            Step::Leave(..) => Ok(()),
            Step::Inside(script) => self.inside(script),
            Step::Outside(script) => {
                let answer = self.world.ask(script)?;
                ensure!(answer.good, "outside: {script}\n{}", answer.text);
                Ok(())
            }
            Step::Fetch(path) => {
                let from = self.machine.path(path);
                let name = from.file_name().context("no file")?;
                fs::copy(&from, self.world.path(&name.to_string_lossy())).context(*path)?;
                Ok(())
            }
            Step::Give(name, path) => {
                fs::copy(self.world.path(name), self.machine.path(path)).context(*path)?;
                Ok(())
            }
            Step::Expect(peer, port, outcome) => {
                let mut over = Family::BOTH.into_iter();
                over.try_for_each(|family| self.expect(*peer, family, *port, outcome))
            }
            Step::ExpectOver(family, peer, port, outcome) => {
                self.expect(*peer, *family, *port, outcome)
            }
            Step::Says(command, text) => self.says(command, text),
            Step::Reboot => self.machine.reboot(),
        }
    }

    fn inside(&self, script: &str) -> Result<()> {
        let answer = self.machine.ask(script)?;
        ensure!(answer.good, "{script}\n{}", answer.text);
        if self.verbose {
            println!("$ {}\n{}", script.trim_end(), answer.text);
        }
        Ok(())
    }

    fn expect(&self, peer: Peer, family: Family, port: u16, outcome: &Outcome) -> Result<()> {
        let begun = Instant::now();
        loop {
            let seen = self.world.pull(peer, family, port)?;
            if seen == *outcome {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "{peer:?} gets {seen} on port {port} over {family:?}, and should get {outcome}"
            );
            thread::sleep(Duration::from_millis(300));
        }
    }

    fn says(&self, command: &str, text: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let answer = self.machine.ask(command)?;
            if answer.text.contains(text) {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "`{command}` lacks {text:?}:\n{}", answer.text);
            thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Score {
    /// Counts and reports a block whose last step is done.
    fn close(&mut self, block: Option<Current>) {
        let Some(Current { name, complaints }) = block else { return };
        if complaints.is_empty() {
            println!("{name}: ok");
            self.used += 1;
            return;
        }
        self.failed += 1;
        println!("{name}: FAILED");
        for complaint in complaints {
            println!("    {}", complaint.trim_end().replace('\n', "\n    "));
        }
    }
}
