//! The one place where the files that sites name are read: from the disk, or from whoever has read
//! them there.
//!
//! The process that serves may not read a key's file, so the one that may hands over what it has
//! read. Both build their sites by the same code, from the same bytes.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::error::{FileError, FileProblem};

/// Files by path, each read once.
pub struct Files {
    held: RefCell<BTreeMap<PathBuf, Arc<[u8]>>>,
    beyond: Beyond,
}

/// Where a file comes from that is not held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Disk,
    Nowhere,
}

impl Files {
    /// The disk. What is read is held from then on.
    #[must_use]
    pub fn on_disk() -> Self {
        Self { held: RefCell::default(), beyond: Beyond::Disk }
    }

    /// These and no others.
    pub fn handed_over(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        let held = files.into_iter().map(|(path, bytes)| (path, bytes.into())).collect();
        Self { held: RefCell::new(held), beyond: Beyond::Nowhere }
    }

    /// What has been read.
    #[must_use]
    pub fn into_held(self) -> BTreeMap<PathBuf, Arc<[u8]>> {
        self.held.into_inner()
    }

    /// The bytes of `file`; something besides white space is among them.
    pub(super) fn read(&self, file: &Path) -> Result<Arc<[u8]>, FileError> {
        let bytes = self.bytes(file).map_err(|error| FileProblem::Unreadable(error).of(file))?;
        match bytes.iter().all(u8::is_ascii_whitespace) {
            true => Err(FileProblem::Empty.of(file)),
            false => Ok(bytes),
        }
    }

    fn bytes(&self, file: &Path) -> io::Result<Arc<[u8]>> {
        if let Some(held) = self.held.borrow().get(file) {
            return Ok(held.clone());
        }
        if self.beyond == Beyond::Nowhere {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it was not handed over"));
        }
        let read: Arc<[u8]> = fs::read(file)?.into();
        self.held.borrow_mut().insert(file.into(), read.clone());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_here_is_all_that_there_is_where_it_is_handed_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let [key, other] = ["key", "other"].map(|name| dir.path().join(name));
        fs::write(&key, [0, 159, 255]).expect("written");
        fs::write(&other, "other").expect("written");
        let disk = Files::on_disk();
        assert_eq!(*disk.read(&key).expect("read"), [0, 159, 255]);
        fs::write(&key, "changed").expect("written");
        assert_eq!(*disk.read(&key).expect("read"), [0, 159, 255], "it was read twice");
        let held = disk.into_held().into_iter().map(|(path, bytes)| (path, bytes.to_vec()));
        let there = Files::handed_over(held);
        assert_eq!(*there.read(&key).expect("held"), [0, 159, 255]);
        let problem = there.read(&other).expect_err("not handed over").problem;
        assert!(
            matches!(&problem, FileProblem::Unreadable(error) if error.kind() == io::ErrorKind::NotFound),
            "{problem}"
        );
    }
}
