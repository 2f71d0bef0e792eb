//! The pin directory: `PINS/v1/` holds the maps by name and a link for each interface.
//!
//! The directory's name carries the layout version and each map's shape is compared before use:
//! the kernel would hand out a pinned map of any shape.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use aop_common::layout::LAYOUT_VERSION;
use aya::programs::links::PinnedLink;
use rustix::fs::statfs;

use super::error::FirewallError;

/// BPF_FS_MAGIC, from the kernel's magic.h.
const BPFFS: i64 = 0xcafe_4a11;
const LINK: &str = "link-";

/// The directory of this build's layout version.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    root: PathBuf,
}

/// A pinned link, as its file name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) mode: AttachMode,
    pub(super) interface: String,
}

/// The XDP mode that a link has. The kernel does not tell it of a link, so the pin's name keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttachMode {
    Native,
    Generic,
}

impl AttachMode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl Pins {
    /// Opens the directory, making it where it is missing.
    pub(super) fn open(root: &Path) -> Result<Self, FirewallError> {
        let missing = root.ancestors().find(|path| path.exists()).unwrap_or(root);
        let found = statfs(missing).map_err(|error| FirewallError::pin(missing, error.into()))?;
        if found.f_type != BPFFS {
            return Err(FirewallError::NotBpffs(root.into()));
        }
        let pins = Self { root: root.into() };
        if let Some(found) = pins.other_layout()? {
            return Err(FirewallError::OtherLayout { path: root.into(), found });
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(pins.directory())
            .map_err(|error| FirewallError::pin(pins.directory(), error))?;
        Ok(pins)
    }

    /// The directory, if it is there.
    pub(super) fn existing(root: &Path) -> Result<Option<Self>, FirewallError> {
        let pins = Self { root: root.into() };
        match fs::metadata(pins.directory()) {
            Ok(_) => Ok(Some(pins)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match pins.other_layout()? {
                Some(found) => Err(FirewallError::OtherLayout { path: root.into(), found }),
                None => Ok(None),
            },
            Err(error) => Err(FirewallError::pin(pins.directory(), error)),
        }
    }

    fn other_layout(&self) -> Result<Option<String>, FirewallError> {
        let ours = format!("v{LAYOUT_VERSION}");
        Ok(entries(&self.root)?.into_iter().find(|name| *name != ours))
    }

    fn directory(&self) -> PathBuf {
        self.root.join(format!("v{LAYOUT_VERSION}"))
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    pub(super) fn link(&self, link: &Link) -> PathBuf {
        self.directory().join(format!("{LINK}{}-{}", link.mode.name(), link.interface))
    }

    /// Whether any map is pinned.
    pub(super) fn has_maps(&self) -> bool {
        entries(&self.directory())
            .is_ok_and(|names| names.iter().any(|name| !name.starts_with(LINK)))
    }

    /// The pinned links.
    pub(super) fn links(&self) -> Result<Vec<Link>, FirewallError> {
        let link = |name: String| {
            let (mode, interface) = name.strip_prefix(LINK)?.split_once('-')?;
            let mode = match mode {
                "native" => AttachMode::Native,
                "generic" => AttachMode::Generic,
                _ => return None,
            };
            Some(Link { mode, interface: interface.to_owned() })
        };
        Ok(entries(&self.directory())?.into_iter().filter_map(link).collect())
    }

    /// Removes the pin of `link`. Where nobody else holds it the program leaves the interface, soon
    /// after; at once where the caller held it open and then closes it.
    pub(super) fn detach(&self, link: &Link) -> Result<(), FirewallError> {
        let path = self.link(link);
        fs::remove_file(&path).map_err(|error| FirewallError::pin(path, error))
    }

    /// Takes back the links that a failed start made.
    pub(super) fn forget_all_but(&self, before: &[Link]) {
        for link in self.links().unwrap_or_default() {
            if !before.contains(&link)
                && let Err(error) = self.detach(&link)
            {
                tracing::error!(
                    interface = link.interface,
                    "cannot detach after a failed start: {error}"
                );
            }
        }
    }

    /// Removes everything, the root included.
    pub(super) fn remove(&self) -> Result<(), FirewallError> {
        unload(&self.root).map(|_| ())
    }
}

/// Removes every pin below `root`, links first, and `root` itself. Returns the interfaces.
pub(super) fn unload(root: &Path) -> Result<Vec<String>, FirewallError> {
    let mut interfaces = Vec::new();
    for layout in entries(root)? {
        let directory = root.join(layout);
        let (links, maps): (Vec<_>, Vec<_>) =
            entries(&directory)?.into_iter().partition(|name| name.starts_with(LINK));
        for name in links.iter().chain(&maps) {
            let path = directory.join(name);
            // Held open over the removal, so that the kernel detaches before this returns.
            let held = PinnedLink::from_pin(&path);
            fs::remove_file(&path).map_err(|error| FirewallError::pin(path, error))?;
            drop(held);
        }
        interfaces
            .extend(links.iter().filter_map(|name| Some(name.splitn(3, '-').nth(2)?.to_owned())));
        fs::remove_dir(&directory).map_err(|error| FirewallError::pin(directory, error))?;
    }
    match fs::remove_dir(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FirewallError::pin(root, error))
        }
        Ok(()) | Err(_) => Ok(interfaces),
    }
}

/// The names in `directory`; none where it does not exist.
fn entries(directory: &Path) -> Result<Vec<String>, FirewallError> {
    let failed = |error| FirewallError::pin(directory, error);
    match fs::read_dir(directory) {
        Ok(found) => found
            .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}
