//! A lab: an isolated network with an origin, an edge and a stranger behind one router, a PKI, a
//! directory, and a bpf file system in that directory.
//!
//! Labs have unique names, so any number of them can exist at the same time. Dropping a lab kills
//! the processes in it and removes everything.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};

use crate::topology::{EDGE, HOSTS, ORIGIN, ROUTER, STRANGER};
use crate::{Netns, Pki, cleanup, netns, topology};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The IP version of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// Both. A claim about packets must hold for both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

impl std::fmt::Display for IpVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An isolated network. The module's page describes it.
#[derive(Debug)]
pub struct Lab {
    name: String,
    dir: PathBuf,
    router: Netns,
    hosts: [Netns; 3],
    /// All certificates that the tests need, as files in the directory of the lab; none in a lab
    /// over cards.
    pub pki: Pki,
}

impl Lab {
    /// Builds a lab. First removes labs that killed runs have left.
    ///
    /// # Errors
    /// Without root, without iproute2, or where the kernel refuses namespaces or bpffs. A lab that
    /// is half built is removed.
    pub fn new() -> Result<Self> {
        Self::linked(None)
    }

    /// As [`Lab::new`], but the link between origin and router is a pair of network cards of this
    /// machine that are connected to each other: first the card of the origin, by their names.
    /// They come back when the lab is dropped. It has no PKI, which takes long on an emulated
    /// machine.
    ///
    /// # Errors
    /// As [`Lab::new`], and when there is no such card.
    pub fn over_cards(cards: [&str; 2]) -> Result<Self> {
        Self::linked(Some(cards))
    }

    fn linked(cards: Option<[&str; 2]>) -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "network namespaces need root");
        cleanup::sweep();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{}-{number}", cleanup::PREFIX, std::process::id());
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        let netns = |host: &str| Netns::new(format!("{name}-{host}"));
        let hosts = HOSTS.map(|host| netns(host.name));
        let router = netns(ROUTER);
        // From here on, an early return drops the lab and so removes what exists of it.
        let mut lab = Self { pki: Pki::default(), name, dir, router, hosts };
        lab.build(cards)?;
        Ok(lab)
    }

    fn build(&mut self, cards: Option<[&str; 2]>) -> Result<()> {
        let bpffs = self.bpffs();
        fs::create_dir(&bpffs)?;
        mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("cannot mount a bpf file system")?;
        // The first `ip netns add` on a machine mounts /run/netns. Two at once would mount it
        // twice.
        static ADDING: Mutex<()> = Mutex::new(());
        let adding = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.hosts.iter().chain([&self.router]);
        let lines: String = all.map(|netns| format!("netns add {}\n", netns.name())).collect();
        netns::ip(Command::new("ip"), &lines)?;
        drop(adding);
        topology::connect(&self.router, &self.hosts, cards)?;
        if cards.is_none() {
            self.pki = Pki::write(&self.dir.join("pki"))?;
        }
        Ok(())
    }

    /// The host that aop guards.
    #[must_use]
    pub fn origin(&self) -> &Netns {
        &self.hosts[0]
    }

    /// The host of the CDN. Its addresses are in Cloudflare's prefixes.
    #[must_use]
    pub fn edge(&self) -> &Netns {
        &self.hosts[1]
    }

    /// A host whose addresses are in no admitted prefix.
    #[must_use]
    pub fn stranger(&self) -> &Netns {
        &self.hosts[2]
    }

    /// The router between the three hosts.
    #[must_use]
    pub fn router(&self) -> &Netns {
        &self.router
    }

    /// The directory of the lab. Every user can read it. It is removed with the lab.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The bpf file system of the lab.
    #[must_use]
    pub fn bpffs(&self) -> PathBuf {
        self.dir.join("bpf")
    }

    /// A container on the origin. The origin publishes the container's port 80 as its own `port`,
    /// as container engines do: with address translation that happens before the host's own packet
    /// filter, and that filter drops `port` for every source.
    ///
    /// # Errors
    /// When the kernel or its tools refuse.
    pub fn publish_a_port(&self, port: u16) -> Result<Netns> {
        let container = Netns::new(format!("{}-container", self.name));
        netns::ip(Command::new("ip"), &format!("netns add {}\n", container.name()))?;
        topology::publish(self.origin(), &container, port)?;
        Ok(container)
    }

    /// A further host behind the router, at this address of a /28. Returns the name of its link on
    /// the router, too.
    ///
    /// # Errors
    /// When the kernel or its tools refuse.
    pub fn host_behind_router(&self, name: &str, address: Ipv4Addr) -> Result<(Netns, String)> {
        let host = Netns::new(format!("{}-{name}", self.name));
        netns::ip(Command::new("ip"), &format!("netns add {}\n", host.name()))?;
        topology::add_host(&self.router, &host, name, address)?;
        Ok((host, name.to_owned()))
    }

    /// Mounts a file system of `bytes` bytes on `disk` in the directory of the lab.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn small_disk(&self, bytes: u32) -> Result<PathBuf> {
        let disk = self.dir.join("disk");
        fs::create_dir(&disk)?;
        let size = format!("size={bytes}");
        mount(Some("tmpfs"), &disk, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .context("cannot mount a small disk")?;
        Ok(disk)
    }

    /// The address of `port` on the origin.
    #[must_use]
    pub fn origin_at(&self, version: IpVersion, port: u16) -> SocketAddr {
        SocketAddr::new(ORIGIN.address(version, 0), port)
    }

    /// The address from which the edge connects.
    #[must_use]
    pub fn edge_address(&self, version: IpVersion) -> IpAddr {
        EDGE.address(version, 0)
    }

    /// A second address of the edge, in the same published prefix.
    #[must_use]
    pub fn neighbour_address(&self, version: IpVersion) -> IpAddr {
        EDGE.address(version, 1)
    }

    /// The address of the stranger. No prefix contains it.
    #[must_use]
    pub fn stranger_address(&self, version: IpVersion) -> IpAddr {
        STRANGER.address(version, 0)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        cleanup::remove(&self.name);
    }
}
