//! The host's interfaces, as rtnetlink tells them. Not sysfs: that shows the network namespace of
//! its mount, which need not be ours.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's kinds of messages and attributes are open-ended"
)]

use std::{io, net::IpAddr};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp, XdpAttached},
    route::{RouteAttribute, RouteMessage, RouteType},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// An interface.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    /// Whether its administrator has it up.
    pub(super) up: bool,
    /// Whether its frames begin with an Ethernet header, as the packet program expects.
    pub(super) ethernet: bool,
    /// The XDP program that it runs, by the kernel's id.
    pub(super) program: Option<u32>,
}

/// All interfaces of this network namespace.
pub(super) fn list() -> io::Result<Vec<Interface>> {
    let answers = dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => interface(link),
            _ => None,
        })
        .collect())
}

/// The indices of the interfaces that carry a default route, of either family.
pub(super) fn with_default_route() -> io::Result<Vec<u32>> {
    let mut indices = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        for answer in dump(RouteNetlinkMessage::GetRoute(request))? {
            if let RouteNetlinkMessage::NewRoute(route) = answer
                && route.header.destination_prefix_length == 0
                && route.header.kind == RouteType::Unicast
            {
                indices.extend(outgoing(&route.attributes));
            }
        }
    }
    Ok(indices)
}

/// A local address.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalAddress {
    pub(super) address: IpAddr,
    /// The index of its interface.
    pub(super) interface: u32,
    /// Whether it is valid beyond its link.
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

/// Of a point-to-point address, Local is ours and Address the far end's; else only one is there.
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

fn interface(link: LinkMessage) -> Option<Interface> {
    let mut name = None;
    let mut program = None;
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Xdp(facts) => program = xdp_program(&facts),
            _ => {}
        }
    }
    // Loopback frames have an (all-zero) Ethernet header too.
    let ethernet =
        matches!(link.header.link_layer_type, LinkLayerType::Ether | LinkLayerType::Loopback);
    let up = link.header.flags.contains(LinkFlags::Up);
    Some(Interface { name: name?, index: link.header.index, up, ethernet, program })
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

/// Asks for everything of a kind. What changes meanwhile may be left out, so then it is asked again:
/// an interface that is there must not seem gone.
fn dump(request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    const ATTEMPTS: usize = 20;
    for _ in 0..ATTEMPTS {
        if let Some(answers) = try_dump(request.clone())? {
            return Ok(answers);
        }
    }
    Err(io::Error::other("they change faster than they are listed"))
}

/// `None` where the kernel says that it was interrupted.
fn try_dump(request: RouteNetlinkMessage) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut answers = Vec::new();
    let mut interrupted = false;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::other(error.to_string()))?;
            interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
            let length = usize::try_from(answer.header.length).unwrap_or(0).next_multiple_of(4);
            match answer.payload {
                NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(answers)),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                _ => {}
            }
            match rest.get(length..) {
                Some(next) if length > 0 => rest = next,
                _ => break,
            }
        }
    }
}
