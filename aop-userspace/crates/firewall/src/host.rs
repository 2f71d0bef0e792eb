//! The host's interfaces and addresses, for questions about where it can be reached.
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

/// An interface, and its addresses.
#[derive(Clone, Debug)]
pub struct HostInterface {
    /// Its name.
    pub name: String,
    /// Its index in the kernel.
    pub index: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it is a loopback interface.
    pub loopback: bool,
    /// The interface of this host below it, if that carries its frames unchanged, as below a VLAN.
    /// Not the one below a tunnel, which encapsulates them.
    pub parent: Option<u32>,
    /// Its bridge or bond.
    pub controller: Option<u32>,
    /// Its addresses of global scope.
    pub addresses: Vec<IpAddr>,
}

/// All interfaces of this network namespace.
///
/// # Errors
/// The kernel does not list them.
pub fn host_interfaces() -> Result<Vec<HostInterface>, FirewallError> {
    let list = || {
        let addresses = interfaces::addresses()?;
        let links = dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let found = links.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => interface(link, &addresses),
            _ => None,
        });
        Ok(found.collect())
    };
    list().map_err(FirewallError::Netlink)
}

fn interface(link: LinkMessage, addresses: &[interfaces::LocalAddress]) -> Option<HostInterface> {
    let (index, flags) = (link.header.index, link.header.flags);
    let (mut name, mut parent, mut controller, mut elsewhere) = (None, None, None, false);
    let mut unpacked = false;
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Link(index) => parent = Some(index),
            LinkAttribute::Controller(index) => controller = Some(index),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::LinkInfo(infos) => {
                unpacked = infos.iter().any(interfaces::gets_frames_unchanged)
            }
            _ => {}
        }
    }
    let own = addresses.iter().filter(|it| it.interface == index && it.global);
    Some(HostInterface {
        name: name?,
        index,
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
        parent: parent.filter(|other| *other != index && *other != 0 && !elsewhere && unpacked),
        controller: controller.filter(|index| *index != 0),
        addresses: own.map(|it| it.address).collect(),
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{InfoKind, LinkInfo};

    use super::*;

    #[test]
    fn the_parent_of_a_vlan_is_reported_and_that_of_a_tunnel_is_not() {
        let parent = |kind: InfoKind| {
            let mut link = LinkMessage::default();
            link.header.index = 3;
            link.attributes = vec![
                LinkAttribute::IfName("it".to_owned()),
                LinkAttribute::Link(2),
                LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]),
            ];
            interface(link, &[]).expect("an interface").parent
        };
        for kind in [InfoKind::Vlan, InfoKind::MacVlan, InfoKind::IpVlan] {
            assert_eq!(parent(kind.clone()), Some(2), "{kind:?}");
        }
        for kind in [InfoKind::IpIp, InfoKind::GreTun, InfoKind::Vxlan, InfoKind::Veth] {
            assert_eq!(parent(kind.clone()), None, "{kind:?}");
        }
    }
}
