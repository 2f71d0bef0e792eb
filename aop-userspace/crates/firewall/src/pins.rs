//! The pin directory `PINS/vN/`, where N is the layout version. It holds the maps by name, and a
//! link for each interface.
//!
//! The directory is named after the layout version, and each map's shape is compared before use,
//! since the kernel opens a pinned map of any shape. A start over the pins of an older layout takes
//! them over: see `migration`.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aop_common::layout::LAYOUT_VERSION;
use aya::programs::links::PinnedLink;
use rustix::{
    fs::{FlockOperation, flock, statfs},
    io::Errno,
};

use super::{error::FirewallError, migration};

/// BPF_FS_MAGIC, from the kernel's magic.h.
pub(super) const BPFFS: i64 = 0xcafe_4a11;
pub(super) const LINK: &str = "link-";
const SETTINGS: &str = "SETTINGS";
/// Suffix of a layout's directory while it is unloaded.
pub(super) const LEAVING: &str = "-leaving";

/// The directory of a layout version: in general of this build's.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    root: PathBuf,
    version: u32,
    /// Held by the writer; the kernel releases it with the last copy.
    lock: Arc<Mutex<Option<File>>>,
}

/// A pinned link, as its file name describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PinnedXdpLink {
    pub(super) mode: AttachMode,
    pub(super) interface: String,
}

/// The XDP mode of a link. The kernel does not report it, so the pin's name keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver of the interface.
    Native,
    /// In the kernel, after the driver.
    Generic,
}

impl AttachMode {
    /// `native` or `generic`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl PinnedXdpLink {
    /// The link whose pin has this name.
    pub(super) fn named(pin: &str) -> Option<Self> {
        let (mode, interface) = pin.strip_prefix(LINK)?.split_once('-')?;
        let mode = match mode {
            "native" => AttachMode::Native,
            "generic" => AttachMode::Generic,
            _ => return None,
        };
        Some(Self { mode, interface: interface.replace(':', ".") })
    }
}

impl Pins {
    /// Opens the directory for writing, and creates it where it is missing; and that of an older
    /// layout, if there is one. Uses the lock that was `handed` over, or takes its own.
    pub(super) fn open(
        root: &Path,
        handed: Option<OwnedFd>,
    ) -> Result<(Self, Option<Self>), FirewallError> {
        let missing = root.ancestors().find(|path| path.exists()).unwrap_or(root);
        let found = statfs(missing).map_err(|error| FirewallError::pin(missing, error.into()))?;
        if found.f_type != BPFFS {
            return Err(FirewallError::NotBpffs(root.into()));
        }
        let pins = Self::of(root, LAYOUT_VERSION);
        if let Some(left) = entries(root)?.iter().find(|it| it.ends_with(LEAVING)) {
            return Err(FirewallError::UnloadInterrupted { path: root.join(left) });
        }
        let found = layouts(root)?;
        let handed = handed.map(File::from);
        if let Some(found) = found.iter().copied().find(|version| *version > LAYOUT_VERSION) {
            // A newer build that was interrupted before it was complete has left the older pins,
            // and nobody holds its lock.
            let newer = Self::of(root, found);
            if !pins.has_settings()? || newer.take_lock(None).is_err() {
                return Err(FirewallError::NewerLayout { path: root.into(), found });
            }
            pins.take_lock(handed.as_ref())?;
            migration::take_back(&pins)?;
            pins.release_lock();
        }
        let older = found.into_iter().filter(|version| *version < LAYOUT_VERSION).max();
        let older = older.map(|version| Self::of(root, version));
        if let Some(older) = &older {
            older.take_lock(handed.as_ref())?;
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(pins.directory())
            .map_err(|error| FirewallError::pin(pins.directory(), error))?;
        pins.take_lock(handed.as_ref())?;
        Ok((pins, older))
    }

    fn of(root: &Path, version: u32) -> Self {
        Self { root: root.into(), version, lock: Arc::default() }
    }

    /// As [`Pins::existing`], but also those of an older layout, for its links.
    pub(super) fn older_existing(root: &Path) -> Result<Option<Self>, FirewallError> {
        match Self::existing(root) {
            Err(FirewallError::OlderLayout { found, .. }) => Ok(Some(Self::of(root, found))),
            existing => existing,
        }
    }

    /// The pins of newer layouts. Nobody else writes them while the caller has the lock.
    pub(super) fn newer(&self) -> Result<Vec<Self>, FirewallError> {
        let newer = layouts(&self.root)?.into_iter().filter(|version| *version > self.version);
        Ok(newer.map(|version| Self::of(&self.root, version)).collect())
    }

    /// One writer for each directory; two daemons would detach each other's interfaces.
    fn take_lock(&self, handed: Option<&File>) -> Result<(), FirewallError> {
        let failed = |error| FirewallError::pin(self.directory(), error);
        let directory = File::open(self.directory()).map_err(failed)?;
        let file = |file: &File| file.metadata().map(|found| (found.dev(), found.ino()));
        if let Some(handed) = handed
            && file(handed).map_err(failed)? == file(&directory).map_err(failed)?
        {
            *self.lock() = Some(handed.try_clone().map_err(failed)?);
            return Ok(());
        }
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(FirewallError::PinsTaken(self.root.clone())),
            locked => locked.map_err(|error| failed(error.into()))?,
        }
        *self.lock() = Some(directory);
        Ok(())
    }

    /// Whether a process holds the lock. Asks the list of the kernel: to try the lock would refuse
    /// a daemon that starts at this moment.
    pub(super) fn is_locked(&self) -> io::Result<bool> {
        let file = fs::metadata(self.directory())?;
        let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
        let file = format!("{major:02x}:{minor:02x}:{}", file.ino());
        let locks = fs::read_to_string("/proc/locks")?;
        Ok(locks.lines().any(|lock| lock.split_whitespace().any(|word| word == file)))
    }

