//! The instance lock: one daemon for each runtime directory.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

/// How long to wait for a lock that is held.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The held lock. The kernel releases it when the process ends, however that happens.
#[derive(Debug)]
pub struct InstanceLock {
    path: PathBuf,
    file: File,
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon holds it.
    #[error(
        "another aop runs from {} (process {owner}); stop it, or give this one paths.runtime and \
         paths.pins of its own",
        .path.display()
    )]
    Taken {
        /// The lock file.
        path: PathBuf,
        /// The content of the file: the owner's process id.
        owner: String,
    },
    /// The directory or file cannot be used.
    #[error("{}: {error}; correct paths.runtime or its permissions", .path.display())]
    Unusable {
        /// The directory or file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
}

impl InstanceLock {
    /// Creates `runtime` where it is missing, and takes its lock. Waits for it for two seconds:
    /// systemd may start `aop load` at the same moment.
    ///
    /// # Errors
    /// Another daemon holds it, or the directory cannot be used.
    pub fn take(runtime: &Path) -> Result<Self, LockError> {
        let (path, file) = open(runtime)?;
        let begun = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if begun.elapsed() < PATIENCE => thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => {
                    let owner = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
                    return Err(LockError::Taken { path, owner });
                }
                Err(error) => return Err(unusable(&path, error.into())),
                Ok(()) => break,
            }
        }
        let lock = Self { path, file };
        lock.sign()?;
        Ok(lock)
    }

    /// Continues with the lock that another daemon has handed over. The file names the old owner
    /// until [`InstanceLock::sign`]. Where `handed` is not the lock of `runtime`, this takes the
    /// latter.
    ///
    /// # Errors
    /// As [`InstanceLock::take`].
    pub fn take_over(runtime: &Path, handed: OwnedFd) -> Result<Self, LockError> {
        let (path, found) = open(runtime)?;
        let handed = File::from(handed);
        let same = || -> io::Result<bool> {
            let (found, handed) = (found.metadata()?, handed.metadata()?);
            Ok((found.dev(), found.ino()) == (handed.dev(), handed.ino()))
        };
        if same().map_err(|error| unusable(&path, error))? {
            Ok(Self { path, file: handed })
        } else {
            Self::take(runtime)
        }
    }

    /// Writes this process's id into the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn sign(&self) -> Result<(), LockError> {
        let owner = format!("{}\n", std::process::id());
        let written =
            self.file.set_len(0).and_then(|()| self.file.write_all_at(owner.as_bytes(), 0));
        written.map_err(|error| unusable(&self.path, error))
    }
}

impl AsFd for InstanceLock {
    /// Every copy of the descriptor holds the lock, too.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Takes the lock of the file `name` in `directory`, which must exist, without waiting; `None` if
/// another process has it. It is held as long as the file is open.
///
/// # Errors
/// The I/O error of the system.
pub fn try_lock(directory: &Path, name: &str) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(OFlags::NOFOLLOW.bits() as i32).open(directory.join(name))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(None),
        taken => taken.map(|()| Some(file)).map_err(io::Error::from),
    }
}

fn open(runtime: &Path) -> Result<(PathBuf, File), LockError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(runtime)
        .map_err(|error| unusable(runtime, error))?;
    let path = runtime.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(&path)
        .map_err(|error| unusable(&path, error))?;
    Ok((path, file))
}

fn unusable(path: &Path, error: io::Error) -> LockError {
    LockError::Unusable { path: path.into(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handed_over_lock_outlives_the_process_that_took_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let old = InstanceLock::take(dir.path()).expect("taken");
        let copy = old.as_fd().try_clone_to_owned().expect("a copy");
        let new = InstanceLock::take_over(dir.path(), copy).expect("taken over");
        drop(old);
        InstanceLock::take(dir.path()).expect_err("it is held");
        // The next one waits until it is free.
        let waiting = thread::spawn({
            let dir = dir.path().to_owned();
            move || InstanceLock::take(&dir)
        });
        thread::sleep(3 * PAUSE);
        drop(new);
        let lock = waiting.join().expect("no panic").expect("free again");
        // The lock of another directory does not count for this one.
        let elsewhere = tempfile::tempdir().expect("a directory");
        let copy = lock.as_fd().try_clone_to_owned().expect("a copy");
        let _other = InstanceLock::take_over(elsewhere.path(), copy).expect("taken");
        InstanceLock::take(elsewhere.path()).expect_err("it is held");
    }
}
