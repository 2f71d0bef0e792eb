//! The result of a check, as the checks make it.

use aop_api::{Finding, FindingGroup, FindingOutcome as Outcome, VisitorError};
use aop_types::Refusal;

/// A finding without its group: [`Finding`] says what the fields mean.
pub(super) struct CheckFinding {
    name: String,
    pub(super) outcome: Outcome,
    pub(super) about: Option<String>,
    said: String,
    evidence: Vec<String>,
    visitor: VisitorError,
    cure: Option<String>,
    commands: Vec<String>,
}

/// A finding that something is as it should be.
pub(super) fn good(name: &str, said: impl Into<String>) -> CheckFinding {
    new(name, Outcome::Good, said.into())
}

/// A finding that something must be corrected.
pub(super) fn wrong(
    name: &str,
    said: impl Into<String>,
    visitor: VisitorError,
    cure: impl Into<String>,
) -> CheckFinding {
    CheckFinding { visitor, ..new(name, Outcome::Wrong, said.into()) }.cure(cure)
}

/// A finding that may be intended, but that an operator should know.
pub(super) fn notice(name: &str, said: impl Into<String>) -> CheckFinding {
    new(name, Outcome::Told, said.into())
}

/// A check that was not done, with the reason.
pub(super) fn untried(name: &str, why: impl Into<String>) -> CheckFinding {
    new(name, Outcome::Untried, why.into())
}

fn new(name: &str, outcome: Outcome, said: String) -> CheckFinding {
    CheckFinding {
        name: name.to_owned(),
        outcome,
        about: None,
        said,
        evidence: Vec::new(),
        visitor: VisitorError::Nothing,
        cure: None,
        commands: Vec::new(),
    }
}

impl CheckFinding {
    /// The finding in the document, in the group of its check.
    pub(super) fn in_group(self, group: FindingGroup) -> Finding {
        let Self { name, outcome, about, said, evidence, visitor, cure, commands } = self;
        Finding { group, name, result: outcome, about, said, evidence, visitor, cure, commands }
    }

    /// Sets the subject: an interface, a port, a site or a file.
    pub(super) fn about(self, what: impl ToString) -> Self {
        Self { about: Some(what.to_string()), ..self }
    }

    /// Adds a piece of evidence.
    pub(super) fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// Adds each piece of evidence.
    pub(super) fn seen_all(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// Sets the commands of the cure, separated by `; `.
    pub(super) fn commands(self, commands: &str) -> Self {
        Self { commands: commands.split("; ").map(str::to_owned).collect(), ..self }
    }

    /// Sets the cure to [`Refusal::help`], with its commands listed separately.
    pub(super) fn with_help_of(self, refusal: Refusal) -> Self {
        let help = refusal.help().unwrap_or("see the log of aop");
        match refusal.commands() {
            None => self.cure(help),
            Some(commands) => {
                let words = help.strip_suffix(commands).unwrap_or(help);
                self.cure(words.trim_end()).commands(commands)
            }
        }
    }

    /// Sets the cure.
    pub(super) fn cure(self, how: impl Into<String>) -> Self {
        Self { cure: Some(how.into()), ..self }
    }
}
