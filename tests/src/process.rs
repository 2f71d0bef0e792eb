//! A process as the kernel shows it: what it may do, and what it holds open.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The capability sets, by the names that the kernel gives them.
const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// A process, running or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// A TCP socket's state, by the numbers of the kernel's tcp_states.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpState(u8);

impl TcpState {
    /// A connection.
    pub const ESTABLISHED: Self = Self(1);
    /// A listener.
    pub const LISTEN: Self = Self(10);
}

impl Process {
    fn path(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.0)).join(name)
    }

    /// Whether there is such a process, dead and not waited for included.
    #[must_use]
    pub fn exists(self) -> bool {
        self.path("").exists()
    }

    /// A field of its status, such as `Uid`.
    ///
    /// # Errors
    /// When it is gone, or the kernel has no such field.
    pub fn status(self, field: &str) -> Result<String> {
        let text = fs::read_to_string(self.path("status"))?;
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(found.with_context(|| format!("no {field} in {text}"))?.trim().to_owned())
    }

    /// Its user.
    ///
    /// # Errors
    /// When it is gone.
    pub fn user(self) -> Result<u32> {
        let users = self.status("Uid")?;
        Ok(users.split_whitespace().next().context("no user")?.parse()?)
    }

    /// The capability sets that are not empty, the bounding set included.
    ///
    /// # Errors
    /// When it is gone.
    pub fn capabilities(self) -> Result<Vec<(&'static str, u64)>> {
        let mut held = Vec::new();
        for name in SETS {
            let set = u64::from_str_radix(&self.status(name)?, 16)?;
            held.extend((set != 0).then_some((name, set)));
        }
        Ok(held)
    }

    /// Whether only root may look into its memory.
    ///
    /// # Errors
    /// When it is gone.
    pub fn is_hidden(self) -> Result<bool> {
        Ok(fs::metadata(self.path("fd"))?.uid() == 0 && self.user()? != 0)
    }

    /// What it holds open, as the kernel names it: paths, `socket:[INODE]`, `anon_inode:bpf-map`.
    ///
    /// # Errors
    /// When it is gone.
    pub fn files(self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.path("fd"))? {
            // One that was closed meanwhile is none.
            if let Ok(file) = fs::read_link(entry?.path()) {
                files.push(file.to_string_lossy().into_owned());
            }
        }
        Ok(files)
    }

    /// The states of the TCP sockets that it holds.
    ///
    /// # Errors
    /// When it is gone.
    pub fn tcp_sockets(self) -> Result<Vec<TcpState>> {
        let mut states = HashMap::new();
        for table in ["net/tcp", "net/tcp6"] {
            for line in fs::read_to_string(self.path(table))?.lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let state = u8::from_str_radix(fields.get(3).context("no state")?, 16)?;
                let inode = fields.get(9).context("no inode")?;
                states.insert(format!("socket:[{inode}]"), TcpState(state));
            }
        }
        Ok(self.files()?.iter().filter_map(|file| states.get(file)).copied().collect())
    }

    /// Its command line.
    ///
    /// # Errors
    /// When it is gone.
    pub fn command(self) -> Result<Vec<String>> {
        let line = fs::read(self.path("cmdline"))?;
        let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into());
        Ok(words.collect())
    }

    /// The processes that it has started.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub fn children(self) -> Result<Vec<Self>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
            let process = Self(pid);
            // One that has ended meanwhile is nobody's.
            if process.status("PPid").is_ok_and(|parent| parent == self.0.to_string()) {
                children.push(process);
            }
        }
        Ok(children)
    }
}
