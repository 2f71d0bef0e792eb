//! The upstream's memory: a line for each connection, and one for its first bytes.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// First bytes beyond this are not noted.
const NOTED: usize = 16 * 1024;

/// An open journal. Every line reaches the file at once.
pub(crate) struct Journal(Mutex<(File, usize)>);

impl Journal {
    pub(crate) fn create(path: &str) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {path}"))?;
        Ok(Self(Mutex::new((file, 0))))
    }

    /// Notes a connection and says which one it is.
    pub(crate) fn accept(&self, peer: &str) -> Result<usize> {
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = journal.1;
        journal.1 += 1;
        journal.0.write_all(format!("accept {number} {peer}\n").as_bytes())?;
        Ok(number)
    }

    /// Notes the first bytes of connection `number`.
    pub(crate) fn opening(&self, number: usize, bytes: &[u8]) -> Result<()> {
        let noted = bytes.iter().take(NOTED).map(|byte| format!("{byte:02x}"));
        let line = format!("opening {number} {}\n", noted.collect::<String>());
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(journal.0.write_all(line.as_bytes())?)
    }
}
