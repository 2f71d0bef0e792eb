//! The host's interfaces, from rtnetlink. Not from sysfs: that shows the network namespace of its
//! mount, which may be another.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's kinds of messages and attributes are open-ended"
)]

use std::{io, net::IpAddr};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp, XdpAttached},
    route::{RouteAttribute, RouteMessage, RouteType},
};

use super::netlink::dump;

/// An interface.
#[derive(Clone, Debug)]
pub(super) struct LinkInfo {
    pub(super) name: String,
    pub(super) index: u32,
    /// Whether it is administratively up.
    pub(super) up: bool,
    /// Whether its frames begin with an Ethernet header, as the packet program expects.
    pub(super) ethernet: bool,
    /// The kernel's id of its XDP program.
    pub(super) program: Option<u32>,
}

/// All interfaces of this network namespace.
pub(super) fn list() -> io::Result<Vec<LinkInfo>> {
    let answers = dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => interface(link),
            _ => None,
        })
        .collect())
}

/// The indices of the interfaces with a default route, of either family.
pub(super) fn with_default_route() -> io::Result<Vec<u32>> {
    let routes = unicast_routes()?.into_iter();
    let default = routes.filter(|route| route.header.destination_prefix_length == 0);
    Ok(default.flat_map(|route| outgoing(&route.attributes)).collect())
}

/// All unicast routes, of both families.
pub(super) fn unicast_routes() -> io::Result<Vec<RouteMessage>> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        for answer in dump(RouteNetlinkMessage::GetRoute(request))? {
            if let RouteNetlinkMessage::NewRoute(route) = answer
                && route.header.kind == RouteType::Unicast
            {
                routes.push(route);
            }
        }
    }
    Ok(routes)
}

/// A local address.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalAddress {
    pub(super) address: IpAddr,
    /// The index of its interface.
    pub(super) interface: u32,
    /// Whether its scope is global.
    pub(super) global: bool,
}

/// All addresses of this network namespace.
pub(super) fn addresses() -> io::Result<Vec<LocalAddress>> {
    let answers = dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => local_address(&message),
            _ => None,
        })
        .collect())
}

/// On a point-to-point interface, Local is this host's address and Address that of the far end. On
/// others there is only one of them.
fn local_address(message: &AddressMessage) -> Option<LocalAddress> {
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => address = Some(*local),
            AddressAttribute::Address(other) => address = address.or(Some(*other)),
            _ => {}
        }
    }
    let global = message.header.scope == AddressScope::Universe;
    Some(LocalAddress { address: address?, interface: message.header.index, global })
}

fn interface(link: LinkMessage) -> Option<LinkInfo> {
    let mut name = None;
    let mut program = None;
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Xdp(facts) => program = xdp_program(&facts),
            _ => {}
        }
    }
    // Loopback frames have an Ethernet header, too (all zeros).
    let ethernet =
        matches!(link.header.link_layer_type, LinkLayerType::Ether | LinkLayerType::Loopback);
    let up = link.header.flags.contains(LinkFlags::Up);
    Some(LinkInfo { name: name?, index: link.header.index, up, ethernet, program })
}

fn xdp_program(facts: &[LinkXdp]) -> Option<u32> {
    let attached = facts
        .iter()
        .any(|fact| matches!(fact, LinkXdp::Attached(attached) if *attached != XdpAttached::None));
    let id = facts.iter().find_map(|fact| match fact {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    });
    if attached { id } else { None }
}

fn outgoing(attributes: &[RouteAttribute]) -> Vec<u32> {
    attributes
        .iter()
        .flat_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => vec![*index],
            RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
            _ => Vec::new(),
        })
        .collect()
}
