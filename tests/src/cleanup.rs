//! Removes a lab: when its process drops it, and when a later run finds what a killed run left.
//!
//! The name of a lab is enough to remove it, because its namespaces and its directory begin with
//! that name.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The prefix of the names of all labs. The process id of the owner follows.
pub(crate) const PREFIX: &str = "aop-lab-";

/// Removes the labs whose owner no longer runs.
pub(crate) fn sweep() {
    for name in labs() {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&name);
        }
    }
}

/// Removes the lab `name`: its processes, namespaces, mounts and files. Leaves what cannot be
/// removed to the next sweep.
pub(crate) fn remove(name: &str) {
    for netns in namespaces(name) {
        for pid in processes(&netns) {
            // An error means that the process has exited.
            kill(pid, Signal::SIGKILL).ok();
        }
        // A process group of its own: Ctrl-C must not interrupt the cleanup.
        let mut delete = Command::new("ip");
        delete.args(["netns", "delete", &netns]).process_group(0).output().ok();
    }
    let dir = std::env::temp_dir().join(name);
    let mounts = ["bpf", "disk"].map(|name| dir.join(name));
    for mount in &mounts {
        umount2(mount, MntFlags::MNT_DETACH).ok();
    }
    // Do not delete the files of a bpf file system that is still mounted.
    if !mounts.iter().any(|mount| mounted(mount)) {
        fs::remove_dir_all(&dir).ok();
    }
}

/// The names of all labs, from their directories and namespaces.
fn labs() -> Vec<String> {
    let mut names: Vec<String> = entries(&std::env::temp_dir());
    for netns in entries(Path::new("/run/netns")) {
        // aop-lab-PID-N-HOST
        if let Some((lab, _host)) = netns.rsplit_once('-') {
            names.push(lab.to_owned());
        }
    }
    names.retain(|name| name.starts_with(PREFIX));
    names.sort();
    names.dedup();
    names
}

fn namespaces(lab: &str) -> Vec<String> {
    let start = format!("{lab}-");
    entries(Path::new("/run/netns")).into_iter().filter(|name| name.starts_with(&start)).collect()
}

fn entries(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The processes in a namespace, except this one.
fn processes(netns: &str) -> Vec<Pid> {
    let mut list = Command::new("ip");
    let Ok(output) = list.args(["netns", "pids", netns]).process_group(0).output() else {
        return Vec::new();
    };
    let listed = String::from_utf8_lossy(&output.stdout);
    let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.map(Pid::from_raw).filter(|pid| *pid != Pid::this()).collect()
}

/// Whether `dir` is a mount point; true when that is unknown.
fn mounted(dir: &Path) -> bool {
    fs::read_to_string("/proc/self/mounts")
        .map_or(true, |mounts| mounts.lines().any(|line| line.split(' ').nth(1) == dir.to_str()))
}
