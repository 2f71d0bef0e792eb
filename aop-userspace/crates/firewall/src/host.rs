//! The host's interfaces with their addresses, for whoever asks where it can be reached.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's kinds of messages and attributes are open-ended"
)]

use std::net::IpAddr;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
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
    /// The interface of this host whose frames it gets as they are, as of a VLAN; not that below a
    /// tunnel, where they are packed into others.
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
    let mut unpacked = false;
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Link(index) => parent = Some(index),
            LinkAttribute::Controller(index) => controller = Some(index),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::LinkInfo(infos) => unpacked = infos.iter().any(gets_them_unpacked),
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

/// Whether frames of such an interface cross the one below it as they are. The other end of a pair of
/// virtual interfaces is not below this one.
fn gets_them_unpacked(info: &LinkInfo) -> bool {
    matches!(
        info,
        LinkInfo::Kind(
            InfoKind::Vlan
                | InfoKind::MacVlan
                | InfoKind::MacVtap
                | InfoKind::IpVlan
                | InfoKind::IpVtap
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_vlan_has_its_frames_and_what_is_below_a_tunnel_has_not() {
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
