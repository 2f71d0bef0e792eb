//! The application behind the origin's lock: a real HTTP server that remembers who connected.
//!
//! It is a process of its own (`aop-upstream`) in the origin's namespace. Its journal has a line
//! for each connection at the moment it is accepted, before any byte, so that "the upstream saw no
//! connection" is a claim about its journal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::child::{self, Child};
use crate::{Place, Process, World, wait};

/// A running upstream. Ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    child: Child,
    journal: PathBuf,
}

/// One connection that the upstream accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Who connected: an address, or `unix`.
    pub peer: String,
    /// Its first bytes, once there were any.
    pub opening: Option<Vec<u8>>,
}

impl Upstream {
    /// An upstream on 127.0.0.1:8080.
    ///
    /// # Errors
    /// When it does not listen within seconds.
    pub fn start(world: &World) -> Result<Self> {
        Self::listening(world, "127.0.0.1:8080")
    }

    /// An upstream on `address`: `IP:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// When it does not listen within seconds.
    pub fn listening(world: &World, address: &str) -> Result<Self> {
        Self::listening_in(world, world.origin(), address)
    }

    /// The same in another place of the world.
    ///
    /// # Errors
    /// When it does not listen within seconds.
    pub fn listening_in(world: &World, place: &Place, address: &str) -> Result<Self> {
        let name: String =
            address.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let file = |end: &str| world.dir().join(format!("upstream-{name}.{end}"));
        let journal = file("journal");
        // That of an earlier one would speak for this one before it listens.
        std::fs::remove_file(&journal).ok();
        let line = [child::built("aop-upstream")?, address.into(), journal.clone()];
        let mut child = Child::serve(place, &line, &file("log"))?;
        let listens = wait::until("the upstream listens", Duration::from_secs(10), || {
            (child.ended().is_some() || journal.exists()).then(|| journal.exists())
        });
        anyhow::ensure!(listens.context(child.log())?, "no upstream: {}", child.log());
        Ok(Self { child, journal })
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process(self.child.pid())
    }

    /// Every connection it has accepted, in order.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn connections(&self) -> Result<Vec<Connection>> {
        read(&self.journal)
    }

    /// How many connections it has accepted.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn count(&self) -> Result<usize> {
        Ok(self.connections()?.len())
    }

    /// Stops it, as when an application crashes: its port answers with a reset from now on.
    pub fn stop(&mut self) {
        self.child.kill();
    }
}

/// Reads a journal: `accept N PEER`, and later perhaps `opening N HEX`.
fn read(journal: &Path) -> Result<Vec<Connection>> {
    let text = std::fs::read_to_string(journal)?;
    let mut connections: Vec<Connection> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["accept", number, peer] => {
                anyhow::ensure!(number.parse() == Ok(connections.len()), "out of order: {line}");
                connections.push(Connection { peer: peer.to_owned(), opening: None });
            }
            ["opening", number, hex] => {
                let index: usize = number.parse()?;
                let connection = connections.get_mut(index).context("opened before accepted")?;
                connection.opening = Some(unhex(hex)?);
            }
            _ => anyhow::bail!("not a journal line: {line}"),
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
