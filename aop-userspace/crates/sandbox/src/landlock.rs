//! Landlock: the files that a sandboxed process may open.
//!
//! Configuration and keys arrive over the channel, sockets and maps as descriptors. So the process
//! needs only the files that libc reads to look up a name, of an upstream or in the URL of a list.
//! Those can be read; no file can be written, created, removed or executed. Connecting to a Unix
//! socket does not open a file in the sense of Landlock.

use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::SandboxError;

/// The requested ABI version. An older kernel enforces the part that it knows.
const WANTED: ABI = ABI::V6;

/// The files that glibc reads to look up a host.
const FILES: [&str; 7] = [
    "/etc/hosts",
    RESOLV_CONF,
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ld.so.cache",
];

/// Often a symbolic link into a directory of systemd-resolved, resolvconf or NetworkManager.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The modules that nsswitch.conf may name, and the libraries that they need.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// How long a process looks up names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameLookup {
    /// For a short time, or not at all: it may read the files that exist now. A rule of Landlock
    /// covers the file, not its name, so a file that replaces it later cannot be read.
    AtStart,
    /// For its whole life: it may read all of `/etc`, as far as its user may, since DHCP clients
    /// replace `resolv.conf` by a new file.
    Always,
}

/// Restricts the calling thread. Returns the kernel's ABI version of Landlock, if it has Landlock.
pub(crate) fn restrict(names: NameLookup) -> Result<Option<i32>, SandboxError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        // No rule follows, so no TCP port can be bound.
        .handle_access(AccessNet::BindTcp)?
        // No connection to abstract Unix sockets outside, and no signal to processes outside.
        .scope(Scope::from_all(WANTED))?
        .create()?;
    let ruleset = readable_paths(names).iter().try_fold(ruleset, allow)?;
    let status = ruleset.restrict_self()?;
    match (status.landlock, status.ruleset) {
        (LandlockStatus::NotEnabled | LandlockStatus::NotImplemented, _) => Ok(None),
        (LandlockStatus::Available { .. }, RulesetStatus::NotEnforced) => {
            Err(SandboxError::NotEnforced)
        }
        (LandlockStatus::Available { effective_abi, kernel_abi }, _) => {
            Ok(Some(kernel_abi.unwrap_or(effective_abi as i32)))
        }
    }
}

fn readable_paths(names: NameLookup) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = LIBRARIES.iter().chain(&FILES).map(PathBuf::from).collect();
    if names == NameLookup::Always {
        paths.push("/etc".into());
    }
    // The directory, since the file in it is replaced at every change.
    let target = Path::new(RESOLV_CONF).canonicalize().ok();
    let folder = target.as_deref().and_then(Path::parent);
    paths.extend(folder.filter(|folder| *folder != Path::new("/etc")).map(Path::to_path_buf));
    paths
}

/// Adds a rule to read `path`. A path that does not exist needs no rule.
fn allow(ruleset: RulesetCreated, path: &PathBuf) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(opened) => ruleset.add_rule(PathBeneath::new(opened, AccessFs::ReadFile)),
        Err(_) => Ok(ruleset),
    }
}
