//! One daemon for each runtime directory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

/// Held while a daemon runs. The kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon has it.
    #[error(
        "another aop runs from {} (process {owner}); stop it, or give this one paths.runtime and \
         paths.pins of its own",
        .path.display()
    )]
    Taken {
        /// The lock file.
        path: PathBuf,
        /// What the file says of its owner.
        owner: String,
    },
    /// The directory or file cannot be used.
    #[error("{}: {error}; correct paths.runtime or its permissions", .path.display())]
    Unusable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl InstanceLock {
    /// Makes `runtime` where it is missing, and takes its lock.
    ///
    /// # Errors
    /// Another daemon has it, or the directory cannot be used.
    pub fn take(runtime: &Path) -> Result<Self, LockError> {
        let unusable = |path: &Path, error| LockError::Unusable { path: path.into(), error };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(runtime)
            .map_err(|error| unusable(runtime, error))?;
        let path = runtime.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(|error| unusable(&path, error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                let owner = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
                return Err(LockError::Taken { path, owner });
            }
            locked => locked.map_err(|error| unusable(&path, error.into()))?,
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| unusable(&path, error))?;
        Ok(Self { _file: file })
    }
}
