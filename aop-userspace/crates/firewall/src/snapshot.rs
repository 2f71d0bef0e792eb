//! The state of maps and links for the status, read from the pins, so that it needs no daemon.

use std::{collections::BTreeSet, path::Path};

use aop_common::{
    Action, Tally,
    layout::{Counter, MAX_PEERS, PeerKey, PeerValue, Ports},
};
use aop_types::{Admission, Modes, PeerEntry};

use super::{
    attach::{self, Owner},
    error::FirewallError,
    interfaces::{self, LinkInfo},
    maps::Maps,
    pins::{AttachMode, Pins},
};

/// The firewall at one moment.
#[derive(Clone, Debug)]
pub struct FirewallSnapshot {
    /// The modes in force.
    pub modes: Modes,
    /// The guarded ports.
    pub ports: Ports,
    /// Number of the policy in force; each applied policy increments it.
    pub generation: u32,
    /// Whether strangers get tries, and authenticated addresses are trusted for a time.
    pub trusting: bool,
    /// The admitted and the draining prefixes.
    pub admission: Admission,
    /// The guarded interfaces.
    pub interfaces: Vec<GuardedInterface>,
    /// The counters that are not zero.
    pub verdicts: Vec<CounterEntry>,
    /// Sampled drops that were lost because no reader kept up, since the maps were created.
    pub lost: u64,
    /// The authenticated peers; empty where they are not listed.
    pub peers: Vec<PeerEntry>,
}

/// Whether a snapshot lists the peers. With many peers that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerListing {
    /// With all peers.
    Peers,
    /// Without.
    NoPeers,
}

/// An interface that should be guarded.
#[derive(Clone, Debug)]
pub struct GuardedInterface {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: AttachState,
    /// Why it is not guarded, where a daemon knows.
    pub obstacle: Option<String>,
}

impl GuardedInterface {
    /// The one text that says why packets of the interface pass unfiltered, where they do.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Self { name, state, obstacle } = self;
        match (state, obstacle) {
            (AttachState::Attached(_), _) => None,
            (AttachState::Missing, _) => Some(format!(
                "{name}: the interface does not exist; the daemon guards it as soon as it appears"
            )),
            (AttachState::Foreign(program), _) => Some(format!(
                "{name}: another XDP program, {program}, is attached to the interface, and packets \
                 pass unfiltered; the daemon guards it as soon as that program is detached"
            )),
            (AttachState::Detached, Some(obstacle)) => {
                Some(format!("{name}: packets pass unfiltered: {obstacle}"))
            }
            (AttachState::Detached, None) => Some(format!(
                "{name}: no packet program is attached to the interface, and packets pass \
                 unfiltered; the daemon attaches it again"
            )),
        }
    }
}

/// The state of an interface that should be guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachState {
    /// The packet program is attached, in this XDP mode.
    Attached(AttachMode),
    /// It does not exist.
    Missing,
    /// Another XDP program is attached, described by this text.
    Foreign(String),
    /// No XDP program is attached.
    Detached,
}

/// A counter.
#[derive(Clone, Debug)]
pub struct CounterEntry {
    /// The interface.
    pub interface: String,
    /// The action for its packets.
    pub action: Action,
    /// The reason's stable name.
    pub reason: &'static str,
    /// Packets and bytes.
    pub count: Counter,
}

/// The packets of an interface, as two sides count them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketCounts {
    /// The interface.
    pub interface: String,
    /// Packets that it received since it exists.
    pub received: u64,
    /// Packets on which the program ran since its maps were created.
    pub judged: u64,
}

