//! A host of the inventory: a booted Debian with sshd, Python and an application behind aop.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::Result;

use super::edge::{Edge, NETWORK};
use crate::{
    booted::{Layer, Machine, Network, Recipe},
    debian::Release,
    netns::{self, Namespace},
};

/// The programs that Ansible needs.
const RECIPE: Recipe =
    Recipe { name: "ansible", programs: "openssh-server python3 python3-apt", resting: &[] };

/// Dropping it removes everything.
pub(super) struct Host {
    machine: Machine,
    _network: Namespace,
    address: String,
}

impl Host {
    /// Boots the host with this number, and links it to the edge.
    pub(super) fn start(release: Release, number: u8, edge: &Edge) -> Result<Self> {
        let base = RECIPE.base(release)?;
        let network = Namespace::make(&format!("aop-{release}"))?;
        let (address, gateway) = (format!("192.0.{number}.1"), format!("192.0.{number}.2"));
        let far = format!("to-{release}");
        netns::ip(&format!(
            "-n {} link add eth0 type veth peer name {far} netns {NETWORK}",
            network.name()
        ))?;
        netns::ip(&format!("-n {NETWORK} address add {gateway}/24 dev {far}"))?;
        netns::ip(&format!("-n {NETWORK} link set {far} up"))?;

        let layer = Layer::over(&base, release.name())?;
        // The system has no way to Debian's mirror.
        layer.write("etc/apt/sources.list", "")?;
        layer.write(
            "root/.ssh/authorized_keys",
            &fs::read_to_string(edge.ssh_key().with_extension("pub"))?,
        )?;
        // Else sshd refuses the key.
        fs::set_permissions(layer.path("root/.ssh"), fs::Permissions::from_mode(0o700))?;
        let own = format!("{address}/24");
        let machine = Machine::boot(
            layer,
            &Network { namespace: network.name(), addresses: &[&own], gateways: &[&gateway] },
        )?;
        Ok(Self { machine, _network: network, address })
    }

    pub(super) fn release(&self) -> &str {
        self.machine.name()
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Runs a script that must succeed; returns its output.
    pub(super) fn run(&self, script: &str) -> Result<String> {
        self.machine.run(script)
    }

    /// Puts the keys of a site into place.
    pub(super) fn give_keys(&self, edge: &Edge) -> Result<()> {
        let folder = self.machine.path("etc/aop");
        fs::create_dir_all(&folder)?;
        for file in ["site.pem", "site.key", "ca.pem"] {
            fs::copy(edge.folder().join(file), folder.join(file))?;
        }
        fs::set_permissions(folder.join("site.key"), fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    /// Starts the application of the site.
    pub(super) fn start_application(&self) -> Result<()> {
        self.run("systemd-run --unit=application python3 -m http.server --bind 127.0.0.1 8080")?;
        Ok(())
    }
}
