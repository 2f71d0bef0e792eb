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
    link::{
        self, InfoKind, LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
    },
    route::{RouteAttribute, RouteMessage, RouteType},
};

use super::{netlink::dump, nexthops};

/// An interface.
#[derive(Clone, Debug)]
pub(super) struct LinkInfo {
    pub(super) name: String,
    pub(super) index: u32,
    /// Whether it is administratively up.
    pub(super) up: bool,
    /// Whether its frames begin with an Ethernet header, as the packet program expects.
    pub(super) ethernet: bool,
    pub(super) loopback: bool,
    pub(super) kind: LinkKind,
    /// The index of its bridge, bond or VRF.
    pub(super) controller: Option<u32>,
    /// The index of the interface below, if that carries its frames unchanged, as below a VLAN.
    pub(super) parent: Option<u32>,
    /// The kernel's id of its XDP program.
    pub(super) program: Option<u32>,
    pub(super) mtu: u32,
    /// The packets that it received since it exists.
    pub(super) received: u64,
    /// Whether it is a bond, which attaches a program to its ports.
    pub(super) bond: bool,
    /// The device that it belongs to, or the devices of the bond's ports; none if it is virtual.
    pub(super) devices: Vec<ParentDevice>,
}

/// A device on a bus, such as `0000:00:03.0` on `pci`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParentDevice {
    pub(super) bus: String,
    pub(super) name: String,
}

/// The kind of an interface, as far as it matters where packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Loopback, dummy, VRF and the like: no packet arrives on it from outside.
    Internal,
    /// One end of a pair.
    Veth,
    /// Backed by a program, such as a virtual machine.
    Tap,
    /// Its packets arrive at its ports.
    Bridge,
    /// Its packets arrive inside of others, from any host: nothing authenticates the sender.
    Tunnel,
    /// A card, or one of the other virtual interfaces.
    Other,
}

/// All interfaces of this network namespace.
pub(super) fn list() -> io::Result<Vec<LinkInfo>> {
    let answers = dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => interface(link),
        _ => None,
    });
    let mut links: Vec<LinkInfo> = links.collect();
    add_devices_of_ports(&mut links);
    Ok(links)
}

fn add_devices_of_ports(links: &mut [LinkInfo]) {
    let ports: Vec<(u32, ParentDevice)> = links
        .iter()
        .filter_map(|link| Some((link.controller?, link)))
        .flat_map(|(controller, link)| link.devices.iter().map(move |it| (controller, it.clone())))
        .collect();
    for (controller, device) in ports {
        let controllers = links.iter_mut().filter(|link| link.bond && link.index == controller);
        controllers.for_each(|link| link.devices.push(device.clone()));
    }
}

/// The indices of the interfaces with a default route, of either family and in any table.
pub(super) fn with_default_route() -> io::Result<Vec<u32>> {
    let routes = unicast_routes()?.into_iter();
    let default = routes.filter(|route| route.header.destination_prefix_length == 0);
    let (mut found, mut objects) = (Vec::new(), Vec::new());
    for route in default {
        found.extend(outgoing(&route.attributes));
        objects.extend(route.attributes.iter().filter_map(|attribute| match attribute {
            RouteAttribute::NhId(id) => Some(*id),
            _ => None,
        }));
    }
    if !objects.is_empty() {
        found.extend(nexthops::interfaces(&objects)?);
    }
    Ok(found)
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
    let (mut name, mut program, mut controller, mut lower) = (None, None, None, None);
    let (mut kind, mut unpacked, mut elsewhere) = (LinkKind::Other, false, false);
    let (mut mtu, mut received, mut bus, mut device, mut bond) = (0, 0, None, None, false);
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Xdp(facts) => program = xdp_program(&facts),
            LinkAttribute::Controller(index) => controller = Some(index).filter(|it| *it != 0),
            LinkAttribute::Link(index) => lower = Some(index),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::Mtu(bytes) => mtu = bytes,
            LinkAttribute::Stats64(counters) => received = counters.rx_packets,
            LinkAttribute::ParentDevName(text) => device = Some(text),
            LinkAttribute::ParentDevBusName(text) => bus = Some(text),
            LinkAttribute::LinkInfo(infos) => {
                unpacked = infos.iter().any(gets_frames_unchanged);
                bond = infos.contains(&link::LinkInfo::Kind(InfoKind::Bond));
                kind = infos.iter().find_map(link_kind).unwrap_or(LinkKind::Other);
            }
            _ => {}
        }
    }
    let loopback = link.header.flags.contains(LinkFlags::Loopback);
    if loopback {
        kind = LinkKind::Internal;
    }
    // Loopback frames have an Ethernet header, too (all zeros).
    let ethernet =
        matches!(link.header.link_layer_type, LinkLayerType::Ether | LinkLayerType::Loopback);
    let up = link.header.flags.contains(LinkFlags::Up);
    let index = link.header.index;
    let parent = lower.filter(|other| *other != index && *other != 0 && !elsewhere && unpacked);
    let device = bus.zip(device).map(|(bus, name)| ParentDevice { bus, name });
    Some(LinkInfo {
        name: name?,
        index,
        up,
        ethernet,
        loopback,
        kind,
        controller,
        parent,
        program,
        mtu,
        received,
        bond,
        devices: device.into_iter().collect(),
    })
}

