//! The interface between the terminator and the firewall. Neither depends on the other: the
//! terminator gets a [`PeerGate`], which says whether an address is admitted, and a [`PeerRecord`],
//! which records authenticated peers.

use std::net::IpAddr;

use aop_common::layout::PeerValue;

/// Whether an address may open an origin pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressVerdict {
    /// The address is admitted.
    Admitted,
    /// The address is not admitted, but the packet path lets it try to authenticate.
    Probation,
    /// The address is not admitted, but the firewall observes on at least one interface: the
    /// connection is counted and let in.
    Observed,
    /// The address is not admitted, and the connection is refused.
    Refused,
}

/// Admission by address, checked again in user space: the only check where the firewall is off.
pub trait PeerGate: Send + Sync {
    /// Whether `address` may open an origin pull on the listener's `port`. IPv4 addresses are never
    /// IPv6-mapped.
    fn check(&self, address: IpAddr, port: u16) -> AddressVerdict;
}

/// The record of authenticated peers: the peers map of the packet path, or memory where the
/// firewall is off.
pub trait PeerRecord: Send + Sync {
    /// Records that `address` has just finished a verified handshake for `site`.
    fn record(&self, address: IpAddr, site: &str);

    /// Whether `address` is on record.
    fn contains(&self, address: IpAddr) -> bool;
}

/// An authenticated peer on record.
#[derive(Clone, Debug)]
pub struct PeerEntry {
    /// Its address.
    pub address: IpAddr,
    /// Its entry in the peers map.
    pub facts: PeerValue,
}