/// Reads the counts of the interfaces with a program of ours.
pub(super) fn packet_counts(root: &Path) -> Result<Vec<PacketCounts>, FirewallError> {
    let Some(pins) = Pins::existing(root)? else { return Ok(Vec::new()) };
    // The program counts a packet before its interface may, so its count is read last.
    let here = interfaces::list().map_err(FirewallError::Netlink)?;
    let judged = verdicts(&Maps::pinned(&pins)?)?;
    let mut counts = Vec::new();
    for interface in here {
        if matches!(attach::owner(&interface, &pins)?, Owner::Ours(_)) {
            let own = judged.iter().filter(|entry| entry.interface == interface.name);
            counts.push(PacketCounts {
                judged: own.map(|entry| entry.count.packets).sum(),
                received: interface.received,
                interface: interface.name,
            });
        }
    }
    Ok(counts)
}

/// Reads the pins below `root`, and the state of the interfaces that are pinned or in `names`.
/// Reads the prefix set only if `known` is `None`.
pub(super) fn read(
    root: &Path,
    names: Vec<String>,
    known: Option<Admission>,
    listing: PeerListing,
) -> Result<Option<FirewallSnapshot>, FirewallError> {
    let Some(pins) = Pins::existing(root)? else { return Ok(None) };
    let maps = Maps::pinned(&pins)?;
    let settings = maps.settings()?;
    let mut peers: Vec<PeerEntry> = match listing {
        // If the key of a walk is removed, the walk starts again; the process that writes the map
        // could make it endless, so `take` bounds it.
        PeerListing::Peers => maps.peers.iter().flatten().take(MAX_PEERS).map(peer).collect(),
        PeerListing::NoPeers => Vec::new(),
    };
    peers.sort_by_key(|peer| (peer.address, std::cmp::Reverse(peer.facts.last_seen)));
    peers.dedup_by_key(|peer| peer.address);
    peers.sort_by_key(|peer| (std::cmp::Reverse(peer.facts.last_seen), peer.address));
    Ok(Some(FirewallSnapshot {
        modes: maps.modes()?,
        ports: maps.ports()?,
        generation: settings.generation,
        trusting: settings.probation > 0,
        admission: known.map_or_else(|| maps.admission(), Ok)?,
        interfaces: interfaces(names, &pins)?,
        verdicts: verdicts(&maps)?,
        lost: maps.lost()?,
        peers,
    }))
}

/// The state of the interfaces that are pinned or in `names`.
pub(super) fn interfaces(
    names: Vec<String>,
    pins: &Pins,
) -> Result<Vec<GuardedInterface>, FirewallError> {
    let here = interfaces::list().map_err(FirewallError::Netlink)?;
    let pinned = pins.links()?.into_iter().map(|link| link.interface);
    let names: BTreeSet<String> = names.into_iter().chain(pinned).collect();
    names.into_iter().map(|name| interface(name, pins, &here)).collect()
}

fn interface(
    name: String,
    pins: &Pins,
    here: &[LinkInfo],
) -> Result<GuardedInterface, FirewallError> {
    let state = match here.iter().find(|interface| interface.name == name) {
        None => AttachState::Missing,
        Some(interface) => match attach::owner(interface, pins)? {
            Owner::Ours(link) => AttachState::Attached(link.mode),
            Owner::Foreign(program) => AttachState::Foreign(program),
            Owner::None => AttachState::Detached,
        },
    };
    Ok(GuardedInterface { name, state, obstacle: None })
}

fn verdicts(maps: &Maps) -> Result<Vec<CounterEntry>, FirewallError> {
    let mut entries = Vec::new();
    for (slot, name) in (0..).zip(maps.slot_names()?) {
        let Some(interface) = name else { continue };
        for ((_, verdict, mode), count) in Tally::all().zip(maps.counters(slot)?) {
            if count != Counter::default() {
                entries.push(CounterEntry {
                    interface: interface.clone(),
                    action: verdict.action(mode),
                    reason: verdict.reason(),
                    count,
                });
            }
        }
    }
    Ok(entries)
}

pub(super) fn peer((key, facts): (PeerKey, PeerValue)) -> PeerEntry {
    PeerEntry { address: key.address().into(), facts }
}
