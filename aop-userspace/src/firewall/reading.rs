//! What the maps and links say, for status: read from the pins, so that it needs no daemon.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use aop_common::{
    Mode, Tally,
    layout::{Counter, Peer, PeerKey},
};
use aya::programs::links::{FdLink, PinnedLink};

use super::{
    error::FirewallError,
    interfaces::{self, Interface},
    maps::Maps,
    pins::{Link, Pins},
};
use crate::prefixes::Admission;

/// The firewall at a moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// How verdicts are carried out.
    pub mode: Mode,
    /// Counts the policies that have been applied.
    pub generation: u32,
    /// Who is admitted, and who drains.
    pub admission: Admission,
    /// The guarded interfaces.
    pub interfaces: Vec<InterfaceReading>,
    /// The counters that are not zero.
    pub verdicts: Vec<VerdictReading>,
    /// The authenticated peers.
    pub peers: Vec<PeerReading>,
}

/// An interface that should be guarded.
#[derive(Clone, Debug)]
pub struct InterfaceReading {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub attach: &'static str,
    /// Whether the pinned link's program is the one that the interface runs.
    pub attached: bool,
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
    pub facts: Peer,
}

pub(super) fn read(root: &Path) -> Result<Option<Reading>, FirewallError> {
    let Some(pins) = Pins::existing(root)? else { return Ok(None) };
    let maps = Maps::pinned(&pins)?;
    let settings = maps.settings()?;
    let here = interfaces::list().map_err(FirewallError::Netlink)?;
    let mut peers: Vec<PeerReading> = maps.peers.iter().flatten().map(peer).collect();
    peers.sort_by_key(|peer| (std::cmp::Reverse(peer.facts.last_seen), peer.address));
    Ok(Some(Reading {
        mode: settings.mode(),
        generation: settings.generation,
        admission: maps.admission()?,
        interfaces: pins.links()?.iter().map(|link| interface(link, &pins, &here)).collect(),
        verdicts: verdicts(&maps)?,
        peers,
    }))
}

fn interface(link: &Link, pins: &Pins, here: &[Interface]) -> InterfaceReading {
    let runs = here.iter().find(|found| found.name == link.interface).and_then(|it| it.program);
    let pinned = PinnedLink::from_pin(pins.link(link))
        .ok()
        .and_then(|pinned| FdLink::from(pinned).info().ok())
        .map(|info| info.program_id());
    InterfaceReading {
        name: link.interface.clone(),
        attach: link.mode.name(),
        attached: runs.is_some() && runs == pinned,
    }
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

fn peer((key, facts): (PeerKey, Peer)) -> PeerReading {
    let [a, b, c, d, ..] = key.address;
    let address = match key.family {
        4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(key.address)),
    };
    PeerReading { address, facts }
}
