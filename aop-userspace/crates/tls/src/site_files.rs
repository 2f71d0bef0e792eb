//! The only place that reads the files of sites: from the disk, or as the daemon handed them over.
//!
//! The terminator process may not read key files, so the daemon hands over their contents. Both
//! processes build their sites with the same code, from the same bytes.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    error::{FileError, FileErrorKind},
    pem,
    revocation::ListFile,
};

/// SiteFiles by path, each read once. Files of the same content share it.
pub struct SiteFiles {
    held: RefCell<BTreeMap<PathBuf, Arc<[u8]>>>,
    contents: RefCell<HashSet<Arc<[u8]>>>,
    /// Those of revocation lists, which are parsed once for all sites.
    lists: RefCell<Vec<ParsedContent>>,
    source: Source,
}

/// A content, and the revocation lists in it.
type ParsedContent = (Arc<[u8]>, Arc<ListFile>);

/// Where a file comes from that was not read yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Disk,
    /// From nowhere: the daemon handed over all files that may be read.
    HandedOver,
}

impl SiteFiles {
    /// SiteFiles are read from the disk on first use and kept.
    #[must_use]
    pub fn on_disk() -> Self {
        Self::on_disk_except(BTreeMap::new())
    }

    /// The same, but `kept` holds the contents of some.
    #[must_use]
    pub fn on_disk_except(kept: BTreeMap<PathBuf, Arc<[u8]>>) -> Self {
        Self::new(kept, Source::Disk)
    }

    /// Only these files can be read.
    pub fn handed_over(files: impl IntoIterator<Item = (PathBuf, Arc<[u8]>)>) -> Self {
        Self::new(files.into_iter().collect(), Source::HandedOver)
    }

    fn new(held: BTreeMap<PathBuf, Arc<[u8]>>, source: Source) -> Self {
        let contents = RefCell::new(held.values().cloned().collect());
        Self { held: RefCell::new(held), contents, lists: RefCell::default(), source }
    }

    /// All files that were read.
    #[must_use]
    pub fn into_held(self) -> BTreeMap<PathBuf, Arc<[u8]>> {
        self.held.into_inner()
    }

    /// The bytes of `file`, never only white space.
    pub(crate) fn read(&self, file: &Path) -> Result<Arc<[u8]>, FileError> {
        let bytes = self.bytes(file).map_err(|error| {
            let from_nginx = file.as_os_str().as_encoded_bytes().ends_with(b";");
            match error.kind() == io::ErrorKind::NotFound && from_nginx {
                true => FileErrorKind::Semicolon.of(file),
                false => FileErrorKind::Unreadable(error).of(file),
            }
        })?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(FileErrorKind::Empty.of(file));
        }
        Ok(bytes)
    }

    /// Whether every user of this host can read or change `file` on the disk. A directory that
    /// others may not enter protects its files: certbot's was for years the only protection of keys
    /// with mode 0644.
    pub(crate) fn is_open_to_all(&self, file: &Path) -> bool {
        // The terminator process, which gets the files handed over, may not look at the disk.
        if self.source == Source::HandedOver {
            return false;
        }
        let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.mode());
        let Ok(file) = file.canonicalize() else { return false };
        mode(&file) & 0o006 != 0
            && file.ancestors().skip(1).all(|directory| mode(directory) & 0o001 != 0)
    }

    /// The revocation lists of `file`, at least one, and the certificates beside them.
    pub(crate) fn lists(&self, file: &Path) -> Result<Arc<ListFile>, FileError> {
        let bytes = self.read(file)?;
        let mut parsed = self.lists.borrow_mut();
        if let Some((_, lists)) = parsed.iter().find(|(had, _)| Arc::ptr_eq(had, &bytes)) {
            return Ok(lists.clone());
        }
        let lists = Arc::new(pem::revocation_lists(file, &bytes)?);
        parsed.push((bytes, lists.clone()));
        Ok(lists)
    }

    fn bytes(&self, file: &Path) -> io::Result<Arc<[u8]>> {
        if let Some(held) = self.held.borrow().get(file) {
            return Ok(held.clone());
        }
        if self.source == Source::HandedOver {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the daemon did not hand it over"));
        }
        let read = self.shared(fs::read(file)?);
        self.held.borrow_mut().insert(file.into(), read.clone());
        Ok(read)
    }

    fn shared(&self, read: Vec<u8>) -> Arc<[u8]> {
        let mut contents = self.contents.borrow_mut();
        if let Some(had) = contents.get(&read[..]) {
            return had.clone();
        }
        let read: Arc<[u8]> = read.into();
        contents.insert(read.clone());
        read
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_open_to_all_if_its_mode_and_that_of_each_directory_let_others_in() {
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        let key = dir.path().join("key");
        fs::write(&key, "key").expect("written");
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        };
        let disk = SiteFiles::on_disk();
        for (directory, file, open) in [
            (0o755, 0o600, false),
            (0o755, 0o640, false),
            (0o755, 0o644, true),
            (0o755, 0o602, true),
            (0o711, 0o644, true),
            (0o700, 0o644, false),
        ] {
            set(dir.path(), directory);
            set(&key, file);
            assert_eq!(disk.is_open_to_all(&key), open, "{directory:o} {file:o}");
        }
    }

    #[test]
    fn a_missing_file_whose_path_ends_as_a_line_of_nginx_is_named_so() {
        let dir = tempfile::tempdir().expect("a directory");
        let problem = |name: &str| {
            let error = SiteFiles::on_disk().read(&dir.path().join(name));
            error.expect_err("no such file").problem
        };
        assert!(matches!(problem("a.pem;"), FileErrorKind::Semicolon));
        assert!(matches!(problem("a.pem"), FileErrorKind::Unreadable(_)));
        // There is such a thing, but it is no file.
        fs::create_dir(dir.path().join("b.pem;")).expect("made");
        assert!(matches!(problem("b.pem;"), FileErrorKind::Unreadable(_)));
        fs::write(dir.path().join("c.pem;"), "text").expect("written");
        assert!(SiteFiles::on_disk().read(&dir.path().join("c.pem;")).is_ok());
    }

    #[test]
    fn a_file_that_was_handed_over_is_never_looked_up_on_the_disk() {
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        let key = dir.path().join("key");
        fs::write(&key, "key").expect("written");
        for path in [dir.path(), &key] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
        }
        assert!(SiteFiles::on_disk().is_open_to_all(&key));
        let received = SiteFiles::handed_over([(key.clone(), b"key"[..].into())]);
        assert!(!received.is_open_to_all(&key));
    }

    #[test]
    fn handed_over_files_are_exactly_those_that_were_read_with_their_first_contents() {
        let dir = tempfile::tempdir().expect("a directory");
        let [key, other] = ["key", "other"].map(|name| dir.path().join(name));
        fs::write(&key, [0, 159, 255]).expect("written");
        fs::write(&other, "other").expect("written");
        let disk = SiteFiles::on_disk();
        assert_eq!(*disk.read(&key).expect("read"), [0, 159, 255]);
        fs::write(&key, "changed").expect("written");
        assert_eq!(*disk.read(&key).expect("read"), [0, 159, 255], "the file was read twice");
        let received = SiteFiles::handed_over(disk.into_held());
        assert_eq!(*received.read(&key).expect("held"), [0, 159, 255]);
        let problem = received.read(&other).expect_err("not handed over").problem;
        let FileErrorKind::Unreadable(error) = problem else { panic!("{problem}") };
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
