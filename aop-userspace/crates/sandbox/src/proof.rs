//! What the kernel says of this process, read back after everything was given up.

use std::{
    fs::File,
    io::{self, Read},
};

use super::{descent::Bounding, fence::Fence};

/// The part of `/proc/self/status` that tells privilege.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    users: Vec<u64>,
    groups: Vec<u64>,
    supplementary: Vec<u64>,
    held: Vec<u64>,
    bounding: u64,
    no_new_privileges: bool,
    /// Whether it has a terminal to type into.
    terminal: bool,
    /// Whether a filter judges its system calls.
    filtered: bool,
    /// Whether it can open what no rule of Landlock names, on a kernel that has Landlock.
    files: bool,
}

/// Where the kernel tells of this process: opened before the process can open nothing, and read after.
pub(super) struct Witness {
    status: File,
    stat: File,
}

/// Why this process may not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofError {
    /// Nothing is known.
    #[error("cannot read /proc/self/status, so it is not proven that nothing is held: {0}")]
    Unreadable(#[from] io::Error),
    /// Something is held.
    #[error("after giving up everything it still has {0}, so it does not serve")]
    Held(&'static str),
}

impl Witness {
    pub(super) fn call() -> Result<Self, ProofError> {
        Ok(Self { status: File::open("/proc/self/status")?, stat: File::open("/proc/self/stat")? })
    }
}

impl Proof {
    /// Asks the kernel.
    pub(super) fn read(mut witness: Witness, fence: Fence) -> Result<Self, ProofError> {
        let (mut status, mut stat) = (String::new(), String::new());
        witness.status.read_to_string(&mut status)?;
        witness.stat.read_to_string(&mut stat)?;
        let proof =
            Self::parse(&status, &stat).ok_or_else(|| io::Error::other("a line is missing"))?;
        Ok(Self { files: fence.landlock.is_some() && File::open("/").is_ok(), ..proof })
    }

    fn parse(status: &str, stat: &str) -> Option<Self> {
        // Behind the name, which may hold anything: state, parent, group, session, terminal.
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
            held: vec![set("CapInh")?, set("CapPrm")?, set("CapEff")?, set("CapAmb")?],
            bounding: set("CapBnd")?,
            no_new_privileges: line("NoNewPrivs")?.trim() == "1",
            terminal: terminal != "0",
            filtered: line("Seccomp")?.trim() == "2",
            files: false,
        })
    }

    /// Whether nothing is left. Where the process was `root`, also no group but the new one.
    pub(super) fn check(&self, root: bool, bounding: Bounding) -> Result<(), ProofError> {
        let held = |what| Err(ProofError::Held(what));
        match self {
            _ if self.users.contains(&0) => held("the user root"),
            _ if root && self.groups.contains(&0) => held("the group root"),
            _ if root && !self.supplementary.is_empty() => held("supplementary groups"),
            _ if self.held.iter().any(|set| *set != 0) => held("capabilities"),
            _ if bounding == Bounding::Emptied && self.bounding != 0 => {
                held("capabilities in its bounding set")
            }
            _ if !self.no_new_privileges => held("the right to new privileges"),
            _ if self.terminal => held("a terminal"),
            _ if !self.filtered => held("every system call"),
            _ if self.files => held("the file system"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(change: (&str, &str)) -> Proof {
        let text = "Name:\taop\nUid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\n\
             Groups:\t \nNoNewPrivs:\t1\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
             CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nSeccomp:\t2\n";
        let stat = "7 (aop) S 1 7 7 0 -1".replacen(change.0, change.1, 1);
        Proof::parse(&text.replacen(change.0, change.1, 1), &stat).expect("a status")
    }

    #[test]
    fn whatever_is_left_is_named() {
        let told = |change| match status(change).check(true, Bounding::Emptied) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told(("", "")), "");
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
            assert!(told((from, to)).contains(named), "{to}: {}", told((from, to)));
        }
        let open = Proof { files: true, ..status(("", "")) }.check(true, Bounding::Emptied);
        assert!(open.is_err_and(|error| error.to_string().contains("file system")));
        let user = status(("CapBnd:\t00000000", "CapBnd:\t000001ff"));
        user.check(false, Bounding::Kept).expect("an ordinary user cannot shrink it");
    }

    #[test]
    fn a_line_that_is_missing_proves_nothing() {
        assert_eq!(Proof::parse("Uid:\t1\t1\t1\t1\n", "7 (aop) S 1 7 7 0"), None);
    }
}