/// Whether the interface below carries the frames of this one unchanged. The other end of a veth
/// pair is not below.
fn gets_frames_unchanged(info: &link::LinkInfo) -> bool {
    matches!(
        info,
        link::LinkInfo::Kind(
            InfoKind::Vlan
                | InfoKind::MacVlan
                | InfoKind::MacVtap
                | InfoKind::IpVlan
                | InfoKind::IpVtap
        )
    )
}

fn link_kind(info: &link::LinkInfo) -> Option<LinkKind> {
    let link::LinkInfo::Kind(kind) = info else { return None };
    Some(match kind {
        InfoKind::Dummy | InfoKind::Ifb | InfoKind::Nlmon | InfoKind::Vrf => LinkKind::Internal,
        InfoKind::Veth | InfoKind::Netkit => LinkKind::Veth,
        InfoKind::Tun => LinkKind::Tap,
        InfoKind::Bridge => LinkKind::Bridge,
        InfoKind::IpIp
        | InfoKind::Ip6Tnl
        | InfoKind::SitTun
        | InfoKind::GreTun
        | InfoKind::GreTun6
        | InfoKind::GreTap
        | InfoKind::GreTap6
        | InfoKind::ErSpan
        | InfoKind::Ip6ErSpan
        | InfoKind::Vxlan
        | InfoKind::Geneve
        | InfoKind::BareUdp => LinkKind::Tunnel,
        _ => LinkKind::Other,
    })
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

#[cfg(test)]
impl LinkInfo {
    /// A card that is up.
    pub(super) fn card(name: &str, index: u32) -> Self {
        Self {
            name: name.to_owned(),
            index,
            up: true,
            ethernet: true,
            loopback: false,
            kind: LinkKind::Other,
            controller: None,
            parent: None,
            program: None,
            mtu: 1500,
            received: 0,
            bond: false,
            devices: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bond_has_the_devices_of_its_ports_and_a_bridge_has_not() {
        let device = |name: &str| ParentDevice { bus: "pci".to_owned(), name: name.to_owned() };
        let port = |name: &str, index| LinkInfo {
            controller: Some(9),
            devices: vec![device(name)],
            ..LinkInfo::card(name, index)
        };
        let bond0 = LinkInfo { bond: true, ..LinkInfo::card("bond0", 9) };
        let bridged = LinkInfo { controller: Some(8), ..port("c", 3) };
        let br0 = LinkInfo::card("br0", 8);
        let mut links = [bond0, port("a", 1), port("b", 2), br0, bridged];
        add_devices_of_ports(&mut links);
        assert_eq!(links[0].devices, [device("a"), device("b")]);
        assert_eq!(links[3].devices, []);
        assert_eq!(links[1].devices, [device("a")]);
    }

    #[test]
    fn the_parent_of_a_vlan_is_reported_and_that_of_a_tunnel_is_not() {
        let parent = |kind: InfoKind| {
            let mut link = LinkMessage::default();
            link.header.index = 3;
            link.attributes = vec![
                LinkAttribute::IfName("it".to_owned()),
                LinkAttribute::Link(2),
                LinkAttribute::LinkInfo(vec![link::LinkInfo::Kind(kind)]),
            ];
            interface(link).expect("an interface").parent
        };
        for kind in [InfoKind::Vlan, InfoKind::MacVlan, InfoKind::IpVlan] {
            assert_eq!(parent(kind.clone()), Some(2), "{kind:?}");
        }
        for kind in [InfoKind::IpIp, InfoKind::GreTun, InfoKind::Vxlan, InfoKind::Veth] {
            assert_eq!(parent(kind.clone()), None, "{kind:?}");
        }
    }
}
