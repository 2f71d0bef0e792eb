//! The loopback opening. The address lock also refuses this host itself while it enforces, so the
//! doctor opens the loopback for its attempts, with the same request as `aop open`. If the doctor
//! dies, the opening expires by itself.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use crate::doctor::HostContext;
use aop_api::{OpeningsInForce, Request};
use ipnet::IpNet;

/// How long the opening lasts: a little longer than all attempts may take.
const SECONDS: u64 = 60;

/// The openings that the doctor made.
pub(super) struct LoopbackOpening {
    runtime: PathBuf,
    opened: Vec<IpNet>,
}

impl LoopbackOpening {
    /// Opens the loopback of each family that has a listener, unless the operator has opened it.
    ///
    /// # Errors
    /// The reason if the daemon refuses.
    pub(super) fn open(host: &HostContext, listeners: &[SocketAddr]) -> Result<Self, String> {
        let mut opening = Self { runtime: host.paths.runtime.clone(), opened: Vec::new() };
        for network in listeners.iter().map(|listener| IpNet::from(loopback(*listener))) {
            let open = |opening: &aop_api::Opening| opening.network == network;
            if opening.opened.contains(&network) || host.status.openings.iter().any(open) {
                continue;
            }
            let request = Request::Open { network, seconds: SECONDS };
            match aop_control::ask::<OpeningsInForce>(&opening.runtime, request) {
                Ok(_) => opening.opened.push(network),
                Err(error) => {
                    let left = opening.close();
                    return Err(left
                        .into_iter()
                        .fold(error.to_string(), |all, one| format!("{all}; {one}")));
                }
            }
        }
        Ok(opening)
    }

    /// Closes the openings. Returns a message for each that could not be closed.
    pub(super) fn close(self) -> Vec<String> {
        let close = |network: IpNet| {
            let closed =
                aop_control::ask::<OpeningsInForce>(&self.runtime, Request::Close { network });
            closed.err().map(|error| format!("{network} stays open for a minute: {error}"))
        };
        self.opened.iter().copied().filter_map(close).collect()
    }
}

/// The source address of the attempts.
pub(super) fn loopback(listener: SocketAddr) -> IpAddr {
    match listener {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}
