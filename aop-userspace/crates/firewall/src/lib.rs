//! The firewall: the XDP program on its interfaces, and the maps that it shares.
//!
//! Everything that must outlive the daemon is pinned on a bpffs: the links keep the program
//! attached, the maps keep policy, peers and counters. A start adopts what it finds, swapping the
//! program under the link, so that no packet passes unjudged. Nothing here decides about a packet:
//! that is `aop_common::judge`.

mod attach;
mod budgets;
mod chain;
mod change;
mod drops;
mod error;
mod forwarding;
mod guards;
mod host;
mod interfaces;
mod live;
mod locals;
mod maps;
mod modes;
mod netlink;
mod object;
mod peers;
mod pins;
mod privilege;
mod reading;
mod regain;
mod routes;
mod sets;
mod start;
mod table;
mod trial;
mod unload;
mod wanted;
mod watch;

use std::{io, path::Path};

use aop_common::layout::Ports;
use aop_config::{Interfaces, Udp};
use aop_types::{Admission, Modes};
use aya_log::EbpfLogger;
pub use budgets::{Budget, Exempt, OnProbation};
pub use drops::{Drop, Drops};
pub use error::FirewallError;
pub use forwarding::Beyond;
use guards::Guards;
pub use host::{HostInterface, host_interfaces};
pub use live::{Judged, Live};
use maps::Maps;
pub use peers::{PeerFiles, PinnedPeers};
use pins::Pins;
pub use reading::{InterfaceReading, Listing, Reading, State, VerdictReading};
use routes::DefaultRoutes;
pub use sets::IdleSet;
pub use start::{Absent, Setting};
pub use trial::{Trial, TrialBatch, TrialFrame};
use wanted::Wanted;
pub use watch::Watch;

/// What packets are judged by. Applied as a whole.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How drops are carried out.
    pub modes: Modes,
    /// The guarded ports.
    pub ports: Ports,
    /// Who is admitted, and who drains.
    pub admission: Admission,
    /// What becomes of UDP to a guarded port.
    pub udp: Udp,
    /// New connections a second that strangers share to prove themselves; 0 for none.
    pub probation: u32,
    /// New connections a second for an admitted network in which nobody has authenticated lately; 0
    /// for no limit.
    pub budget: u32,
}

/// What the packet path tells of single packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketLog {
    /// Nothing, at no cost.
    #[default]
    Off,
    /// Each verdict.
    Debug,
}

/// The program on its interfaces. Dropping it leaves everything attached: see [`unload()`].
pub struct Firewall {
    pins: Pins,
    maps: Maps,
    guards: Guards,
    wanted: Wanted,
    routes: DefaultRoutes,
    /// Whether this start made the maps.
    fresh: bool,
    unloaded: bool,
}

/// Why the firewall looks at the host again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something has changed.
    Notice,
    /// A while has passed.
    Routine,
}

impl Firewall {
    /// Follows the host: attaches to interfaces that have come or lost their program, takes away
    /// the pins of those that are gone, and lets go of those that are no longer wanted. What
    /// stands in the way is logged once, and shown by [`Firewall::read`]. After an [`unload()`] it
    /// does nothing: that was the operator's word.
    ///
    /// # Errors
    /// The kernel lists no interfaces, or a pin cannot be removed.
    pub fn follow_host(&mut self, cause: Cause) -> Result<(), FirewallError> {
        if self.unloaded {
            return Ok(());
        }
        let followed = match self.pins.has_maps() {
            true => self.try_follow_host(cause),
            false => Ok(()),
        };
        if self.pins.has_maps() {
            return followed;
        }
        self.unloaded = true;
        tracing::warn!("the firewall was unloaded: packets pass unjudged from now on");
        Ok(())
    }

    fn try_follow_host(&mut self, cause: Cause) -> Result<(), FirewallError> {
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        self.routes.follow(&mut self.wanted, &here, cause)?;
        attach::forget_zombies(&here, &self.pins)?;
        for name in self.wanted.names() {
            self.guards.keep(&name, &here, &mut self.maps);
        }
        self.guards.drop_all_but(|name| self.wanted.contains(name))?;
        self.maps.set_locals(locals::choose(|index| self.wanted.has(&here, index)))
    }

