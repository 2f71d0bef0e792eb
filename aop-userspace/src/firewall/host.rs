//! The host's interfaces with their addresses, for whoever asks where it can be reached.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's kinds of messages and attributes are open-ended"
)]

use std::net::IpAddr;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkMessage},
};

use super::{error::FirewallError, interfaces, netlink::dump};

/// An interface, and where it can be reached.
#[derive(Clone, Debug)]
pub struct HostInterface {
    /// Its name.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
    /// Whether its administrator has it up.
    pub up: bool,
    /// Whether it is the loopback.
    pub loopback: bool,
    /// The interface of this host whose frames it gets, as of a VLAN.
    pub parent: Option<u32>,
    /// The bridge or bond that it belongs to.
    pub controller: Option<u32>,
    /// Its addresses that are valid beyond its link.
    pub addresses: Vec<IpAddr>,
}

/// All interfaces of this network namespace.
///
/// # Errors
/// The kernel does not tell.
pub fn host_interfaces() -> Result<Vec<HostInterface>, FirewallError> {
    let told = || {
        let addresses = interfaces::addresses()?;
        let links = dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let found = links.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => interface(link, &addresses),
            _ => None,
        });
        Ok(found.collect())
    };
    told().map_err(FirewallError::Netlink)
}

fn interface(link: LinkMessage, addresses: &[interfaces::LocalAddress]) -> Option<HostInterface> {
    let (index, flags) = (link.header.index, link.header.flags);
    let (mut name, mut parent, mut controller, mut elsewhere) = (None, None, None, false);
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Link(index) => parent = Some(index),
            LinkAttribute::Controller(index) => controller = Some(index),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            _ => {}
        }
    }
    let own = addresses.iter().filter(|it| it.interface == index && it.global);
    Some(HostInterface {
        name: name?,
        index,
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
        // The other end of a pair of virtual interfaces is not below this one.
        parent: parent.filter(|other| *other != index && *other != 0 && !elsewhere),
        controller: controller.filter(|index| *index != 0),
        addresses: own.map(|it| it.address).collect(),
    })
}
