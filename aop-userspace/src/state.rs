//! Documents that outlive the process, in the directory `paths.state`.
//!
//! Written beside their name and renamed: a crash leaves the old document or the new one. Whoever
//! writes holds the instance lock.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// The document `name`, if there is one.
///
/// # Errors
/// What the system says.
pub(crate) fn read(state: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(state.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Makes `text` the document `name`, and the directory where it is missing.
///
/// # Errors
/// What the system says. What was there stays.
pub(crate) fn write(state: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(state)?;
    let temporary = state.join(format!(".{name}.new"));
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, state.join(name))?;
    File::open(state)?.sync_all()
}

/// Removes the document `name`, if there is one.
///
/// # Errors
/// What the system says. What was there stays.
pub(crate) fn remove(state: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(state.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| File::open(state)?.sync_all()),
    }
}