    /// Hears of changes after which [`Firewall::follow_host`] has something to do.
    ///
    /// # Errors
    /// The kernel gives no such socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn watch(&self) -> Result<Watch, FirewallError> {
        Watch::open().map_err(FirewallError::Netlink)
    }

    /// What the maps and interfaces say. `None` after an [`unload()`].
    ///
    /// # Errors
    /// Pins exist and cannot be read.
    pub fn read(&self, listing: Listing) -> Result<Option<Reading>, FirewallError> {
        // What a daemon has written need not be read back, prefix by prefix, for each status.
        let known = Some(self.maps.admission()?);
        let mut reading = reading::read(self.pins.root(), self.wanted.names(), known, listing)?;
        if let Some(reading) = &mut reading {
            self.explain(&mut reading.interfaces);
        }
        Ok(reading)
    }

    /// How the interfaces stand, and no more. `None` after an [`unload()`].
    ///
    /// # Errors
    /// Pins exist and cannot be read.
    pub fn interfaces(&self) -> Result<Option<Vec<InterfaceReading>>, FirewallError> {
        let Some(pins) = Pins::existing(self.pins.root())? else { return Ok(None) };
        let mut interfaces = reading::interfaces(self.wanted.names(), &pins)?;
        self.explain(&mut interfaces);
        Ok(Some(interfaces))
    }

    fn explain(&self, interfaces: &mut [InterfaceReading]) {
        for interface in interfaces {
            interface.trouble = self.guards.trouble(&interface.name);
        }
    }

    /// Who is admitted now, and who drains.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn admission(&self) -> Result<Admission, FirewallError> {
        self.maps.admission()
    }

    /// The prefix set that the next change will make the active one, to be filled before.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn idle_set(&self) -> Result<IdleSet, FirewallError> {
        self.maps.idle_set()
    }

    /// The interfaces that are to be guarded now, by name.
    #[must_use]
    pub fn guarded(&self) -> Vec<String> {
        self.wanted.names()
    }

    /// The peers map, for whoever learns who authenticated.
    ///
    /// # Errors
    /// A pin cannot be opened.
    pub fn peer_files(&self) -> Result<PeerFiles, FirewallError> {
        PeerFiles::open(&self.pins)
    }

    /// Readers of what the programs log, for those that have none yet; none while the log is off.
    ///
    /// # Errors
    /// A program's log buffer cannot be opened.
    pub fn loggers(&mut self) -> io::Result<Vec<EbpfLogger<&'static dyn log::Log>>> {
        self.guards.loggers().map_err(io::Error::other)
    }
}

/// What the pinned maps and links say, whether or not a daemon runs, about the interfaces that are
/// pinned or in `config`. `None` where nothing is pinned.
///
/// # Errors
/// Pins exist and cannot be read.
pub fn read(pins: &Path, config: Option<&Interfaces>) -> Result<Option<Reading>, FirewallError> {
    let names = match config {
        Some(Interfaces::Named(names)) => names.clone(),
        Some(Interfaces::Auto) | None => Vec::new(),
    };
    reading::read(pins, names, None, Listing::Peers)
}

/// Detaches the program from every interface and removes every pin of ours, of any layout version.
/// Says which interfaces it detached; `None` where nothing was pinned. Works while a daemon runs.
///
/// # Errors
/// The place is not on a bpffs, holds what is not ours, or a pin cannot be removed.
pub fn unload(pins: &Path) -> Result<Option<Vec<String>>, FirewallError> {
    unload::unload(pins)
}

/// As [`unload()`], where no daemon guards with these pins.
///
/// # Errors
/// As [`unload()`]; or a daemon does.
pub fn retire(pins: &Path) -> Result<Option<Vec<String>>, FirewallError> {
    let _owned = Pins::open(pins, None)?;
    unload::unload(pins)
}
