//! Documents that outlive the process, in the directory `paths.state`.
//!
//! Written beside their name and renamed: a crash leaves the old document or the new one. Whoever
//! writes holds the instance lock. Logs beside them are added to, line by line.

mod lock;

pub use lock::{InstanceLock, LockError};

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

/// The document `name`, if there is one.
///
/// # Errors
/// What the system says.
pub fn read(state: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(state.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Makes `text` the document `name`, and the directory where it is missing.
///
/// # Errors
/// What the system says. What was there stays.
pub fn write(state: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    make(state)?;
    let temporary = state.join(format!(".{name}.new"));
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, state.join(name))?;
    File::open(state)?.sync_all()
}

/// Adds `line` to the log `name`, and makes it where it is missing. One that would grow past `most`
/// bytes becomes `name.1` before, in the place of what had that name.
///
/// # Errors
/// What the system says. Nothing of the line is left then.
pub fn append(state: &Path, name: &str, line: &[u8], most: u64) -> io::Result<()> {
    make(state)?;
    let path = state.join(name);
    loop {
        let mut file = File::options().append(true).create(true).mode(0o600).open(&path)?;
        // During an upgrade two daemons may be at it.
        flock(&file, FlockOperation::LockExclusive)?;
        let (held, found) = (file.metadata()?, fs::metadata(&path));
        if found.is_ok_and(|found| (found.dev(), found.ino()) != (held.dev(), held.ino())) {
            continue;
        }
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if held.len() > 0 && held.len().saturating_add(length) > most {
            fs::rename(&path, state.join(format!("{name}.1")))?;
            continue;
        }
        return file.write_all(line).and_then(|()| file.sync_data()).inspect_err(|_| {
            // Half a line would spoil the next one; where even that fails, it does.
            file.set_len(held.len()).ok();
        });
    }
}

fn make(state: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(state)
}

/// Removes the document `name`, if there is one.
///
/// # Errors
/// What the system says. What was there stays.
pub fn remove(state: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(state.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| File::open(state)?.sync_all()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_bounded_and_keeps_whole_lines_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("deep/state");
        for number in 0..100 {
            append(&state, "log", format!("line {number:02}\n").as_bytes(), 100).expect("added");
        }
        let text = |name| fs::read_to_string(state.join(name)).expect("read");
        let (old, new) = (text("log.1"), text("log"));
        assert!(old.len() <= 100 && new.len() <= 100, "{old}{new}");
        let both = old + &new;
        let lines: Vec<&str> = both.lines().collect();
        let last: Vec<String> =
            (100 - lines.len()..100).map(|number| format!("line {number:02}")).collect();
        assert_eq!(lines, last);
        assert_eq!(fs::read_dir(&state).expect("read").count(), 2);
    }

    #[test]
    fn what_is_longer_than_the_bound_is_kept_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        for line in [&b"a\n"[..], &[b'x'; 300], b"b\n"] {
            append(dir.path(), "log", line, 100).expect("added");
        }
        assert_eq!(fs::read(dir.path().join("log")).expect("read"), b"b\n");
        assert_eq!(fs::read(dir.path().join("log.1")).expect("read"), [b'x'; 300]);
    }
}
