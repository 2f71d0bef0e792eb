//! Files that outlive the process: documents and logs in `paths.state`, and the instance lock in
//! `paths.runtime`.
//!
//! This crate decides how files are written, not what they hold. A document is written to a
//! temporary file, which then replaces the old document by rename: a crash leaves the old document
//! or the new one. The writer must hold the instance lock. Logs are appended to, line by line. A
//! file that an operator ordered is new: it never takes the place of another.

mod lock;
mod new_file;

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

pub use lock::{InstanceLock, LockError, try_lock};
pub use new_file::{OpenPath, directory_of, exchangeable, open_directory, write_new};
use rustix::fs::{FlockOperation, flock};

/// Reads the document `name`, if it exists.
///
/// # Errors
/// The I/O error of the system.
pub fn read(state: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(state.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Writes `text` as the document `name`. Creates the directory if it is missing.
///
/// # Errors
/// The I/O error of the system. The old document stays.
pub fn write(state: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    create_directory(state)?;
    replace(state, name, text, 0o644)
}

/// As [`write()`], for the owner alone: a file of mode 0600, in a directory of mode 0700.
///
/// # Errors
/// The I/O error of the system. The old document stays.
pub fn write_private(directory: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    create_private_directory(directory)?;
    replace(directory, name, text, 0o600)
}

/// Creates a directory for the owner alone, or makes it one.
///
/// # Errors
/// The I/O error of the system.
pub fn create_private_directory(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        create_directory(parent)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

fn replace(state: &Path, name: &str, text: &[u8], mode: u32) -> io::Result<()> {
    let temporary = state.join(format!(".{name}.new"));
    // A file that a crash has left may have another mode.
    remove(state, &format!(".{name}.new"))?;
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, state.join(name))?;
    File::open(state)?.sync_all()
}

/// Appends `line` to the log `name`. Creates the log if it is missing. A log that would grow beyond
/// `most` bytes is renamed to `name.1` first, and replaces the file of that name.
///
/// # Errors
/// The I/O error of the system. No part of the line stays in the log.
pub fn append(state: &Path, name: &str, line: &[u8], most: u64) -> io::Result<()> {
    create_directory(state)?;
    let path = state.join(name);
    loop {
        let mut file = File::options().append(true).create(true).mode(0o600).open(&path)?;
        // During an upgrade two daemons may append at the same time.
        flock(&file, FlockOperation::LockExclusive)?;
        let (opened, named) = (file.metadata()?, fs::metadata(&path));
        if named.is_ok_and(|named| (named.dev(), named.ino()) != (opened.dev(), opened.ino())) {
            continue;
        }
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if opened.len() > 0 && opened.len().saturating_add(length) > most {
            fs::rename(&path, state.join(format!("{name}.1")))?;
            continue;
        }
        return file.write_all(line).and_then(|()| file.sync_data()).inspect_err(|_| {
            // A partial line would corrupt the next one. If truncating fails too, nothing is left
            // to try.
            file.set_len(opened.len()).ok();
        });
    }
}

fn create_directory(state: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(state)
}

/// Removes the document `name`, if it exists.
///
/// # Errors
/// The I/O error of the system. The document stays.
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
    fn a_private_document_is_for_the_owner_alone_whatever_was_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let private = dir.path().join("deep/private");
        for text in [&b"one"[..], b"two"] {
            write_private(&private, "key", text).expect("written");
            assert_eq!(fs::read(private.join("key")).expect("read"), text);
            let mode = |path: &Path| fs::metadata(path).expect("it").mode() & 0o7777;
            assert_eq!((mode(&private), mode(&private.join("key"))), (0o700, 0o600));
            // A crash of another version may have left them.
            fs::write(private.join(".key.new"), b"half").expect("written");
        }
    }

    #[test]
    fn a_line_longer_than_the_bound_gets_a_file_of_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        for line in [&b"a\n"[..], &[b'x'; 300], b"b\n"] {
            append(dir.path(), "log", line, 100).expect("added");
        }
        assert_eq!(fs::read(dir.path().join("log")).expect("read"), b"b\n");
        assert_eq!(fs::read(dir.path().join("log.1")).expect("read"), [b'x'; 300]);
    }
}
