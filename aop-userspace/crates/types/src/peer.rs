//! An authenticated peer, as the peers map holds it.

use std::net::IpAddr;

use aop_common::layout::PeerValue;

/// An authenticated peer.
#[derive(Clone, Debug)]
pub struct PeerEntry {
    /// Its address.
    pub address: IpAddr,
    /// What is known of it.
    pub facts: PeerValue,
}
