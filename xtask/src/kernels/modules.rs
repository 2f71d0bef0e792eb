//! The modules of a kernel that an emulated machine loads.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result};

use super::run_silent;

/// The modules that the tests use, besides those of the cards. Some kernels have some of them built
/// in, and these are not listed by depmod.
pub(super) const USED: [&str; 14] = [
    "virtio_pci",
    "veth",
    "8021q",
    "bonding",
    "bridge",
    "macvlan",
    "vxlan",
    "gre",
    "ip_gre",
    "sit",
    "wireguard",
    "tun",
    "dummy",
    "af_packet",
];

/// The files of these modules and of those that they need, in the order in which they can be
/// loaded. `base` is the folder that contains `lib/modules`.
pub(super) fn files(base: &Path, version: &str, wanted: &[&str]) -> Result<Vec<String>> {
    run_silent(Command::new("depmod").arg("--basedir").arg(base).arg(version))?;
    let path = base.join("lib/modules").join(version).join("modules.dep");
    let table = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(load_order(&table, wanted))
}

/// The order, from a `modules.dep`: each line is the path of a module, and behind a colon the
/// modules that it needs, the last one first to be loaded.
fn load_order(table: &str, wanted: &[&str]) -> Vec<String> {
    let lines = table.lines().filter_map(|line| line.split_once(':'));
    let modules: BTreeMap<String, (&str, &str)> =
        lines.map(|(path, needs)| (name(path), (path, needs))).collect();
    let mut order: Vec<String> = Vec::new();
    for (path, needs) in wanted.iter().filter_map(|module| modules.get(*module)) {
        for file in needs.split_whitespace().rev().chain([*path]) {
            if !order.iter().any(|earlier| earlier == file) {
                order.push(file.to_owned());
            }
        }
    }
    order
}

/// The name of a module, from its path. The kernel takes dashes as underscores.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_once_and_behind_those_that_it_needs() {
        let table = "kernel/net/llc/llc.ko.xz:\n\
                     kernel/net/802/stp.ko.xz: kernel/net/llc/llc.ko.xz\n\
                     kernel/net/bridge/bridge.ko.xz: kernel/net/802/stp.ko.xz kernel/net/llc/llc.ko.xz\n\
                     kernel/drivers/net/virtio-net.ko: kernel/drivers/net/failover.ko\n";
        let order = load_order(table, &["bridge", "virtio_net", "built_in", "stp"]);
        let names: Vec<_> = order.iter().map(|path| name(path)).collect();
        assert_eq!(names, ["llc", "stp", "bridge", "failover", "virtio_net"]);
    }
}
