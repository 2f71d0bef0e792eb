//! The names of a frame's headers, in order, for people.

use aop_common::Frame;

const ETHERTYPE: usize = 12;
/// Stands for the headers that the stored part of a frame does not contain.
const CUT: &str = "…";

/// The part of a packet that a frame contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FragmentPart {
    /// It begins with the next header: a first fragment, or the whole packet.
    First,
    /// It continues an earlier fragment.
    Later,
}

impl FragmentPart {
    fn at(offset: u16) -> Self {
        if offset == 0 { Self::First } else { Self::Later }
    }
}

/// The headers from the outermost to the last known one, as far as `frame` contains them.
pub(super) fn headers(frame: &impl Frame) -> Vec<String> {
    let mut chain = Vec::new();
    if link(frame, &mut chain).is_none() {
        chain.push(CUT.to_owned());
    }
    chain
}

/// Whether headers of these names are of a TCP segment that answers a SYN.
pub(super) fn is_answer(headers: &[String]) -> bool {
    headers.last().is_some_and(|last| last == "TCP SYN+ACK")
}

fn link(frame: &impl Frame, chain: &mut Vec<String>) -> Option<()> {
    let mut at = ETHERTYPE;
    loop {
        let kind = frame.u16(at)?;
        match kind {
            0x8100 => chain.push("802.1Q".to_owned()),
            0x88a8 => chain.push("802.1ad".to_owned()),
            0x0800 => return ipv4(frame, at + 2, chain),
            0x86dd => return ipv6(frame, at + 2, chain),
            other => {
                chain.push(format!("EtherType {other:#06x}"));
                return Some(());
            }
        }
        at += 4;
    }
}

fn ipv4(frame: &impl Frame, at: usize, chain: &mut Vec<String>) -> Option<()> {
    let length = usize::from(frame.byte(at)? & 0x0f) * 4;
    chain.push(if length > 20 { "IPv4 with options" } else { "IPv4" }.to_owned());
    let pieces = frame.u16(at + 6)?;
    let (offset, more) = (pieces & 0x1fff, pieces & 0x2000 != 0);
    let part = FragmentPart::at(offset);
    if offset != 0 || more {
        chain.push(piece(offset * 8, more));
    }
    transport(frame, frame.byte(at + 9)?, at + length, part, chain)
}

fn ipv6(frame: &impl Frame, at: usize, chain: &mut Vec<String>) -> Option<()> {
    chain.push("IPv6".to_owned());
    let (mut next, mut at) = (frame.byte(at + 6)?, at + 40);
    let mut part = FragmentPart::First;
    loop {
        let [following, length, high, low] = match next {
            0 | 43 | 44 | 51 | 60 if part == FragmentPart::First => frame.load::<4>(at)?,
            _ => return transport(frame, next, at, part, chain),
        };
        let (name, size) = match next {
            0 => ("hop-by-hop".to_owned(), 8 * (usize::from(length) + 1)),
            43 => ("routing".to_owned(), 8 * (usize::from(length) + 1)),
            44 => {
                let pieces = u16::from_be_bytes([high, low]);
                part = FragmentPart::at(pieces & 0xfff8);
                (piece(pieces & 0xfff8, pieces & 1 == 1), 8)
            }
            51 => ("authentication".to_owned(), 4 * (usize::from(length) + 2)),
            _ => ("destination options".to_owned(), 8 * (usize::from(length) + 1)),
        };
        chain.push(name);
        (next, at) = (following, at + size);
    }
}

fn piece(offset: u16, more: bool) -> String {
    format!("fragment at {offset}{}", if more { ", more follow" } else { "" })
}

fn transport(
    frame: &impl Frame,
    protocol: u8,
    at: usize,
    part: FragmentPart,
    chain: &mut Vec<String>,
) -> Option<()> {
    match protocol {
        6 if part == FragmentPart::First => {
            let flags = flags(frame, at);
            chain.push(format!("TCP {}", flags.as_deref().unwrap_or(CUT)));
        }
        6 => chain.push("TCP".to_owned()),
        17 => chain.push("UDP".to_owned()),
        other => chain.push(format!("protocol {other}")),
    }
    Some(())
}

fn flags(frame: &impl Frame, at: usize) -> Option<String> {
    let flags = frame.byte(at + 13)?;
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"].into_iter().enumerate();
    let set: Vec<&str> =
        names.filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| name).collect();
    Some(if set.is_empty() { "no flags".to_owned() } else { set.join("+") })
}

#[cfg(test)]
mod tests {
    use aop_common::Bytes;
    use aop_packets::build::{Extension, Ip, Ipv4, Ipv6, Tcp};

    use super::*;

    fn chain_of(frame: &[u8]) -> String {
        headers(&Bytes(frame)).join(" > ")
    }

    #[test]
    fn every_header_has_its_name_in_order() {
        let syn = Tcp::syn(443);
        let v4 = Ipv4::between([192, 0, 2, 1], [192, 0, 2, 2]);
        assert_eq!(chain_of(&v4.clone().tcp(&syn)), "IPv4 > TCP SYN");
        assert_eq!(chain_of(&v4.clone().udp(443)), "IPv4 > UDP");
        assert_eq!(
            chain_of(&v4.clone().fragment(16, true).tcp(&syn)),
            "IPv4 > fragment at 128, more follow > TCP"
        );
        let v6 = Ipv6::between([1; 16], [2; 16]).with(Extension::destination(0));
        let flags = syn.clone().flags(0x12);
        let answer = v6.tcp(&flags);
        assert_eq!(chain_of(&answer), "IPv6 > destination options > TCP SYN+ACK");
        assert!(is_answer(&headers(&Bytes(&answer))));
        assert!(!is_answer(&headers(&Bytes(&v4.tcp(&syn)))));
    }

    #[test]
    fn the_headers_of_a_truncated_frame_are_named_as_far_as_it_goes() {
        let frame = Ipv4::between([192, 0, 2, 1], [192, 0, 2, 2]).tcp(&Tcp::syn(443));
        assert_eq!(chain_of(&frame[..40]), "IPv4 > TCP …");
        assert_eq!(chain_of(&frame[..16]), "IPv4 > …");
        assert_eq!(chain_of(&frame[..13]), "…");
        assert_eq!(chain_of(&[0; 14]), "EtherType 0x0000");
    }
}
