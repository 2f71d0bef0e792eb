//! The upstream: a real HTTP server that records who connects.
//!
//! It is a process (`aop-upstream`) in the namespace of the origin. It writes a line to its
//! connection log when it accepts a connection, before any byte. The claim "the upstream saw no
//! connection" is a claim about this log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::child::{self, Child};
use crate::{Lab, Netns, Process, wait};

/// A running upstream. It is killed when dropped.
#[derive(Debug)]
pub struct TestUpstream {
    child: Child,
    connection_log: PathBuf,
}

/// One connection that the upstream accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedConnection {
    /// The peer: an address, or `unix`.
    pub peer: String,
    /// The first bytes, once they came.
    pub first_bytes: Option<Vec<u8>>,
}

impl TestUpstream {
    /// An upstream on 127.0.0.1:8080.
    ///
    /// # Errors
    /// When it does not listen within ten seconds.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::listening(lab, "127.0.0.1:8080")
    }

    /// An upstream on `address`: `IP:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// When it does not listen within ten seconds.
    pub fn listening(lab: &Lab, address: &str) -> Result<Self> {
        Self::listening_in(lab, lab.origin(), address)
    }

    /// As [`TestUpstream::listening`], in another namespace of the lab.
    ///
    /// # Errors
    /// When it does not listen within ten seconds.
    pub fn listening_in(lab: &Lab, netns: &Netns, address: &str) -> Result<Self> {
        let name: String =
            address.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let file = |end: &str| lab.dir().join(format!("upstream-{name}.{end}"));
        let connection_log = file("connections");
        // A file that an earlier upstream left would look as if this one listened already.
        std::fs::remove_file(&connection_log).ok();
        let line = [child::built("aop-upstream")?, address.into(), connection_log.clone()];
        let mut child = Child::serve(netns, &line, &file("log"))?;
        let listens = wait::until("the upstream listens", Duration::from_secs(10), || {
            (child.ended().is_some() || connection_log.exists()).then(|| connection_log.exists())
        });
        anyhow::ensure!(listens.context(child.log())?, "no upstream: {}", child.log());
        Ok(Self { child, connection_log })
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process(self.child.pid())
    }

    /// The accepted connections, in order.
    ///
    /// # Errors
    /// When the connection log cannot be read.
    pub fn connections(&self) -> Result<Vec<AcceptedConnection>> {
        read(&self.connection_log)
    }

    /// The number of accepted connections.
    ///
    /// # Errors
    /// When the connection log cannot be read.
    pub fn count(&self) -> Result<usize> {
        Ok(self.connections()?.len())
    }

    /// Kills it, as when an application crashes. From now on its port answers with a reset.
    pub fn stop(&mut self) {
        self.child.kill();
    }
}

/// Reads a connection log. Its lines are `accept N PEER`, and later perhaps `first-bytes N HEX`.
fn read(connection_log: &Path) -> Result<Vec<AcceptedConnection>> {
    let text = std::fs::read_to_string(connection_log)?;
    let mut connections: Vec<AcceptedConnection> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["accept", number, peer] => {
                anyhow::ensure!(number.parse() == Ok(connections.len()), "out of order: {line}");
                connections.push(AcceptedConnection { peer: peer.to_owned(), first_bytes: None });
            }
            ["first-bytes", number, hex] => {
                let index: usize = number.parse()?;
                let connection = connections.get_mut(index).context("bytes before accept")?;
                connection.first_bytes = Some(unhex(hex)?);
            }
            _ => anyhow::bail!("not a line of a connection log: {line}"),
        }
    }
    Ok(connections)
}

fn unhex(hex: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .context("not hexadecimal")?;
    Ok(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}
