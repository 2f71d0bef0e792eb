//! The address lock keeps this host itself out while it enforces, so its loopback is opened for the
//! attempts, by the same word that an operator would give. It ends by itself where nobody closes it.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use crate::doctor::Patient;
use aop_api::{OpeningsInForce, Request};
use ipnet::IpNet;

/// As long as all attempts may take, and a little more.
const SECONDS: u64 = 60;

/// What was opened.
pub(super) struct Door {
    runtime: PathBuf,
    opened: Vec<IpNet>,
}

impl Door {
    /// Opens the loopback of each family that is listened on, unless the operator has.
    ///
    /// # Errors
    /// The daemon refuses, in words.
    pub(super) fn open(patient: &Patient, listeners: &[SocketAddr]) -> Result<Self, String> {
        let mut door = Self { runtime: patient.paths.runtime.clone(), opened: Vec::new() };
        for network in listeners.iter().map(|listener| IpNet::from(loopback(*listener))) {
            let open = |opening: &aop_api::Opening| opening.network == network;
            if door.opened.contains(&network) || patient.status.openings.iter().any(open) {
                continue;
            }
            let request = Request::Open { network, seconds: SECONDS };
            match aop_control::ask::<OpeningsInForce>(&door.runtime, request) {
                Ok(_) => door.opened.push(network),
                Err(error) => {
                    let left = door.close();
                    return Err(left
                        .into_iter()
                        .fold(error.to_string(), |all, one| format!("{all}; {one}")));
                }
            }
        }
        Ok(door)
    }

    /// Closes what it has opened. What could not be closed is told.
    pub(super) fn close(self) -> Vec<String> {
        let close = |network: IpNet| {
            let closed =
                aop_control::ask::<OpeningsInForce>(&self.runtime, Request::Close { network });
            closed.err().map(|error| format!("{network} stays open for a minute: {error}"))
        };
        self.opened.iter().copied().filter_map(close).collect()
    }
}

/// The address of this host that attempts come from.
pub(super) fn loopback(listener: SocketAddr) -> IpAddr {
    match listener {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}
