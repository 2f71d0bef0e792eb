//! Takes a world down, whether its maker is done with it or was killed.
//!
//! A world is known by its name alone: namespaces and a directory that begin with it. So the same
//! code serves a clean end and a later run that finds the remains of a crashed one.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How the names of all worlds begin; the maker's process id follows.
pub(crate) const PREFIX: &str = "aop-world-";

/// Removes the worlds of dead makers.
pub(crate) fn sweep() {
    for name in worlds() {
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&name);
        }
    }
}

/// Removes the world `name`: its processes, namespaces, mounts and files. What cannot be removed
/// is left for the next sweep.
pub(crate) fn remove(name: &str) {
    for netns in namespaces(name) {
        for pid in processes(&netns) {
            // Gone already is as good.
            kill(pid, Signal::SIGKILL).ok();
        }
        // Out of the terminal's group: Ctrl-C must not cut the cleaning short.
        let mut delete = Command::new("ip");
        delete.args(["netns", "delete", &netns]).process_group(0).output().ok();
    }
    let dir = std::env::temp_dir().join(name);
    let mounts = ["bpf", "disk"].map(|name| dir.join(name));
    for mount in &mounts {
        umount2(mount, MntFlags::MNT_DETACH).ok();
    }
    // A bpf file system that is still mounted must not be emptied file by file.
    if !mounts.iter().any(|mount| mounted(mount)) {
        fs::remove_dir_all(&dir).ok();
    }
}

/// The names of all worlds, by their directories and namespaces.
fn worlds() -> Vec<String> {
    let mut names: Vec<String> = entries(&std::env::temp_dir());
    for netns in entries(Path::new("/run/netns")) {
        // aop-world-PID-N-HOST
        if let Some((world, _host)) = netns.rsplit_once('-') {
            names.push(world.to_owned());
        }
    }
    names.retain(|name| name.starts_with(PREFIX));
    names.sort();
    names.dedup();
    names
}

fn namespaces(world: &str) -> Vec<String> {
    let start = format!("{world}-");
    entries(Path::new("/run/netns")).into_iter().filter(|name| name.starts_with(&start)).collect()
}

fn entries(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The processes that live in a namespace, never this one.
fn processes(netns: &str) -> Vec<Pid> {
    let mut list = Command::new("ip");
    let Ok(output) = list.args(["netns", "pids", netns]).process_group(0).output() else {
        return Vec::new();
    };
    let listed = String::from_utf8_lossy(&output.stdout);
    let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.map(Pid::from_raw).filter(|pid| *pid != Pid::this()).collect()
}

fn mounted(dir: &Path) -> bool {
    // Without an answer, assume the worst.
    fs::read_to_string("/proc/self/mounts")
        .map_or(true, |mounts| mounts.lines().any(|line| line.split(' ').nth(1) == dir.to_str()))
}
