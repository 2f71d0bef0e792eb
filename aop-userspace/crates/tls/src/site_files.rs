//! The only place that reads the files of sites: from the disk, or as the daemon handed them over.
//!
//! The terminator process may not read key files, so the daemon hands over their contents. Both
//! processes build their sites with the same code, from the same bytes.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    fs, io,
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
        let bytes = self.bytes(file).map_err(|error| FileErrorKind::Unreadable(error).of(file))?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(FileErrorKind::Empty.of(file));
        }
        Ok(bytes)
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
    use super::*;

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
