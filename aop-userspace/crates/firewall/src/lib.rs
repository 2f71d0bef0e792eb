//! The firewall: attaches the XDP program to interfaces, and reads and writes the maps.
//!
//! Everything that must outlive the daemon is pinned on a bpffs: the links keep the program
//! attached; the maps hold policy, peers and counters. A start adopts existing pins and swaps the
//! program under the link, so that no packet passes unfiltered. Verdicts on packets are not made
//! here, but in `aop_common::judge`.

mod attach;
mod attachments;
mod budgets;
mod change;
mod drops;
mod dry_run;
mod error;
mod forwarding;
mod handover;
mod header_names;
mod host;
mod interfaces;
mod interfaces_wanted;
mod local_addresses;
mod lookup_table;
mod maps;
mod migration;
mod modes;
mod native_mode;
mod netlink;
mod nexthops;
mod object;
mod peers;
mod pins;
mod prefix_sets;
mod privilege;
mod routes;
mod snapshot;
mod start;
mod strangers;
mod test_program;
mod unload;
mod watch;

use std::{io, net::IpAddr, path::Path, time::Duration};

use aop_common::layout::Ports;
use aop_config::{Interfaces, UdpPolicy};
use aop_types::{Admission, Modes};
pub use attach::RenamedInterface;
use attachments::Attachments;
use aya_log::EbpfLogger;
pub use budgets::{Budget, Exempt, NetworkBudget, ProbationTry};
pub use drops::{DropReader, DroppedPacket};
pub use dry_run::{DryRun, FrameVerdict};
pub use error::FirewallError;
pub use forwarding::ForwardTarget;
pub use host::{HostInterface, StartInterface, host_interfaces, start_interfaces};
pub use interfaces::LinkKind;
use interfaces_wanted::WantedInterfaces;
use maps::Maps;
use migration::Migration;
pub use peers::{PeerFiles, PinnedPeers};
pub use pins::AttachMode;
use pins::Pins;
pub use prefix_sets::InactiveSet;
use routes::DefaultRoutes;
pub use snapshot::{
    AttachState, CounterEntry, FirewallSnapshot, GuardedInterface, PacketCounts, PeerListing,
};
pub use start::{MissingInterface, StartOptions, UncommittedStart};
pub use strangers::{MAX_STRANGERS, SeenStranger, StrangerId, StrangerReader};
pub use test_program::{BatchResult, FrameResult, TestProgram};
pub use watch::ChangeSubscription;

/// Everything that decides about packets. Applied as a whole.
#[derive(Clone, Debug)]
pub struct FirewallPolicy {
    /// Whether drops are enforced or only counted.
    pub modes: Modes,
    /// The guarded ports.
    pub ports: Ports,
    /// The admitted and the draining prefixes.
    pub admission: Admission,
    /// The treatment of UDP to a guarded port.
    pub udp: UdpPolicy,
    /// New connections a second that all strangers share in order to authenticate; 0 for none.
    pub probation: u32,
    /// New connections a second for an admitted network in which no peer has authenticated within a
    /// day; 0 for no limit.
    pub budget: u32,
}

/// The events of single packets that the packet program logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketLog {
    /// Nothing, at no cost.
    #[default]
    Off,
    /// Each verdict.
    Debug,
}

/// The attached firewall. Dropping it leaves everything attached: see [`unload()`].
pub struct Firewall {
    pins: Pins,
    maps: Maps,
    attachments: Attachments,
    wanted: WantedInterfaces,
    routes: DefaultRoutes,
    pin_state: PinState,
    /// The pins of an older layout that this start has taken over, while its build may take them
    /// back.
    migration: Option<Migration>,
}

/// Where the maps come from. A failed start removes those that it created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MapsOrigin {
    Created,
    Adopted,
}

/// Whether the pins still exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PinState {
    Guarding,
    Unloaded,
}

/// Why the firewall checks the host again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckReason {
    /// The kernel has reported a change.
    Event,
    /// The regular interval has passed.
    Interval,
}

