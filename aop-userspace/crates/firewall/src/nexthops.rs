//! Nexthop objects (`ip nexthop`): a route may name one in place of an interface. The route itself
//! shows no interface if `net.ipv4.nexthop_compat_mode` is 0.

use std::{collections::BTreeMap, convert::Infallible, io};

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlaBuffer};

use super::netlink::dump;

/// From the kernel's rtnetlink.h and nexthop.h.
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_GETNEXTHOP: u16 = 106;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
/// The length of a `struct nhmsg`.
const HEADER: usize = 8;
/// The length of a `struct nexthop_grp`, which begins with an identifier.
const MEMBER: usize = 8;

/// A nexthop object, or the request for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Nexthop {
    id: u32,
    interface: Option<u32>,
    /// The objects of a group.
    members: Vec<u32>,
}

/// The indices of the interfaces of these nexthop objects.
pub(super) fn interfaces(ids: &[u32]) -> io::Result<Vec<u32>> {
    Ok(interfaces_of(ids, &dump(Nexthop::default())?))
}

fn interfaces_of(ids: &[u32], objects: &[Nexthop]) -> Vec<u32> {
    let objects: BTreeMap<u32, &Nexthop> = objects.iter().map(|it| (it.id, it)).collect();
    let named = ids.iter().filter_map(|id| objects.get(id));
    // Groups have no groups in them.
    let all = named.flat_map(|object| {
        let members = object.members.iter().filter_map(|id| objects.get(id));
        std::iter::once(object).chain(members)
    });
    all.filter_map(|object| object.interface).collect()
}

impl NetlinkSerializable for Nexthop {
    fn message_type(&self) -> u16 {
        RTM_GETNEXTHOP
    }

    fn buffer_len(&self) -> usize {
        HEADER
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

impl NetlinkDeserializable for Nexthop {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        let mut found = Self::default();
        let mut rest = payload.get(HEADER..).unwrap_or_default();
        if header.message_type != RTM_NEWNEXTHOP {
            return Ok(found);
        }
        while let Ok(attribute) = NlaBuffer::new_checked(rest) {
            let number = |bytes: &[u8]| Some(u32::from_ne_bytes(*bytes.first_chunk()?));
            match attribute.kind() {
                NHA_ID => found.id = number(attribute.value()).unwrap_or_default(),
                NHA_OIF => found.interface = number(attribute.value()),
                NHA_GROUP => {
                    found.members = attribute.value().chunks(MEMBER).filter_map(number).collect();
                }
                _ => {}
            }
            let length = usize::from(attribute.length()).next_multiple_of(4);
            rest = rest.get(length.max(4)..).unwrap_or_default();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).expect("short");
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    fn read(attributes: &[Vec<u8>]) -> Nexthop {
        let mut header = NetlinkHeader::default();
        header.message_type = RTM_NEWNEXTHOP;
        let payload = [vec![0; HEADER], attributes.concat()].concat();
        let Ok(nexthop) = Nexthop::deserialize(&header, &payload);
        nexthop
    }

    #[test]
    fn objects_and_groups_lead_to_interfaces() {
        let one =
            read(&[attribute(NHA_ID, &5_u32.to_ne_bytes()), attribute(NHA_OIF, &[2, 0, 0, 0])]);
        assert_eq!(one, Nexthop { id: 5, interface: Some(2), members: vec![] });
        let members = [&5_u32.to_ne_bytes()[..], &[0; 4], &7_u32.to_ne_bytes(), &[0; 4]].concat();
        let group =
            read(&[attribute(NHA_ID, &9_u32.to_ne_bytes()), attribute(NHA_GROUP, &members)]);
        assert_eq!(group.members, [5, 7]);
        let other = Nexthop { id: 7, interface: Some(3), members: vec![] };
        let objects = [one, group, other];
        assert_eq!(interfaces_of(&[5], &objects), [2]);
        assert_eq!(interfaces_of(&[9, 8], &objects), [2, 3]);
    }

    #[test]
    fn truncated_attributes_end_the_object() {
        let whole = attribute(NHA_ID, &5_u32.to_ne_bytes());
        for length in 0..whole.len() {
            assert_eq!(read(&[whole[..length].to_vec()]).id, 0);
        }
    }
}
