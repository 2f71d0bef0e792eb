//! A process as `/proc` shows it: its privilege, its files and its children.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The names of the capability sets in `/proc/PID/status`.
const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// A process id, whether or not the process still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// The state of a TCP socket, with the numbers of the kernel's tcp_states.h.
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

    /// Whether the process exists. A zombie exists.
    #[must_use]
    pub fn exists(self) -> bool {
        self.path("").exists()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn signal(self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0)?);
        kill(pid, signal).with_context(|| format!("no process {pid}"))
    }

    /// A field of `/proc/PID/status`, such as `Uid`.
    ///
    /// # Errors
    /// When the process does not exist, or the kernel has no such field.
    pub fn status(self, field: &str) -> Result<String> {
        let text = fs::read_to_string(self.path("status"))?;
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(found.with_context(|| format!("no {field} in {text}"))?.trim().to_owned())
    }

    /// The user id.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn user(self) -> Result<u32> {
        let users = self.status("Uid")?;
        Ok(users.split_whitespace().next().context("no user")?.parse()?)
    }

    /// The resident memory in bytes.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn memory(self) -> Result<usize> {
        let text = self.status("VmRSS")?;
        let kilobytes: usize = text.split(' ').next().context("no VmRSS")?.parse()?;
        Ok(kilobytes * 1024)
    }

    /// Resident memory in KiB. A page that several processes share counts for each of them in part.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn shared_memory(self) -> Result<u64> {
        let text = fs::read_to_string(self.path("smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// The CPU time of all threads that it has now, from `schedstat`, which is finer than the ticks
    /// of `stat`.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn cpu_time(self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for task in fs::read_dir(self.path("task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanos = text.split(' ').next().context("schedstat has a first field")?;
            total += Duration::from_nanos(nanos.parse()?);
        }
        Ok(total)
    }

    /// The bytes that it has made the kernel write to disks.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn disk_writes(self) -> Result<u64> {
        let text = fs::read_to_string(self.path("io"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
        Ok(line.context("no write_bytes")?.trim().parse()?)
    }

    /// The capability sets that are not empty, including the bounding set.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn capabilities(self) -> Result<Vec<(&'static str, u64)>> {
        let mut held = Vec::new();
        for name in SETS {
            let set = u64::from_str_radix(&self.status(name)?, 16)?;
            held.extend((set != 0).then_some((name, set)));
        }
        Ok(held)
    }

    /// Whether only root can read its memory.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn is_hidden(self) -> Result<bool> {
        Ok(fs::metadata(self.path("fd"))?.uid() == 0 && self.user()? != 0)
    }

    /// The open files, as the kernel names them: paths, `socket:[INODE]`, `anon_inode:bpf-map`.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn files(self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.path("fd"))? {
            // A file that was closed in the meantime is skipped.
            if let Ok(file) = fs::read_link(entry?.path()) {
                files.push(file.to_string_lossy().into_owned());
            }
        }
        Ok(files)
    }

    /// The states of its TCP sockets.
    ///
    /// # Errors
    /// When the process does not exist.
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

    /// The command line.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn command(self) -> Result<Vec<String>> {
        let line = fs::read(self.path("cmdline"))?;
        let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into());
        Ok(words.collect())
    }

    /// The environment, as text.
    ///
    /// # Errors
    /// When the process does not exist.
    pub fn environment(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.path("environ"))?).into_owned())
    }

    /// The child processes.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub fn children(self) -> Result<Vec<Self>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
            let process = Self(pid);
            // A process that has exited in the meantime is skipped.
            if process.status("PPid").is_ok_and(|parent| parent == self.0.to_string()) {
                children.push(process);
            }
        }
        Ok(children)
    }

    /// This process, its children, their children and so on.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub fn with_descendants(self) -> Result<Vec<Self>> {
        let mut found = vec![self];
        let mut next = 0;
        while let Some(process) = found.get(next) {
            found.extend(process.children()?);
            next += 1;
        }
        Ok(found)
    }
}
