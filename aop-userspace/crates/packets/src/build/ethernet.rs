//! Ethernet, VLAN tags and padding.

/// The EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// The EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// The EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// The EtherType of an 802.1Q tag.
pub const CUSTOMER_TAG: u16 = 0x8100;
/// The EtherType of an 802.1ad tag.
pub const SERVICE_TAG: u16 = 0x88a8;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

/// A frame of the EtherType `kind`.
#[must_use]
pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = MACS.to_vec();
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `frame` with one more tag, outside of the others. `control` is priority and VID.
#[must_use]
pub fn tagged(frame: Vec<u8>, kind: u16, control: u16) -> Vec<u8> {
    let mut tagged = frame[..MACS.len()].to_vec();
    tagged.extend(kind.to_be_bytes());
    tagged.extend(control.to_be_bytes());
    tagged.extend(&frame[MACS.len()..]);
    tagged
}

/// `frame` with `count` more tags of the same kind.
#[must_use]
pub fn tags(frame: Vec<u8>, count: usize, kind: u16, control: u16) -> Vec<u8> {
    (0..count).fold(frame, |frame, _| tagged(frame, kind, control))
}

/// `frame` with `count` bytes of padding, which its IP length does not count.
#[must_use]
pub fn padded(mut frame: Vec<u8>, count: usize) -> Vec<u8> {
    frame.extend(std::iter::repeat_n(0, count));
    frame
}