impl Firewall {
    /// Follows the host: attaches to interfaces that have appeared or lost their program, removes
    /// the pins of interfaces that are gone, and detaches from interfaces that are no longer
    /// wanted. An obstacle is logged once, and shown by [`Firewall::read`]. After an [`unload()`]
    /// this does nothing, since the operator has asked for that.
    ///
    /// # Errors
    /// The kernel lists no interfaces, or a pin cannot be removed.
    pub fn follow_host(&mut self, reason: CheckReason) -> Result<(), FirewallError> {
        if self.pin_state == PinState::Unloaded {
            return Ok(());
        }
        let followed = if self.pins.has_maps()? { self.try_follow_host(reason) } else { Ok(()) };
        // An unload meanwhile explains any error. An error of the question itself is no unload.
        if self.pins.has_maps()? {
            return followed;
        }
        self.pin_state = PinState::Unloaded;
        tracing::warn!("the firewall was unloaded: packets pass unfiltered from now on");
        Ok(())
    }

    /// Whether [`Firewall::follow_host`] has found that it was [unloaded](unload()).
    #[must_use]
    pub fn is_unloaded(&self) -> bool {
        self.pin_state == PinState::Unloaded
    }

    /// Whether it is loaded at this moment.
    ///
    /// # Errors
    /// The pins cannot be read, or it was unloaded.
    pub fn check_loaded(&self) -> Result<(), FirewallError> {
        match !self.is_unloaded() && self.pins.has_maps()? {
            true => Ok(()),
            false => Err(FirewallError::Unloaded),
        }
    }

    fn try_follow_host(&mut self, reason: CheckReason) -> Result<(), FirewallError> {
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        let known = self.wanted.unguardable().to_vec();
        self.routes.follow(&mut self.wanted, &here, reason)?;
        warn_of_unguardable(&self.wanted, &known);
        attach::remove_orphan_links(&here, &self.pins)?;
        for name in self.wanted.names() {
            self.attachments.ensure_attached(&name, &here, &mut self.maps);
        }
        self.attachments.detach_except(|name| self.wanted.contains(name))?;
        self.maps.set_locals(local_addresses::choose(|index| self.wanted.has(&here, index)))
    }

    /// No older build will take its pins back any more: removes those that were taken over.
    pub fn finish_migration(&mut self) {
        self.migration.take().into_iter().for_each(Migration::finish);
    }

    /// A subscription to the changes after which [`Firewall::follow_host`] has something to do.
    ///
    /// # Errors
    /// The kernel refuses the socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn watch(&self) -> Result<ChangeSubscription, FirewallError> {
        ChangeSubscription::open().map_err(FirewallError::Netlink)
    }

    /// The content of the maps and the state of the interfaces. `None` after an [`unload()`].
    ///
    /// # Errors
    /// Pins exist and cannot be read.
    pub fn read(&self, listing: PeerListing) -> Result<Option<FirewallSnapshot>, FirewallError> {
        // The prefixes that this process wrote need not be read back, one system call each, for
        // every status.
        let known = Some(self.maps.admission()?);
        let mut found = snapshot::read(self.pins.root(), self.wanted.names(), known, listing)?;
        if let Some(snapshot) = &mut found {
            self.add_obstacles(&mut snapshot.interfaces);
        }
        Ok(found)
    }

    /// Whether a peer has authenticated from this address, and is on record.
    #[must_use]
    pub fn has_peer(&self, address: IpAddr) -> bool {
        self.maps.peers.get(&peers::key(address), 0).is_ok()
    }

    /// The state of the interfaces alone. `None` after an [`unload()`].
    ///
    /// # Errors
    /// Pins exist and cannot be read.
    pub fn interfaces(&self) -> Result<Option<Vec<GuardedInterface>>, FirewallError> {
        let Some(pins) = Pins::existing(self.pins.root())? else { return Ok(None) };
        let mut interfaces = snapshot::interfaces(self.wanted.names(), &pins)?;
        self.add_obstacles(&mut interfaces);
        Ok(Some(interfaces))
    }

    fn add_obstacles(&self, interfaces: &mut [GuardedInterface]) {
        for interface in interfaces {
            interface.obstacle = self.attachments.obstacle(&interface.name);
        }
    }

    /// The admitted and the draining prefixes.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn admission(&self) -> Result<Admission, FirewallError> {
        self.maps.admission()
    }

    /// The inactive prefix set, which the next change will activate. Fill it before that change.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn inactive_set(&self) -> Result<InactiveSet, FirewallError> {
        self.maps.inactive_set()
    }

    /// The interfaces that should be guarded now, by name.
    #[must_use]
    pub fn guarded(&self) -> Vec<String> {
        self.wanted.names()
    }

    /// The interfaces over which the host can be reached, and that cannot be guarded, by name. Only
    /// `auto` finds them.
    #[must_use]
    pub fn unguardable(&self) -> Vec<String> {
        self.wanted.unguardable().to_vec()
    }

    /// The maps of peers, for the process that records who authenticates.
    ///
    /// # Errors
    /// A pin cannot be opened.
    pub fn peer_files(&self) -> Result<PeerFiles, FirewallError> {
        PeerFiles::open(&self.pins)
    }

    /// A reader of the sources that no prefix admits. Only one may read at a time.
    ///
    /// # Errors
    /// The pin cannot be opened.
    pub fn strangers(&self) -> Result<StrangerReader, FirewallError> {
        StrangerReader::pinned(&self.pins)
    }

    /// Readers of the programs' logs, for programs that have none yet; none while the log is off.
    ///
    /// # Errors
    /// A program's log buffer cannot be opened.
    pub fn loggers(&mut self) -> io::Result<Vec<EbpfLogger<&'static dyn log::Log>>> {
        self.attachments.loggers().map_err(io::Error::other)
    }
}

