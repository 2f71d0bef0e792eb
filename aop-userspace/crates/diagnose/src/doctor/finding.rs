//! Constructors of findings.

use aop_api::{Finding, FindingOutcome as Outcome};
use aop_types::Refusal;

/// The errors that Cloudflare shows to visitors.
pub(super) mod visitor {
    pub(crate) const NOTHING: &str = "nothing";
    pub(crate) const REFUSED: &str = "521 (the origin refuses the connection)";
    pub(crate) const SILENCE: &str = "522 (the origin's port is silent)";
    pub(crate) const TLS: &str = "520 or 525 (the TLS handshake fails)";
    pub(crate) const CERTIFICATE: &str = "526 under Full (strict) (the server certificate is bad)";
    pub(crate) const PLAIN: &str = "400 (this port speaks TLS)";
}

/// A finding that something is as it should be.
pub(super) fn good(name: &str, said: impl Into<String>) -> Finding {
    new(name, Outcome::Good, said.into())
}

/// A finding that something must be corrected.
pub(super) fn wrong(
    name: &str,
    said: impl Into<String>,
    visitor: &str,
    cure: impl Into<String>,
) -> Finding {
    let (visitor, cure) = (visitor.to_owned(), Some(cure.into()));
    Finding { visitor, cure, ..new(name, Outcome::Wrong, said.into()) }
}

/// A finding that may be intended, but that an operator should know.
pub(super) fn notice(name: &str, said: impl Into<String>) -> Finding {
    new(name, Outcome::Told, said.into())
}

/// A check that was not done, with the reason.
pub(super) fn untried(name: &str, why: impl Into<String>) -> Finding {
    new(name, Outcome::Untried, why.into())
}

fn new(name: &str, result: Outcome, said: String) -> Finding {
    Finding {
        group: String::new(),
        name: name.to_owned(),
        result,
        about: None,
        said,
        evidence: Vec::new(),
        visitor: visitor::NOTHING.to_owned(),
        cure: None,
        commands: Vec::new(),
    }
}

/// The optional parts of a finding.
pub(super) trait FindingExt: Sized {
    /// Sets the subject: an interface, a port, a site or a file.
    fn about(self, what: impl ToString) -> Self;
    /// Adds a piece of evidence.
    fn seen(self, evidence: impl Into<String>) -> Self;
    /// Adds each piece of evidence.
    fn seen_all(self, evidence: impl IntoIterator<Item = String>) -> Self;
    /// Sets the commands of the cure, separated by `; `.
    fn commands(self, commands: &str) -> Self;
    /// Sets the cure to [`Refusal::help`], with its commands listed separately.
    fn with_help_of(self, refusal: Refusal) -> Self;
    /// Sets the cure.
    fn cure(self, how: impl Into<String>) -> Self;
}

impl FindingExt for Finding {
    fn about(self, what: impl ToString) -> Self {
        Self { about: Some(what.to_string()), ..self }
    }

    fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    fn seen_all(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    fn commands(self, commands: &str) -> Self {
        Self { commands: commands.split("; ").map(str::to_owned).collect(), ..self }
    }

    fn with_help_of(self, refusal: Refusal) -> Self {
        let help = refusal.help().unwrap_or("see the log of aop");
        match refusal.commands() {
            None => self.cure(help),
            Some(commands) => {
                let words = help.strip_suffix(commands).unwrap_or(help);
                self.cure(words.trim_end()).commands(commands)
            }
        }
    }

    fn cure(self, how: impl Into<String>) -> Self {
        Self { cure: Some(how.into()), ..self }
    }
}
