//! One isolated world: an internet with an origin, an edge and a stranger on it, a directory of its
//! own, and a bpf file system of its own below that.
//!
//! Worlds have unique names, so any number live side by side. Dropping one ends whatever still
//! runs in it and leaves nothing behind.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};

use crate::topology::{EDGE, HOSTS, ORIGIN, ROUTER, STRANGER};
use crate::{Pki, Place, cleanup, topology};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The IP version of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, as every claim about packets must hold for both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The world. See the module's page.
#[derive(Debug)]
pub struct World {
    name: String,
    dir: PathBuf,
    internet: Place,
    hosts: [Place; 3],
    /// Every certificate that the tests need, as files in the world's directory.
    pub pki: Pki,
}

impl World {
    /// Builds a world, after tidying up those whose makers are dead.
    ///
    /// # Errors
    /// Without root, without iproute2, or where the kernel refuses namespaces or bpffs. What was
    /// made until then is removed.
    pub fn new() -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "network namespaces need root");
        cleanup::sweep();
        let name = format!("{}{}-{}", cleanup::PREFIX, std::process::id(), next());
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        let place = |host: &str| Place::new(format!("{name}-{host}"));
        let hosts = HOSTS.map(|host| place(host.name));
        let internet = place(ROUTER);
        // From here on, an early return drops the world and so removes what was made.
        let mut world = Self { pki: Pki::default(), name, dir, internet, hosts };
        world.build()?;
        Ok(world)
    }

    fn build(&mut self) -> Result<()> {
        let bpffs = self.bpffs();
        fs::create_dir(&bpffs)?;
        mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("cannot mount a bpf file system")?;
        // The first `ip netns add` of a machine mounts /run/netns; two at once would do it twice.
        static MAKING: Mutex<()> = Mutex::new(());
        let making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.places().map(|place| format!("netns add {}\n", place.netns()));
        topology::ip(Command::new("ip"), &names.collect::<String>())?;
        drop(making);
        topology::connect(&self.internet, &self.hosts)?;
        self.pki = Pki::write(&self.dir.join("pki"))?;
        Ok(())
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.hosts.iter().chain([&self.internet])
    }

    /// The host that aop guards.
    #[must_use]
    pub fn origin(&self) -> &Place {
        &self.hosts[0]
    }

    /// The CDN's machine, with addresses in Cloudflare's prefixes.
    #[must_use]
    pub fn edge(&self) -> &Place {
        &self.hosts[1]
    }

    /// Anybody else.
    #[must_use]
    pub fn stranger(&self) -> &Place {
        &self.hosts[2]
    }

    /// The router between them.
    #[must_use]
    pub fn internet(&self) -> &Place {
        &self.internet
    }

    /// The world's directory, readable by everybody, gone with the world.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The world's own bpf file system.
    #[must_use]
    pub fn bpffs(&self) -> PathBuf {
        self.dir.join("bpf")
    }

    /// A container on the origin, whose port 80 the origin publishes as its own `port`, as container
    /// engines do: by address translation before its own filter, which drops that port for everybody.
    ///
    /// # Errors
    /// When the kernel or its tools refuse.
    pub fn publish_a_port(&self, port: u16) -> Result<Place> {
        let container = Place::new(format!("{}-container", self.name));
        topology::ip(Command::new("ip"), &format!("netns add {}\n", container.netns()))?;
        topology::publish(self.origin(), &container, port)?;
        Ok(container)
    }

    /// A file system of its own with room for so many bytes, in the world's directory under `disk`.
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

    /// Where the origin's TLS port is reached.
    #[must_use]
    pub fn origin_at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(first(&ORIGIN, family), port)
    }

    /// The address that the edge speaks from.
    #[must_use]
    pub fn edge_address(&self, family: Family) -> IpAddr {
        first(&EDGE, family)
    }

    /// Another address of the edge, in the same published prefix.
    #[must_use]
    pub fn neighbour_address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => EDGE.v4(1),
            Family::V6 => EDGE.v6(1),
        }
    }

    /// The stranger's address, in no prefix.
    #[must_use]
    pub fn stranger_address(&self, family: Family) -> IpAddr {
        first(&STRANGER, family)
    }
}

fn next() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn first(host: &topology::Host, family: Family) -> IpAddr {
    match family {
        Family::V4 => host.v4(0),
        Family::V6 => host.v6(0),
    }
}

impl Drop for World {
    fn drop(&mut self) {
        cleanup::remove(&self.name);
    }
}
