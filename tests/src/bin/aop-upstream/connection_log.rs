//! The connection log of the upstream: a line for each connection, and one for its first bytes.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// At most this many first bytes of a connection are logged.
const MOST_BYTES: usize = 16 * 1024;

/// An open connection log. Every line reaches the file at once.
pub(crate) struct ConnectionLog(Mutex<(File, usize)>);

impl ConnectionLog {
    pub(crate) fn create(path: &str) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {path}"))?;
        Ok(Self(Mutex::new((file, 0))))
    }

    /// Logs a connection and returns its number.
    pub(crate) fn accept(&self, peer: &str) -> Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = log.1;
        log.1 += 1;
        log.0.write_all(format!("accept {number} {peer}\n").as_bytes())?;
        Ok(number)
    }

    /// Logs the first bytes of connection `number`.
    pub(crate) fn first_bytes(&self, number: usize, bytes: &[u8]) -> Result<()> {
        let hex: String = bytes.iter().take(MOST_BYTES).map(|byte| format!("{byte:02x}")).collect();
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(log.0.write_all(format!("first-bytes {number} {hex}\n").as_bytes())?)
    }
}