    /// A copy of the lock, for the successor.
    pub(super) fn copy_lock(&self) -> Result<Option<OwnedFd>, FirewallError> {
        let copy = self.lock().as_ref().map(|lock| lock.try_clone().map(OwnedFd::from)).transpose();
        copy.map_err(|error| FirewallError::pin(self.directory(), error))
    }

    /// Releases the lock: from now on the successor is the only writer.
    pub(super) fn release_lock(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the directory for reading, if it exists.
    pub(super) fn existing(root: &Path) -> Result<Option<Self>, FirewallError> {
        let pins = Self::of(root, LAYOUT_VERSION);
        match fs::metadata(pins.directory()) {
            Ok(_) => Ok(Some(pins)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = root.into();
                match layouts(root)?.into_iter().max() {
                    Some(found) if found > LAYOUT_VERSION => {
                        Err(FirewallError::NewerLayout { path, found })
                    }
                    Some(found) => Err(FirewallError::OlderLayout { path, found }),
                    None => Ok(None),
                }
            }
            Err(error) => Err(FirewallError::pin(pins.directory(), error)),
        }
    }

    /// The name of the directory.
    pub(super) fn layout(&self) -> String {
        format!("v{}", self.version)
    }

    fn directory(&self) -> PathBuf {
        self.root.join(self.layout())
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    pub(super) fn link(&self, link: &PinnedXdpLink) -> PathBuf {
        // A bpffs allows no dot in a name, and no interface name has a colon.
        let interface = link.interface.replace('.', ":");
        self.directory().join(format!("{LINK}{}-{interface}", link.mode.name()))
    }

    /// Whether any map is pinned.
    pub(super) fn has_maps(&self) -> Result<bool, FirewallError> {
        Ok(entries(&self.directory())?.iter().any(|name| !name.starts_with(LINK)))
    }

    /// Whether the settings are pinned. Without them, the other maps are leftovers.
    pub(super) fn has_settings(&self) -> Result<bool, FirewallError> {
        let path = self.map(SETTINGS);
        path.try_exists().map_err(|error| FirewallError::pin(path, error))
    }

    /// The pinned links.
    pub(super) fn links(&self) -> Result<Vec<PinnedXdpLink>, FirewallError> {
        Ok(entries(&self.directory())?
            .iter()
            .filter_map(|name| PinnedXdpLink::named(name))
            .collect())
    }

    /// Removes the pin of `link`. If nothing else holds the link, the kernel detaches the program
    /// before this returns.
    pub(super) fn detach(&self, link: &PinnedXdpLink) -> Result<(), FirewallError> {
        let path = self.link(link);
        // A link that is closed last detaches at once; one that loses its pin last, some time
        // later.
        let held = PinnedLink::from_pin(&path);
        fs::remove_file(&path).map_err(|error| FirewallError::pin(path, error))?;
        drop(held);
        Ok(())
    }

    /// Renames the pin of `link` to the current name of its interface.
    pub(super) fn rename(
        &self,
        link: &PinnedXdpLink,
        interface: &str,
    ) -> Result<PinnedXdpLink, FirewallError> {
        let renamed = PinnedXdpLink { interface: interface.to_owned(), ..link.clone() };
        let (from, to) = (self.link(link), self.link(&renamed));
        fs::rename(&from, &to).map_err(|error| FirewallError::pin(from, error))?;
        Ok(renamed)
    }

    /// Moves the pins of all links to `to`. The programs stay attached.
    pub(super) fn move_links(&self, to: &Self) -> Result<(), FirewallError> {
        self.links()?.iter().try_for_each(|link| {
            let from = self.link(link);
            fs::rename(&from, to.link(link)).map_err(|error| FirewallError::pin(from, error))
        })
    }

    /// Removes the pins of all maps, the settings first.
    pub(super) fn remove_maps(&self) -> Result<(), FirewallError> {
        let mut maps = entries(&self.directory())?;
        maps.retain(|name| !name.starts_with(LINK));
        maps.sort_by_key(|name| name != SETTINGS);
        maps.iter().try_for_each(|name| self.remove_map(name))
    }

    pub(super) fn remove_map(&self, name: &str) -> Result<(), FirewallError> {
        let path = self.map(name);
        fs::remove_file(&path).map_err(|error| FirewallError::pin(path, error))
    }

    /// Removes the directory, which must be empty.
    pub(super) fn remove(&self) -> Result<(), FirewallError> {
        fs::remove_dir(self.directory())
            .map_err(|error| FirewallError::pin(self.directory(), error))
    }

    /// The parent of the directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// The layout versions that have a directory below `root`.
fn layouts(root: &Path) -> Result<Vec<u32>, FirewallError> {
    let version = |name: &String| name.strip_prefix('v')?.parse().ok();
    Ok(entries(root)?.iter().filter_map(version).collect())
}

/// Whether a name is that of a layout's directory: `v1`, `v2`, …, also one that an interrupted
/// unload has left.
pub(super) fn is_layout(name: &str) -> bool {
    let name = name.strip_suffix(LEAVING).unwrap_or(name);
    name.strip_prefix('v').is_some_and(|version| version.parse::<u32>().is_ok())
}

/// The names in `directory`; none where it does not exist.
pub(super) fn entries(directory: &Path) -> Result<Vec<String>, FirewallError> {
    let failed = |error| FirewallError::pin(directory, error);
    match fs::read_dir(directory) {
        Ok(found) => found
            .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}
