//! Whether files have changed, judged by their metadata.
//!
//! The path is checked, not the open file: a rename over it and a symbolic link to another file are
//! changes, too. A file counts as changed once its metadata stayed the same between two checks, so
//! that a file that is being written is not read.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Metadata of a file: device, inode, size, mtime and ctime. `None`: the file does not exist.
pub(super) type FileStat = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// The last metadata seen, and those of the last read; of one file, or of several that are read
/// together.
#[derive(Debug)]
pub(super) struct StableChange<T = FileStat> {
    seen: Option<T>,
    read: Option<T>,
}

impl<T> Default for StableChange<T> {
    fn default() -> Self {
        Self { seen: None, read: None }
    }
}

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// Unchanged since it was read.
    Unchanged,
    /// It has changed since the last check.
    Settling,
    /// It has changed, and stayed the same since the last check: read it.
    Changed,
}

impl<T: PartialEq> StableChange<T> {
    /// Compares the metadata with those of the last check. After [`FileState::Changed`] the file
    /// counts as read.
    pub(super) fn check(&mut self, now: T) -> FileState {
        if self.read.as_ref() == Some(&now) {
            self.seen = Some(now);
            return FileState::Unchanged;
        }
        if self.seen.as_ref() != Some(&now) {
            self.seen = Some(now);
            return FileState::Settling;
        }
        self.read = Some(now);
        FileState::Changed
    }
}

/// The metadata of `path`. Blocks as long as the file system does.
pub(super) fn file_stat(path: &Path) -> FileStat {
    let found = fs::metadata(path).ok()?;
    let content = (found.mtime(), found.mtime_nsec());
    Some((found.dev(), found.ino(), found.size(), content, (found.ctime(), found.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn settled(watch: &mut StableChange, path: &Path) {
        assert_eq!(
            [(); 3].map(|()| watch.check(file_stat(path))),
            [FileState::Settling, FileState::Changed, FileState::Unchanged]
        );
    }

    #[test]
    fn a_rename_a_new_target_and_a_disappearance_are_changes() {
        let dir = tempfile::tempdir().expect("a directory");
        let [list, new, link] = ["list", "new", "link"].map(|name| dir.path().join(name));
        let mut watch = StableChange::default();
        fs::write(&list, "a").expect("written");
        symlink(&list, &link).expect("linked");
        settled(&mut watch, &link);
        fs::write(&new, "b").expect("written");
        fs::rename(&new, &list).expect("renamed");
        settled(&mut watch, &link);
        fs::write(&new, "c").expect("written");
        fs::remove_file(&link).expect("removed");
        symlink(&new, &link).expect("linked");
        settled(&mut watch, &link);
        fs::remove_file(&new).expect("removed");
        settled(&mut watch, &link);
    }

    #[test]
    fn a_file_that_is_being_written_is_not_read() {
        let of_size = |size| Some((1, 1, size, (0, 0), (0, 0)));
        let mut watch = StableChange::default();
        let seen = [1, 2, 3, 3, 3].map(|size| watch.check(of_size(size)));
        assert_eq!(seen[..3], [FileState::Settling; 3]);
        assert_eq!(seen[3..], [FileState::Changed, FileState::Unchanged]);
    }
}
