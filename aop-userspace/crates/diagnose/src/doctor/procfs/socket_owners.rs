//! Which process holds which socket.

use std::{collections::HashMap, fs, path::Path};

use aop_api::Status;

/// The names of the processes that hold sockets.
pub(in crate::doctor) struct SocketOwners {
    by_inode: HashMap<u64, String>,
}

impl SocketOwners {
    /// The owners of the sockets with these inodes. Without privilege, processes of other users are
    /// missing.
    pub(in crate::doctor) fn find(inodes: impl IntoIterator<Item = u64>) -> Self {
        let wanted: Vec<u64> = inodes.into_iter().collect();
        let mut by_inode = HashMap::new();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let path = process.path();
            let is_process = path.file_name().and_then(|name| name.to_str());
            if !is_process.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
                continue;
            }
            for inode in sockets_below(&path) {
                if wanted.contains(&inode) && !by_inode.contains_key(&inode) {
                    let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
                    by_inode.insert(inode, aop_tls::printable(name.trim_end()));
                }
            }
        }
        Self { by_inode }
    }

    /// The name of the owner; `None` if it is not known.
    pub(in crate::doctor) fn name(&self, inode: u64) -> Option<&str> {
        self.by_inode.get(&inode).map(String::as_str)
    }

    /// The owner as a part of a sentence.
    pub(in crate::doctor) fn describe(&self, inode: u64) -> &str {
        self.name(inode).unwrap_or("an unknown program")
    }
}

/// The inodes of the sockets of the running aop and of its draining predecessors.
pub(in crate::doctor) fn sockets_of_aop(status: &Status) -> Vec<u64> {
    let daemon = status.daemon.iter().map(|it| it.pid);
    let terminator = status.terminator.iter().map(|it| it.pid);
    let pids = daemon.chain(terminator).chain(status.predecessors.iter().map(|it| it.pid));
    pids.flat_map(sockets_of_process).collect()
}

/// The inodes of the sockets of systemd, which may hold listeners for a program (aop.socket).
pub(in crate::doctor) fn sockets_of_systemd() -> Vec<u64> {
    let name = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    if name.trim_end() == "systemd" { sockets_of_process(1) } else { Vec::new() }
}

fn sockets_of_process(process: u32) -> Vec<u64> {
    sockets_below(&Path::new("/proc").join(process.to_string()))
}

fn sockets_below(process: &Path) -> Vec<u64> {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let target = |file: fs::DirEntry| fs::read_link(file.path()).ok();
    let inode = |target: std::path::PathBuf| {
        let text = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        text.parse().ok()
    };
    files.filter_map(target).filter_map(inode).collect()
}
