//! What the maps and links say, for status: read from the pins, so that it needs no daemon.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use aop_common::{
    Tally,
    layout::{Counter, MAX_PEERS, PeerKey, PeerRecord, Ports},
};

use super::{
    attach::{self, Owner},
    error::FirewallError,
    interfaces::{self, Interface},
    maps::Maps,
    pins::Pins,
};
use crate::{config::Modes, prefixes::Admission};

/// The firewall at a moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// How drops are carried out.
    pub modes: Modes,
    /// The guarded ports.
    pub ports: Ports,
    /// Counts the policies that have been applied.
    pub generation: u32,
    /// Whether strangers are given a try, and who has authenticated is trusted for a while.
    pub trusting: bool,
    /// Who is admitted, and who drains.
    pub admission: Admission,
    /// The guarded interfaces.
    pub interfaces: Vec<InterfaceReading>,
    /// The counters that are not zero.
    pub verdicts: Vec<VerdictReading>,
    /// Sampled drops that nobody could be told of, since the maps were made.
    pub lost: u64,
    /// The authenticated peers; none where they are not to be listed.
    pub peers: Vec<PeerReading>,
}

/// Whether a reading lists the peers. There may be so many that it takes a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// With all peers.
    Peers,
    /// Without.
    NoPeers,
}

/// An interface that should be guarded.
#[derive(Clone, Debug)]
pub struct InterfaceReading {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Why it is not guarded, where a daemon knows.
    pub trouble: Option<String>,
}

/// How an interface that should be guarded stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The packet program runs on it, `native` or `generic`.
    Attached(&'static str),
    /// It does not exist.
    Missing,
    /// It runs another XDP program, this one.
    Foreign(String),
    /// It runs no XDP program.
    Detached,
}

/// A counter.
#[derive(Clone, Debug)]
pub struct VerdictReading {
    /// The interface.
    pub interface: String,
    /// `pass`, `drop` or `would_drop`.
    pub action: &'static str,
    /// The reason's stable name.
    pub reason: &'static str,
    /// Packets and bytes.
    pub count: Counter,
}

/// An authenticated peer.
#[derive(Clone, Debug)]
pub struct PeerReading {
    /// Its address.
    pub address: IpAddr,
    /// What is known of it.
    pub facts: PeerRecord,
}

/// Reads the pins below `root`, and how the interfaces stand that are pinned or among `names`. The
/// prefix set is read where it is not `known`.
pub(super) fn read(
    root: &Path,
    names: Vec<String>,
    known: Option<Admission>,
    listing: Listing,
) -> Result<Option<Reading>, FirewallError> {
    let Some(pins) = Pins::existing(root)? else { return Ok(None) };
    let maps = Maps::pinned(&pins)?;
    let settings = maps.settings()?;
    let mut peers: Vec<PeerReading> = match listing {
        // A walk begins anew where its key goes away meanwhile, and who writes the map could make that
        // go on for ever.
        Listing::Peers => maps.peers.iter().flatten().take(MAX_PEERS).map(peer).collect(),
        Listing::NoPeers => Vec::new(),
    };
    peers.sort_by_key(|peer| (peer.address, std::cmp::Reverse(peer.facts.last_seen)));
    peers.dedup_by_key(|peer| peer.address);
    peers.sort_by_key(|peer| (std::cmp::Reverse(peer.facts.last_seen), peer.address));
    Ok(Some(Reading {
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

/// How the interfaces stand that are pinned or among `names`.
pub(super) fn interfaces(
    names: Vec<String>,
    pins: &Pins,
) -> Result<Vec<InterfaceReading>, FirewallError> {
    let here = interfaces::list().map_err(FirewallError::Netlink)?;
    let pinned = pins.links()?.into_iter().map(|link| link.interface);
    let names: BTreeSet<String> = names.into_iter().chain(pinned).collect();
    names.into_iter().map(|name| interface(name, pins, &here)).collect()
}

fn interface(
    name: String,
    pins: &Pins,
    here: &[Interface],
) -> Result<InterfaceReading, FirewallError> {
    let state = match here.iter().find(|interface| interface.name == name) {
        None => State::Missing,
        Some(interface) => match attach::owner(interface, pins)? {
            Owner::Ours(link) => State::Attached(link.mode.name()),
            Owner::Foreign(program) => State::Foreign(program),
            Owner::Nobody => State::Detached,
        },
    };
    Ok(InterfaceReading { name, state, trouble: None })
}

fn verdicts(maps: &Maps) -> Result<Vec<VerdictReading>, FirewallError> {
    let mut readings = Vec::new();
    for (slot, name) in (0..).zip(maps.slot_names()?) {
        let Some(interface) = name else { continue };
        for ((_, verdict, mode), count) in Tally::all().zip(maps.counters(slot)?) {
            if count != Counter::default() {
                readings.push(VerdictReading {
                    interface: interface.clone(),
                    action: verdict.action(mode).name(),
                    reason: verdict.reason(),
                    count,
                });
            }
        }
    }
    Ok(readings)
}

pub(super) fn peer((key, facts): (PeerKey, PeerRecord)) -> PeerReading {
    let [a, b, c, d, ..] = key.address;
    let address = match key.family {
        4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(key.address)),
    };
    PeerReading { address, facts }
}
