//! `aop explain`: the verdict of the loaded firewall on a packet, and the reason.
//!
//! The verdict comes from the kernel, through [`DryRun`], and the explanation from the same maps.
//! This module decides nothing and changes no live counter. The verdict assumes full budgets; the
//! state of the live budgets is reported separately.

mod behind;
mod budgets;
mod capture;
mod network;
mod pcap;
mod reason;

use std::net::IpAddr;

use aop_api::Explanation;
use aop_common::Action;
use aop_firewall::{DryRun, FirewallError};
use aop_packets::build::{Ip, Ipv4, Ipv6, Tcp};
pub use capture::capture;
use ipnet::IpNet;
pub use network::addresses_of;
pub use pcap::PcapError;

use self::{budgets::LiveBudgets, reason::SourceState};
use crate::netfilter::Packet;

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ExplainError {
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    #[error(transparent)]
    Pcap(#[from] PcapError),
    #[error("no port is guarded, so there is no default port; give one: aop explain {0} PORT")]
    NoPort(IpAddr),
    #[error("{from} and {to} are of different families: no packet can have both")]
    Families { from: IpAddr, to: IpAddr },
}

/// The connection attempt to explain.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionAttempt {
    /// The source address.
    pub source: IpAddr,
    /// The destination TCP port; `None` means the lowest guarded one.
    pub port: Option<u16>,
    /// The destination address; `None` means an address of the interface.
    pub destination: Option<IpAddr>,
}

/// The admitted prefixes whose owner is not the list.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrefixOwners<'a> {
    /// `firewall.extra`.
    pub extra: &'a [IpNet],
    /// The openings.
    pub opened: &'a [IpNet],
}

/// Explains the verdict on the SYN of `attempt`.
///
/// # Errors
/// No port is given or guarded, the addresses are of different families, or the kernel
/// refuses to run the frame.
pub fn source(
    live: &mut DryRun,
    attempt: ConnectionAttempt,
    owners: PrefixOwners<'_>,
) -> Result<Explanation, ExplainError> {
    let ConnectionAttempt { source, .. } = attempt;
    let guarded_ports = guarded_ports(live);
    let lowest = guarded_ports.first().copied();
    let port = attempt.port.or(lowest).ok_or(ExplainError::NoPort(source))?;
    let local = || match source {
        IpAddr::V4(_) => IpAddr::V4(live.local_v4()),
        IpAddr::V6(_) => IpAddr::V6(live.local_v6()),
    };
    let destination = attempt.destination.unwrap_or_else(local);
    let judged = live.judge(&syn(source, destination, port)?)?;
    let state = SourceState::read(live, source, owners);
    let now = LiveBudgets::read(live, source, judged.verdict)?;
    let interface = live.interface().to_owned();
    let packet = Packet { interface, source, destination, port };
    let netfilter = match judged.action {
        Action::Pass | Action::WouldDrop => behind::fate(&packet),
        Action::Drop => None,
    };
    Ok(Explanation {
        action: judged.action.into(),
        reason: judged.verdict.reason().to_owned(),
        would_drop: judged.would_drop(),
        detail: state.detail(judged, Some(port), Some(destination), &guarded_ports),
        source,
        destination,
        port,
        interface: live.interface().to_owned(),
        mode: live.mode(Some(port)).into(),
        generation: live.generation(),
        prefix: state.prefix.map(|(prefix, _)| prefix.to_string()),
        standing: state.standing.into(),
        drains_for_seconds: state.drains_for_seconds(),
        authenticated: state.authenticated,
        guarded_ports,
        budget: now.budget,
        probation: now.probation,
        now: now.text,
        netfilter,
    })
}

/// The guarded ports, in order.
fn guarded_ports(live: &DryRun) -> Vec<u16> {
    (0..=u16::MAX).filter(|port| live.ports().contains(*port)).collect()
}

fn syn(source: IpAddr, destination: IpAddr, port: u16) -> Result<Vec<u8>, ExplainError> {
    let syn = Tcp::syn(port);
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            Ok(Ipv4::between(from.octets(), to.octets()).tcp(&syn))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            Ok(Ipv6::between(from.octets(), to.octets()).tcp(&syn))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            Err(ExplainError::Families { from: source, to: destination })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_different_families_are_an_error() {
        let (v4, v6) = ("192.0.2.1".parse().expect("v4"), "2001:db8::1".parse().expect("v6"));
        assert!(matches!(syn(v4, v6, 443), Err(ExplainError::Families { .. })));
        assert!(matches!(syn(v6, v4, 443), Err(ExplainError::Families { .. })));
        assert!(syn(v6, v6, 443).is_ok());
    }
}
