//! Which process holds which socket.

use std::{collections::HashMap, fs, path::Path};

/// The names of the processes that hold these sockets, by inode. Without privilege, processes of
/// other users are missing.
pub(in crate::doctor) fn owners(inodes: &[u64]) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let path = process.path();
        let is_process = path.file_name().and_then(|name| name.to_str());
        if !is_process.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        for inode in held_below(&path) {
            if inodes.contains(&inode) && !found.contains_key(&inode) {
                let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
                found.insert(inode, aop_tls::printable(name.trim_end()));
            }
        }
    }
    found
}

/// The inodes of the sockets that a process holds; empty if its descriptors cannot be read.
pub(in crate::doctor) fn held(process: u32) -> Vec<u64> {
    held_below(&Path::new("/proc").join(process.to_string()))
}

fn held_below(process: &Path) -> Vec<u64> {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let target = |file: fs::DirEntry| fs::read_link(file.path()).ok();
    let inode = |target: std::path::PathBuf| {
        let text = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        text.parse().ok()
    };
    files.filter_map(target).filter_map(inode).collect()
}
