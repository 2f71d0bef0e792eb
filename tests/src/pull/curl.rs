//! How a [`Pull`] is sent: with curl, and what its exit tells.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::pki::Identity;
use crate::{Outcome, child};

use super::{Pull, bracketed};

/// How long an answer may take once the connection stands.
const ANSWER: Duration = Duration::from_secs(20);
/// Separates what curl says about the pull from its other complaints.
const MARK: &str = "@pull@";

impl Pull {
    /// Makes the pull.
    ///
    /// # Errors
    /// When curl cannot be run; whatever the origin does is an [`Outcome`].
    pub fn send(&self) -> Result<Outcome> {
        let finished = child::finish(self.command(), &self.body, self.patience + ANSWER * 2)?;
        let report = finished.errors.lines().find_map(|line| line.strip_prefix(MARK));
        let report = report.with_context(|| format!("curl is too old? {}", finished.errors))?;
        let mut fields = report.split(' ');
        let mut field = || fields.next().unwrap_or_default();
        let status = field().parse().unwrap_or_default();
        let connected = field().parse::<u16>().is_ok_and(|port| port > 0);
        let (code, said) = (finished.code, &finished.errors);
        Ok(Outcome::of_curl(code, status, connected, finished.output, said))
    }

    fn command(&self) -> Command {
        let port = self.to.port();
        let mut command = self.from.command("curl");
        // -q first: no settings from the caller's home.
        command.args(["-q", "--silent", "--show-error", "--http1.1", "--noproxy", "*"]);
        command.arg("--connect-timeout").arg(self.patience.as_secs_f32().to_string());
        command.arg("--max-time").arg((self.patience + ANSWER).as_secs_f32().to_string());
        command
            .arg("--write-out")
            .arg(format!("%{{stderr}}\n{MARK}%{{http_code}} %{{local_port}}\n"));
        command.arg("--cacert").arg(&self.anchors);
        // An address in the place of a name resolves by itself.
        let address = bracketed(self.to.ip());
        if self.host != address {
            command.arg("--resolve").arg(format!("{}:{port}:{address}", self.host));
        }
        if let Some(Identity { certificate, key }) = &self.identity {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        command.args(&self.options);
        command.arg(format!("{}://{}:{port}{}", self.scheme, self.host, self.path));
        command
    }
}

/// Makes all `pulls` at the same time; outcomes come in their order.
///
/// # Errors
/// When curl cannot be run.
pub fn send_all(pulls: &[Pull]) -> Result<Vec<Outcome>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = pulls.iter().map(|pull| scope.spawn(|| pull.send())).collect();
        let ended = running
            .into_iter()
            .map(|pull| pull.join().unwrap_or_else(|_| anyhow::bail!("a pull panicked")));
        ended.collect()
    })
}
