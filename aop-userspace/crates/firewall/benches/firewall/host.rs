//! The host under load: network and mount namespaces of this process, and a veth pair, one end of
//! which has the addresses of the scene.

use std::{path::Path, process::Command};

use aop_packets::Scene;
use nix::{
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
};

/// The receiving end and the sending end.
pub(crate) const IN: &str = "in0";
pub(crate) const OUT: &str = "out0";
/// The destination address of the frames in the corpus.
const MAC: &str = "02:00:00:00:00:01";
/// A bpffs in the mount namespace of this process.
pub(crate) const BPFFS: &str = "/sys/fs/bpf";

pub(crate) struct Host {
    /// The index of [`OUT`].
    pub(crate) sender: u32,
}

impl Host {
    /// Must be called before any thread is started.
    pub(crate) fn alone() -> Self {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .expect("namespaces (needs root)");
        run("mount --make-rprivate /");
        run("mount -t sysfs sys /sys");
        run(&format!("mount -t bpf bpf {BPFFS}"));
        let Scene { v4, v6, .. } = Scene::FIXED;
        let (v4, v6) = (std::net::Ipv4Addr::from(v4.origin), std::net::Ipv6Addr::from(v6.origin));
        run("ip link set lo up");
        run(&format!("ip link add {IN} address {MAC} type veth peer name {OUT}"));
        // Without GRO, a veth accepts redirected XDP frames only while it has a program itself.
        if is_there("ethtool") {
            run(&format!("ethtool -K {IN} gro on"));
        }
        run(&format!("ip addr add {v4}/24 dev {IN}"));
        run(&format!("ip addr add {v6}/64 dev {IN} nodad"));
        run(&format!("ip link set {OUT} up"));
        run(&format!("ip link set {IN} up"));
        // Sources must be routable through the interface on which they arrive.
        run(&format!("ip route add default dev {IN}"));
        run(&format!("ip -6 route add default dev {IN}"));
        Self { sender: if_nametoindex(OUT).unwrap() }
    }
}

/// Runs a command line; spaces separate its words.
pub(crate) fn run(line: &str) {
    tried(line).unwrap_or_else(|said| panic!("{line}: {said}"));
}

/// Runs a command line; returns its output, or its error output if it fails.
pub(crate) fn tried(line: &str) -> Result<String, String> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Whether a program is installed.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).any(|file| Path::is_file(&file))
}
