//! Removes the firewall: every pin of aop, of any layout version, and nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::links::PinnedLink;
use rustix::{fs::statfs, io::Errno};

use super::{
    error::FirewallError,
    pins::{BPFFS, LEAVING, LINK, PinnedXdpLink, entries, is_layout},
};

/// Removes the pins below `root`, links first, and `root` itself if it is empty then. Returns the
/// interfaces; `None` where there were no pins.
pub(super) fn unload(root: &Path) -> Result<Option<Vec<String>>, FirewallError> {
    match statfs(root) {
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(FirewallError::pin(root, error.into())),
        Ok(found) if found.f_type != BPFFS => return Err(FirewallError::NotBpffs(root.into())),
        Ok(_) => {}
    }
    let layouts: Vec<String> = entries(root)?.into_iter().filter(|name| is_layout(name)).collect();
    let mut interfaces = Vec::new();
    for layout in &layouts {
        interfaces.extend(remove(root, layout)?);
    }
    match fs::remove_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        // The directory was prepared for this user, who may not change its parent.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        removed => removed.map_err(|error| FirewallError::pin(root, error))?,
    }
    Ok((!layouts.is_empty()).then_some(interfaces))
}

fn remove(root: &Path, layout: &str) -> Result<Vec<String>, FirewallError> {
    let directory = root.join(layout);
    let (links, maps): (Vec<_>, Vec<_>) =
        entries(&directory)?.into_iter().partition(|name| name.starts_with(LINK));
    if let Some(foreign) = maps.iter().find(|name| !is_map(name)) {
        return Err(FirewallError::ForeignPin(directory.join(foreign)));
    }
    let directory = aside(root, layout)?;
    for name in links.iter().chain(&maps) {
        let path = directory.join(name);
        // Kept open during the removal, so that the kernel detaches before this returns.
        let held = PinnedLink::from_pin(&path);
        fs::remove_file(&path).map_err(|error| FirewallError::pin(path, error))?;
        drop(held);
    }
    fs::remove_dir(&directory).map_err(|error| FirewallError::pin(directory, error))?;
    Ok(links.iter().filter_map(|name| Some(PinnedXdpLink::named(name)?.interface)).collect())
}

/// Renames a layout's directory in one step. A running daemon then sees that everything was
/// unloaded, and does not attach again because of a single missing link.
fn aside(root: &Path, layout: &str) -> Result<PathBuf, FirewallError> {
    let from = root.join(layout);
    if layout.ends_with(LEAVING) {
        return Ok(from);
    }
    let to = root.join(format!("{layout}{LEAVING}"));
    fs::rename(&from, &to).map_err(|error| FirewallError::pin(from, error))?;
    Ok(to)
}

/// Whether a name is written like those of aop's maps, in every layout.
fn is_map(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
