//! Sends a [`Pull`] with curl.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::pki::Credentials;
use crate::{PullOutcome, child};

use super::{Pull, bracketed};

/// How long a response may take after the connection is established.
const ANSWER: Duration = Duration::from_secs(20);
/// Marks the line that curl writes about the pull.
const MARK: &str = "@pull@";

impl Pull {
    /// Sends the pull.
    ///
    /// # Errors
    /// When curl cannot be run. Everything that the origin does is a [`PullOutcome`].
    pub fn send(&self) -> Result<PullOutcome> {
        let finished = child::finish(self.command(), &self.body, self.patience + ANSWER * 2)?;
        let report = finished.errors.lines().find_map(|line| line.strip_prefix(MARK));
        let report = report.with_context(|| format!("curl is too old? {}", finished.errors))?;
        let mut fields = report.split(' ');
        let mut field = || fields.next().unwrap_or_default();
        let status = field().parse().unwrap_or_default();
        let connected = field().parse::<u16>().is_ok_and(|port| port > 0);
        let (code, said) = (finished.code, &finished.errors);
        Ok(PullOutcome::of_curl(code, status, connected, finished.output, said))
    }

    /// Sends the pull, which must be served.
    ///
    /// # Errors
    /// When it has another outcome.
    pub fn must_be_served(&self) -> Result<PullOutcome> {
        self.must(PullOutcome::served, "served")
    }

    /// Sends the pull, which must be refused after TCP has connected.
    ///
    /// # Errors
    /// When it has another outcome.
    pub fn must_be_refused(&self) -> Result<PullOutcome> {
        self.must(PullOutcome::refused, "refused")
    }

    /// Sends the pull, which must get no answer at all.
    ///
    /// # Errors
    /// When it has another outcome.
    pub fn must_meet_silence(&self) -> Result<()> {
        self.must(PullOutcome::silent, "silence").map(drop)
    }

    fn must(&self, is_expected: fn(&PullOutcome) -> bool, expected: &str) -> Result<PullOutcome> {
        let outcome = self.send()?;
        ensure!(is_expected(&outcome), "not {expected} but {outcome}: {self:?}");
        Ok(outcome)
    }

    fn command(&self) -> Command {
        let port = self.to.port();
        let mut command = self.from.command("curl");
        // -q first: no settings from the home directory of the user.
        command.args(["-q", "--silent", "--show-error", "--http1.1", "--noproxy", "*"]);
        command.arg("--connect-timeout").arg(self.patience.as_secs_f32().to_string());
        command.arg("--max-time").arg((self.patience + ANSWER).as_secs_f32().to_string());
        command
            .arg("--write-out")
            .arg(format!("%{{stderr}}\n{MARK}%{{http_code}} %{{local_port}}\n"));
        command.arg("--cacert").arg(&self.anchors);
        // An IP address needs no name resolution.
        let address = bracketed(self.to.ip());
        if self.host != address {
            command.arg("--resolve").arg(format!("{}:{port}:{address}", self.host));
        }
        if let Some(Credentials { certificate, key }) = &self.credentials {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        command.args(&self.options);
        command.arg(format!("{}://{}:{port}{}", self.scheme, self.host, self.path));
        command
    }
}

/// Sends all `pulls` at the same time. The outcomes are in the order of the pulls.
///
/// # Errors
/// When curl cannot be run.
pub fn send_all(pulls: &[Pull]) -> Result<Vec<PullOutcome>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = pulls.iter().map(|pull| scope.spawn(|| pull.send())).collect();
        let ended = running
            .into_iter()
            .map(|pull| pull.join().unwrap_or_else(|_| anyhow::bail!("a pull panicked")));
        ended.collect()
    })
}