/// Warns of the interfaces that cannot be guarded and are not in `known`.
fn warn_of_unguardable(wanted: &WantedInterfaces, known: &[String]) {
    for name in wanted.unguardable().iter().filter(|name| !known.contains(name)) {
        tracing::warn!(
            interface = name,
            "the interface cannot be guarded: its packets have no Ethernet header, and are judged \
             only if they arrive over a guarded interface"
        );
    }
}

/// The content of the pinned maps and the state of the links, with or without a daemon, for the
/// interfaces that are pinned or in `config`. `None` where nothing is pinned.
///
/// # Errors
/// Pins exist and cannot be read.
pub fn read(
    pins: &Path,
    config: Option<&Interfaces>,
) -> Result<Option<FirewallSnapshot>, FirewallError> {
    let names = match config {
        Some(interfaces) => interfaces.named().unwrap_or_default().to_vec(),
        None => Vec::new(),
    };
    snapshot::read(pins, names, None, PeerListing::Peers)
}

/// The packets of each interface with the program of aop, by the interface and by the program.
///
/// # Errors
/// Pins exist and cannot be read, or the kernel does not list the interfaces.
pub fn packet_counts(pins: &Path) -> Result<Vec<PacketCounts>, FirewallError> {
    snapshot::packet_counts(pins)
}

/// The guarded interfaces that have another name now. None once [`Firewall::follow_host`] or a
/// start has followed them.
///
/// # Errors
/// Pins exist and cannot be read.
pub fn renamed_interfaces(pins: &Path) -> Result<Vec<RenamedInterface>, FirewallError> {
    let Some(pins) = Pins::older_existing(pins)? else { return Ok(Vec::new()) };
    attach::renamed(&interfaces::list().map_err(FirewallError::Netlink)?, &pins)
}

/// Whether a daemon uses these pins, as far as this process may see.
#[must_use]
pub fn is_in_use(pins: &Path) -> bool {
    let pins = Pins::older_existing(pins).ok().flatten();
    pins.is_some_and(|pins| pins.is_locked().unwrap_or(false))
}

/// Waits until the interfaces `names` exist, but no longer than `limit`.
pub fn await_interfaces(names: &[String], limit: Duration) {
    start::await_interfaces(names, limit);
}

/// Detaches the program from every interface and removes every pin of aop, of any layout version.
/// Returns the interfaces; `None` where nothing was pinned. Works while a daemon runs.
///
/// # Errors
/// The directory is not on a bpffs, contains something else, or a pin cannot be removed.
pub fn unload(pins: &Path) -> Result<Option<Vec<String>>, FirewallError> {
    unload::unload(pins)
}

/// The same as [`unload()`], but only if no daemon uses these pins.
///
/// # Errors
/// As [`unload()`]; or a daemon uses them.
pub fn retire(pins: &Path) -> Result<Option<Vec<String>>, FirewallError> {
    let _owned = Pins::open(pins, None)?;
    unload::unload(pins)
}
