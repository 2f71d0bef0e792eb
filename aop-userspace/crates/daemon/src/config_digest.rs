//! Digests of what the configuration in force was read from, to find changes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use aop_config::SiteConfig;
use aws_lc_rs::digest::{SHA256, digest};

/// The text of a configuration, and the content of every file that its sites name.
pub(crate) struct ConfigDigest {
    pub(super) text: String,
    /// SHA-256 of each file.
    files: BTreeMap<PathBuf, [u8; 32]>,
    /// The content of each revocation list: it may have to stay in force.
    lists: BTreeMap<PathBuf, Arc<[u8]>>,
}

impl ConfigDigest {
    /// `sites` name the files.
    pub(super) fn new(
        text: String,
        files: &BTreeMap<PathBuf, Arc<[u8]>>,
        sites: &[SiteConfig],
    ) -> Self {
        let lists = sites.iter().flat_map(|site| &site.rules.revocation.files);
        let lists = lists.filter_map(|path| Some((path.clone(), files.get(path)?.clone())));
        let lists = lists.collect();
        let files = files.iter().map(|(path, bytes)| (path.clone(), sha256(bytes)));
        Self { text, files: files.collect(), lists }
    }

    /// The content of a revocation list.
    pub(super) fn list(&self, path: &Path) -> Option<Arc<[u8]>> {
        self.lists.get(path).cloned()
    }

    /// A digest of the text, of the paths and content of the files, and of which sites are
    /// `observing`, which mode overrides may change.
    pub(super) fn digest(&self, observing: &[String]) -> String {
        let mut bytes = sha256(self.text.as_bytes()).to_vec();
        for site in observing {
            bytes.extend(sha256(site.as_bytes()));
        }
        for (path, sum) in &self.files {
            bytes.extend(sha256(path.as_os_str().as_encoded_bytes()));
            bytes.extend(sum);
        }
        sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The files, each once.
    pub(super) fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// The files whose content differs now, or that cannot be read.
    pub(super) fn changed(&self) -> Vec<&Path> {
        let differs = |(path, known): &(&PathBuf, &[u8; 32])| {
            fs::read(path).map_or(true, |bytes| sha256(&bytes) != **known)
        };
        self.files.iter().filter(differs).map(|(path, _)| path.as_path()).collect()
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}
