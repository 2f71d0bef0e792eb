//! Reads back from the kernel that this process has no privilege left.

use std::{
    fs::File,
    io::{self, Read},
};

use crate::{Sandbox, drop_privileges::BoundingSet};

/// The privileges of this process, from `/proc/self/status` and `/proc/self/stat`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Privileges {
    users: Vec<u64>,
    groups: Vec<u64>,
    supplementary: Vec<u64>,
    capabilities: Vec<u64>,
    bounding: u64,
    no_new_privileges: bool,
    /// Whether it has a controlling terminal.
    terminal: bool,
    /// Whether seccomp filters its system calls.
    filtered: bool,
    /// Whether it can open a path without a Landlock rule, on a kernel that has Landlock.
    opens_files: bool,
}

/// The files that describe this process: opened before it enters the sandbox, and read afterwards.
pub(crate) struct ProcFiles {
    status: File,
    stat: File,
}

/// Why this process may not serve.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesLeft {
    /// The privileges cannot be read.
    #[error("cannot read /proc/self/status to check that all privileges are dropped: {0}")]
    Unreadable(#[from] io::Error),
    /// A privilege is left.
    #[error("after dropping all privileges this process still has {0}, so it does not start")]
    Left(&'static str),
}

impl ProcFiles {
    pub(crate) fn open() -> Result<Self, PrivilegesLeft> {
        Ok(Self { status: File::open("/proc/self/status")?, stat: File::open("/proc/self/stat")? })
    }
}

impl Privileges {
    /// Reads the privileges from the kernel.
    pub(crate) fn read(mut files: ProcFiles, sandbox: Sandbox) -> Result<Self, PrivilegesLeft> {
        let (mut status, mut stat) = (String::new(), String::new());
        files.status.read_to_string(&mut status)?;
        files.stat.read_to_string(&mut stat)?;
        let privileges =
            Self::parse(&status, &stat).ok_or_else(|| io::Error::other("a line is missing"))?;
        Ok(Self {
            opens_files: sandbox.landlock.is_some() && File::open("/").is_ok(),
            ..privileges
        })
    }

    fn parse(status: &str, stat: &str) -> Option<Self> {
        // After the name, which may contain any character: state, parent, group, session, terminal.
        let terminal = stat.rsplit_once(')')?.1.split_whitespace().nth(4)?;
        let line =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let numbers = |name: &str| -> Option<Vec<u64>> {
            line(name)?.split_whitespace().map(|number| number.parse().ok()).collect()
        };
        let set = |name: &str| u64::from_str_radix(line(name)?.trim(), 16).ok();
        Some(Self {
            users: numbers("Uid")?,
            groups: numbers("Gid")?,
            supplementary: numbers("Groups")?,
            capabilities: vec![set("CapInh")?, set("CapPrm")?, set("CapEff")?, set("CapAmb")?],
            bounding: set("CapBnd")?,
            no_new_privileges: line("NoNewPrivs")?.trim() == "1",
            terminal: terminal != "0",
            filtered: line("Seccomp")?.trim() == "2",
            opens_files: false,
        })
    }

    /// Checks that no privilege is left. If the process was `root`, it may only be in its new
    /// group.
    pub(crate) fn check(&self, root: bool, bounding: BoundingSet) -> Result<(), PrivilegesLeft> {
        let left = |privilege| Err(PrivilegesLeft::Left(privilege));
        match self {
            _ if self.users.contains(&0) => left("the user root"),
            _ if root && self.groups.contains(&0) => left("the group root"),
            _ if root && !self.supplementary.is_empty() => left("supplementary groups"),
            _ if self.capabilities.iter().any(|set| *set != 0) => left("capabilities"),
            _ if bounding == BoundingSet::Emptied && self.bounding != 0 => {
                left("capabilities in its bounding set")
            }
            _ if !self.no_new_privileges => left("the right to new privileges"),
            _ if self.terminal => left("a terminal"),
            _ if !self.filtered => left("access to every system call"),
            _ if self.opens_files => left("access to the file system"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(change: (&str, &str)) -> Privileges {
        let text = "Name:\taop\nUid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\n\
             Groups:\t \nNoNewPrivs:\t1\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
             CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nSeccomp:\t2\n";
        let stat = "7 (aop) S 1 7 7 0 -1".replacen(change.0, change.1, 1);
        Privileges::parse(&text.replacen(change.0, change.1, 1), &stat).expect("a status")
    }

    #[test]
    fn every_privilege_that_is_left_is_named() {
        let error = |change| match status(change).check(true, BoundingSet::Emptied) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(error(("", "")), "");
        for (from, to, named) in [
            ("Uid:\t65534\t65534\t65534", "Uid:\t65534\t65534\t0", "user root"),
            ("Gid:\t65534", "Gid:\t0", "group root"),
            ("7 7 0 -1", "7 7 34816 -1", "a terminal"),
            ("Groups:\t ", "Groups:\t4 27", "supplementary"),
            ("CapInh:\t00000000", "CapInh:\t00000010", "capabilities"),
            ("CapPrm:\t00000000", "CapPrm:\t00000010", "capabilities"),
            ("CapEff:\t00000000", "CapEff:\t00000010", "capabilities"),
            ("CapAmb:\t00000000", "CapAmb:\t00000010", "capabilities"),
            ("CapBnd:\t00000000", "CapBnd:\t000001ff", "bounding set"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "new privileges"),
            ("Seccomp:\t2", "Seccomp:\t0", "system call"),
        ] {
            assert!(error((from, to)).contains(named), "{to}: {}", error((from, to)));
        }
        let open =
            Privileges { opens_files: true, ..status(("", "")) }.check(true, BoundingSet::Emptied);
        assert!(open.is_err_and(|error| error.to_string().contains("file system")));
        let user = status(("CapBnd:\t00000000", "CapBnd:\t000001ff"));
        user.check(false, BoundingSet::Kept).expect("an ordinary user cannot shrink it");
    }

    #[test]
    fn a_status_with_a_missing_line_is_refused() {
        assert_eq!(Privileges::parse("Uid:\t1\t1\t1\t1\n", "7 (aop) S 1 7 7 0"), None);
    }
}
