//! The firewall: the XDP program on its interfaces, and the maps that it shares.
//!
//! Everything that must outlive the daemon is pinned on a bpffs: the links keep the program
//! attached, the maps keep policy, peers and counters. A start adopts what it finds, swapping the
//! program under the link, so that no packet passes unjudged. Nothing here decides about a packet:
//! that is `aop_common::judge`.

mod attach;
mod drops;
mod error;
mod interfaces;
mod live;
mod maps;
mod object;
mod peers;
mod pins;
mod reading;
mod trial;
mod unload;

use std::{io, path::Path};

use aop_common::{Mode, layout::Ports};
use aya::Ebpf;
use aya_log::EbpfLogger;
pub use drops::{Drop, Drops};
pub use error::FirewallError;
pub use live::{Judged, Live};
use maps::Maps;
pub use peers::PinnedPeers;
use pins::Pins;
pub use reading::{InterfaceReading, PeerReading, Reading, VerdictReading};
pub use trial::{Trial, TrialFrame};

use crate::{
    config::{FirewallConfig, Interfaces, Udp},
    prefixes::Admission,
};

/// What packets are judged by. Applied as a whole.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How verdicts are carried out.
    pub mode: Mode,
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
    programs: Vec<Ebpf>,
    log: PacketLog,
    /// Whether this start made the maps.
    fresh: bool,
}

impl Firewall {
    /// Guards the configured interfaces under the policy that `policy` makes of the one found in
    /// the maps (an empty one at first).
    ///
    /// # Errors
    /// An interface is unknown, not Ethernet or owned by another program; privileges, a bpffs or
    /// kernel support are missing; pins have another layout or another owner. Then the policy is
    /// the old one, and every interface that was guarded still is.
    pub fn start(
        config: &FirewallConfig,
        pins: &Path,
        log: PacketLog,
        policy: impl FnOnce(&Admission) -> Policy,
    ) -> Result<Self, FirewallError> {
        let pins = Pins::open(pins)?;
        let before = pins.links()?;
        let fresh = !pins.has_maps();
        let started = wanted(&config.interfaces, &before)
            .and_then(|wanted| Self::load_and_attach(config, &pins, log, &wanted, fresh, policy));
        if started.is_err() {
            pins.forget_all_but(&before);
            if fresh {
                abandon(&pins);
            }
        }
        started
    }

    fn load_and_attach(
        config: &FirewallConfig,
        pins: &Pins,
        log: PacketLog,
        wanted: &[interfaces::Interface],
        fresh: bool,
        policy: impl FnOnce(&Admission) -> Policy,
    ) -> Result<Self, FirewallError> {
        for interface in wanted {
            attach::check_owner(interface, pins)?;
        }
        object::create_maps(pins)?;
        let mut maps = Maps::pinned(pins)?;
        let mut programs = Vec::new();
        for interface in wanted {
            let slot = maps.slot(&interface.name)?;
            programs.push(object::load(slot, log, pins)?);
        }
        let next = policy(&maps.admission()?);
        // New maps hold nothing to judge by, so they are filled first. Maps that were found hold
        // the old policy, which stays until everything else has gone well.
        if fresh {
            maps.apply(&next)?;
        }
        for (interface, program) in wanted.iter().zip(&mut programs) {
            let mode = attach::attach(object::xdp(program)?, interface, config.attach, pins)?;
            tracing::info!(interface = interface.name, attach = mode.name(), "guarding");
        }
        if !fresh {
            maps.apply(&next)?;
        }
        for link in pins.links()? {
            if !wanted.iter().any(|interface| interface.name == link.interface) {
                tracing::warn!(interface = link.interface, "no longer guarded: detached");
                pins.detach(&link)?;
            }
        }
        Ok(Self { pins: pins.clone(), maps, programs, log, fresh })
    }

    /// Undoes a start after which something else failed. A firewall that was there before stays.
    pub fn give_up(self) {
        if self.fresh {
            abandon(&self.pins);
        }
    }

    /// Replaces the policy by the one that `policy` makes of the present admission. Packets see the
    /// old prefixes or the new ones, never a mixture.
    ///
    /// # Errors
    /// The kernel refuses a write; the old prefixes stay.
    pub fn apply(
        &mut self,
        policy: impl FnOnce(&Admission) -> Policy,
    ) -> Result<(), FirewallError> {
        if !self.pins.has_maps() {
            return Err(FirewallError::Unloaded);
        }
        let next = policy(&self.maps.admission()?);
        self.maps.apply(&next)
    }

    /// The peers map, for whoever learns who authenticated.
    ///
    /// # Errors
    /// The pin cannot be opened.
    pub fn peers(&self) -> Result<PinnedPeers, FirewallError> {
        PinnedPeers::open(&self.pins)
    }

    /// Readers of what the programs log, one for each interface; none while the log is off.
    ///
    /// # Errors
    /// A program's log buffer cannot be opened.
    pub fn loggers(&mut self) -> io::Result<Vec<EbpfLogger<&'static dyn log::Log>>> {
        match self.log {
            PacketLog::Off => Ok(Vec::new()),
            PacketLog::Debug => self
                .programs
                .iter_mut()
                .map(|program| EbpfLogger::init(program).map_err(io::Error::other))
                .collect(),
        }
    }
}

/// What the pinned maps and links say, whether or not a daemon runs. `None` where nothing is
/// pinned.
///
/// # Errors
/// Pins exist and cannot be read.
pub fn read(pins: &Path) -> Result<Option<Reading>, FirewallError> {
    reading::read(pins)
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
    let _owned = Pins::open(pins)?;
    unload::unload(pins)
}

fn abandon(pins: &Pins) {
    if let Err(error) = unload::unload(pins.root()) {
        tracing::error!("cannot take down what a failed start has left: {error}");
    }
}

/// The interfaces to guard. Under `auto` also those that are guarded already: a default route may
/// be away for a moment, and the port must not open then.
fn wanted(
    config: &Interfaces,
    guarded: &[pins::Link],
) -> Result<Vec<interfaces::Interface>, FirewallError> {
    let all = interfaces::list().map_err(FirewallError::Netlink)?;
    let names = match config {
        Interfaces::Named(names) => names.clone(),
        Interfaces::Auto => {
            let routed = interfaces::with_default_route(&all).map_err(FirewallError::Netlink)?;
            let kept = |name: &&String| guarded.iter().any(|link| link.interface == **name);
            let names = all.iter().map(|interface| &interface.name);
            names.filter(|name| routed.contains(name) || kept(name)).cloned().collect()
        }
    };
    if names.is_empty() {
        return Err(FirewallError::NoDefaultRoute);
    }
    let find = |name: &String| match all.iter().find(|interface| interface.name == *name) {
        None => Err(FirewallError::UnknownInterface {
            name: name.clone(),
            known: all.iter().map(|interface| interface.name.clone()).collect(),
        }),
        Some(interface) if !interface.ethernet => {
            Err(FirewallError::NotEthernet { name: name.clone() })
        }
        Some(interface) => Ok(interface.clone()),
    };
    names.iter().map(find).collect()
}
