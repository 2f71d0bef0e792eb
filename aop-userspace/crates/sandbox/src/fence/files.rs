//! Landlock: which files can be opened.
//!
//! Configuration and keys come over the channel, sockets and maps as descriptors. So all that is left
//! is what libc reads to look up a name: an upstream's, or the one of a list's URL. Those files can be
//! read; nothing can be written, made, removed or executed. Connecting to a Unix socket opens no file
//! in Landlock's sense.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::FenceError;

/// What is asked for; an older kernel does what it can.
const WANTED: ABI = ABI::V6;

/// What glibc reads to look up a host.
const FILES: [&str; 7] = [
    "/etc/hosts",
    RESOLV_CONF,
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ld.so.cache",
];

/// It is often a link into a folder of systemd-resolved, resolvconf or NetworkManager.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Modules of the name service that nsswitch.conf may name, and what these need.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// How a process looks up names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Perhaps, and not for long: from the files that are there now. A rule of Landlock is about the file,
    /// not its name, so one that takes its place cannot be read.
    Now,
    /// For as long as it lives: from whatever takes the place of a file in `/etc`, as DHCP clients write
    /// a new `resolv.conf`. So all of `/etc` that its user may read can be read.
    Ever,
}

/// Fences the calling thread in. Returns the kernel's ABI of Landlock, where it has any.
pub(super) fn fence(names: Names) -> Result<Option<i32>, FenceError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        // No rule follows: no TCP port can be bound.
        .handle_access(AccessNet::BindTcp)?
        // Abstract Unix sockets of others are out of reach, and so are other processes' ears.
        .scope(Scope::from_all(WANTED))?
        .create()?;
    let ruleset = places(names).iter().try_fold(ruleset, allow)?;
    let status = ruleset.restrict_self()?;
    match (status.landlock, status.ruleset) {
        (LandlockStatus::NotEnabled | LandlockStatus::NotImplemented, _) => Ok(None),
        (LandlockStatus::Available { .. }, RulesetStatus::NotEnforced) => {
            Err(FenceError::Unenforced)
        }
        (LandlockStatus::Available { effective_abi, kernel_abi }, _) => {
            Ok(Some(kernel_abi.unwrap_or(effective_abi as i32)))
        }
    }
}

fn places(names: Names) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = LIBRARIES.iter().chain(&FILES).map(PathBuf::from).collect();
    if names == Names::Ever {
        places.push("/etc".into());
    }
    // The folder, for the file in it is replaced at every change.
    let target = Path::new(RESOLV_CONF).canonicalize().ok();
    let folder = target.as_deref().and_then(Path::parent);
    places.extend(folder.filter(|folder| *folder != Path::new("/etc")).map(Path::to_path_buf));
    places
}

/// What is not there cannot be read, and needs no rule.
fn allow(ruleset: RulesetCreated, place: &PathBuf) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(place) {
        Ok(opened) => ruleset.add_rule(PathBeneath::new(opened, AccessFs::ReadFile)),
        Err(_) => Ok(ruleset),
    }
}
