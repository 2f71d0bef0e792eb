//! The sandbox that the kernel enforces: Landlock limits the files that the process may open,
//! seccomp the system calls that it may make. Both hold for the calling thread and every thread
//! that it starts, and cannot be undone.

#[cfg(test)]
mod tests;

use ::landlock::RulesetError;

use crate::{NameLookup, SeccompError, landlock, seccomp};

/// A sandbox in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// The kernel's ABI version of Landlock; `None` if it has no Landlock.
    pub landlock: Option<i32>,
}

/// A process cannot enter the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Landlock fails on a kernel that has it.
    #[error("cannot restrict itself with Landlock: {0}")]
    Landlock(#[from] RulesetError),
    /// The kernel has Landlock but does not enforce the rules.
    #[error("the kernel has Landlock but did not enforce any rule")]
    NotEnforced,
    /// seccomp fails.
    #[error(
        "cannot filter its system calls: {0}; aop needs a kernel with CONFIG_SECCOMP_FILTER, and a \
         container must not forbid seccomp(2)"
    )]
    Seccomp(#[from] SeccompError),
}

/// Puts the calling thread into the sandbox; `names` selects the files that it may read. Needs no
/// privilege, and sets no_new_privs.
///
/// # Errors
/// The kernel does not filter system calls, or has Landlock but does not enforce it.
pub fn enter(names: NameLookup) -> Result<Sandbox, SandboxError> {
    let landlock = landlock::restrict(names)?;
    seccomp::restrict()?;
    Ok(Sandbox { landlock })
}
