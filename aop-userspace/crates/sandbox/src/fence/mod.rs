//! Two fences that the kernel holds around a process without privilege: which files it may open, and
//! which system calls it may make. Both are for the calling thread and all that it starts, and for ever.

mod calls;
mod files;

#[cfg(test)]
mod tests;

pub use calls::CallsError;
pub use files::Names;

/// How closely a process is fenced in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// The ABI of Landlock that the kernel has; `None` where it has none.
    pub landlock: Option<i32>,
}

/// A fence that cannot be put up.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// The one around files, on a kernel that has Landlock.
    #[error("cannot restrict itself by Landlock: {0}")]
    Files(#[from] landlock::RulesetError),
    /// The kernel has Landlock and does not use it.
    #[error("the kernel has Landlock and did not enforce any of it")]
    Unenforced,
    /// The one around system calls.
    #[error(
        "cannot filter its system calls: {0}; aop needs a kernel with CONFIG_SECCOMP_FILTER, and a \
         container must not forbid seccomp(2)"
    )]
    Calls(#[from] CallsError),
}

/// Puts up both around the calling thread; `names` says which files are left. Needs no privilege, and
/// forbids the thread new ones.
///
/// # Errors
/// The kernel does not filter system calls, or has Landlock and does not enforce it.
pub fn raise(names: Names) -> Result<Fence, FenceError> {
    let landlock = files::fence(names)?;
    calls::fence()?;
    Ok(Fence { landlock })
}
