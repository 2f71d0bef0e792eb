//! Whether this host forwards packets, and where to: the kernel's own answers.

#![expect(clippy::wildcard_enum_match_arm, reason = "netlink's attributes are open-ended")]

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
};

use super::{DryRun, error::FirewallError, interfaces::unicast_routes, netlink::ask};

/// A destination to which this host forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardTarget {
    /// None: packets that are not for the host are dropped.
    DoesNotForward,
    /// Forwarding is on, but no route leads anywhere.
    NoRoute,
    /// For example this address.
    To(IpAddr),
}

/// Addresses of the documentation ranges, to which only a default route leads.
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0x20, 0, 0, 0, 0x20)),
];

impl DryRun {
    /// Where a packet that arrives on the interface would be forwarded; `family` is any address of
    /// the packet's family.
    ///
    /// # Errors
    /// The kernel does not list its routes.
    pub fn beyond(&self, family: IpAddr) -> Result<ForwardTarget, FirewallError> {
        if !forwards(&self.interface.name, family) {
            return Ok(ForwardTarget::DoesNotForward);
        }
        self.leaving(family).map_err(FirewallError::Netlink)
    }

    fn leaving(&self, family: IpAddr) -> io::Result<ForwardTarget> {
        let of_family = |address: &IpAddr| address.is_ipv4() == family.is_ipv4();
        for candidate in routed()?.into_iter().chain(ANYWHERE).filter(of_family) {
            let local = self.local.iter().any(|local| local.address == candidate);
            if !local && leaves(candidate)? {
                return Ok(ForwardTarget::To(candidate));
            }
        }
        Ok(ForwardTarget::NoRoute)
    }
}

/// An address in each network to which a route leads.
fn routed() -> io::Result<Vec<IpAddr>> {
    let addresses = unicast_routes()?.into_iter().filter_map(|route| {
        let whole = route.header.destination_prefix_length;
        route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(network)) => {
                Some(inside(*network, whole))
            }
            RouteAttribute::Destination(RouteAddress::Inet6(network)) => inside_v6(*network, whole),
            _ => None,
        })
    });
    Ok(addresses.collect())
}

/// The address after a network's first one, which may be a broadcast address; of a host route, the
/// host.
fn inside(network: Ipv4Addr, length: u8) -> IpAddr {
    Ipv4Addr::from_bits(network.to_bits() | u32::from(length < 32)).into()
}

/// The same, unless the network is link-local or multicast.
fn inside_v6(network: Ipv6Addr, length: u8) -> Option<IpAddr> {
    let forwarded = !network.is_unicast_link_local() && !network.is_multicast();
    forwarded.then(|| Ipv6Addr::from_bits(network.to_bits() | u128::from(length < 128)).into())
}

/// Whether a packet to `destination` would leave this host.
fn leaves(destination: IpAddr) -> io::Result<bool> {
    let mut request = RouteMessage::default();
    let (family, bits) = match destination {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    request.header.address_family = family;
    request.header.destination_prefix_length = bits;
    request.attributes.push(RouteAttribute::Destination(destination.into()));
    match ask(RouteNetlinkMessage::GetRoute(request))? {
        Some(RouteNetlinkMessage::NewRoute(route)) => Ok(route.header.kind == RouteType::Unicast),
        _ => Ok(false),
    }
}

/// Whether packets that arrive on `interface` are forwarded. /proc/sys/net is that of the process's
/// own network namespace.
fn forwards(interface: &str, family: IpAddr) -> bool {
    let family = if family.is_ipv4() { "ipv4" } else { "ipv6" };
    let switch = format!("/proc/sys/net/{family}/conf/{interface}/forwarding");
    fs::read_to_string(switch).is_ok_and(|value| value.trim() != "0")
}
