//! The seam between the terminator and the firewall. Neither knows the other: the daemon gives the
//! terminator a [`Gate`] to ask about addresses and a [`PeerBook`] to write authenticated peers
//! into, whatever stands behind them.

use std::net::IpAddr;

/// Whether an address may open an origin pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// It is admitted.
    Open,
    /// It is not admitted, but the packet path has let it try to authenticate.
    OnTrial,
    /// It is not admitted, but the firewall observes, at least on some interface: counted and let
    /// in.
    Watched,
    /// It is not admitted.
    Shut,
}

/// Admission by address, asked again in userspace: the only check where the firewall is off.
pub trait Gate: Send + Sync {
    /// Whether `address` may open an origin pull, on the listener's `port`. IPv4 addresses are never
    /// IPv6-mapped.
    fn entrance(&self, address: IpAddr, port: u16) -> Entrance;
}

/// Where authenticated peers are written down: the peers map of the packet path, or memory where
/// the firewall is off.
pub trait PeerBook: Send + Sync {
    /// Notes that `address` has finished a verified handshake for `site`, now.
    fn record(&self, address: IpAddr, site: &str);

    /// Whether `address` was ever noted and is not forgotten.
    fn knows(&self, address: IpAddr) -> bool;
}
