//! Taking the firewall down: every pin of ours, of any layout version, and nothing else.

use std::{fs, io, path::Path};

use aya::programs::links::PinnedLink;
use rustix::{fs::statfs, io::Errno};

use super::{
    error::FirewallError,
    pins::{BPFFS, LINK, entries, is_layout},
};

/// Removes the pins below `root`, links first, and `root` itself where nothing else is in it.
/// Returns the interfaces; `None` where there were no pins.
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
        interfaces.extend(remove(&root.join(layout))?);
    }
    match fs::remove_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        removed => removed.map_err(|error| FirewallError::pin(root, error))?,
    }
    Ok((!layouts.is_empty()).then_some(interfaces))
}

fn remove(directory: &Path) -> Result<Vec<String>, FirewallError> {
    let (links, maps): (Vec<_>, Vec<_>) =
        entries(directory)?.into_iter().partition(|name| name.starts_with(LINK));
    if let Some(foreign) = maps.iter().find(|name| !is_map(name)) {
        return Err(FirewallError::ForeignPin(directory.join(foreign)));
    }
    for name in links.iter().chain(&maps) {
        let path = directory.join(name);
        // Held open over the removal, so that the kernel detaches before this returns.
        let held = PinnedLink::from_pin(&path);
        fs::remove_file(&path).map_err(|error| FirewallError::pin(path, error))?;
        drop(held);
    }
    fs::remove_dir(directory).map_err(|error| FirewallError::pin(directory, error))?;
    Ok(links.iter().filter_map(|name| Some(name.splitn(3, '-').nth(2)?.to_owned())).collect())
}

/// Whether a name is written as those of our maps are, in every layout.
fn is_map(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
