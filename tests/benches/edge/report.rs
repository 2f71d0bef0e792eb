//! The lines of the result, and their sum.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;

use crate::cases::Verdict;
use crate::network::Way;

/// The name of a scenario takes this many columns.
const NAME: usize = 42;

/// The scenarios so far.
#[derive(Debug)]
pub(crate) struct Report {
    started: Instant,
    passed: usize,
    failed: Vec<String>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), passed: 0, failed: Vec::new() }
    }

    /// Prints the headline of a part.
    pub(crate) fn part(&self, text: &str) {
        println!("\n{text}");
    }

    /// Runs a case and prints its line: the verdict for each protocol between the edge and aop.
    ///
    /// # Errors
    /// Those of the case.
    pub(crate) fn case(
        &mut self,
        name: &str,
        perform: impl FnOnce() -> Result<[Verdict; 2]>,
    ) -> Result<()> {
        begin(name);
        let verdicts = perform()?;
        let words: Vec<String> = Way::THROUGH_AOP
            .iter()
            .zip(&verdicts)
            .map(|(way, verdict)| format!("{} {:<9}", way.name(), word(verdict)))
            .collect();
        println!(" {}", words.join(" ").trim_end());
        for (way, verdict) in Way::THROUGH_AOP.iter().zip(verdicts) {
            match verdict {
                Verdict::Same | Verdict::AsEdgeAlone => self.passed += 1,
                Verdict::NotMade => {}
                Verdict::Different(lines) => {
                    lines.iter().for_each(|line| println!("    {} {line}", way.name()));
                    self.failed.push(format!("{name}, {}", way.name()));
                }
            }
        }
        Ok(())
    }

    /// Prints the line of a scenario and what is wrong with it, if anything is.
    pub(crate) fn scenario(&mut self, name: &str, figures: &str, faults: &[String]) {
        begin(name);
        println!(" {figures}");
        for fault in faults {
            println!("    {fault}");
        }
        match faults.is_empty() {
            true => self.passed += 1,
            false => self.failed.push(name.to_owned()),
        }
    }

    /// Prints the sum. Returns whether everything passed.
    pub(crate) fn end(&self) -> bool {
        let seconds = self.started.elapsed().as_secs();
        println!("\n{} passed, {} failed in {seconds} s", self.passed, self.failed.len());
        if self.passed == 0 {
            println!("nothing ran");
        }
        self.failed.iter().for_each(|name| println!("  failed: {name}"));
        self.failed.is_empty() && self.passed > 0
    }
}

/// Prints the name before the scenario runs, so that one sees which one takes long.
fn begin(name: &str) {
    print!("  {name:<NAME$}");
    // A closed output is the reader's choice.
    std::io::stdout().flush().ok();
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "ok",
        Verdict::AsEdgeAlone => "ok (edge)",
        Verdict::NotMade => "edge cannot",
        Verdict::Different(_) => "DIFFERENT",
    }
}
