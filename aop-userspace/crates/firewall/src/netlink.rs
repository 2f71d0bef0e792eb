//! Requests to rtnetlink.
#![expect(clippy::wildcard_enum_match_arm, reason = "netlink's kinds of messages are open-ended")]

use std::{fmt, io};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A request with one answer; `None` where the kernel answers with an error, as for a route that
/// does not exist.
pub(super) fn ask(request: RouteNetlinkMessage) -> io::Result<Option<RouteNetlinkMessage>> {
    let socket = send(request, NLM_F_REQUEST)?;
    let (datagram, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram)
        .map_err(|error| io::Error::other(error.to_string()))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(inner) => Ok(Some(inner)),
        _ => Ok(None),
    }
}

/// The kernel's refusal of a change.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: io::Error,
    /// The reason in words, if the kernel has one.
    pub(super) message: Option<String>,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { error, message: None }
    }
}

/// Changes something.
pub(super) fn change(request: RouteNetlinkMessage) -> Result<(), Refusal> {
    let socket = send(request, NLM_F_REQUEST | NLM_F_ACK)?;
    let (datagram, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram)
        .map_err(|error| io::Error::other(error.to_string()))?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => {
            let message = message_in(&datagram, answer.header.flags);
            Err(Refusal { error: error.to_io(), message })
        }
        _ => Ok(()),
    }
}

/// The text behind an error (linux/netlink.h, NLMSGERR_ATTR_MSG): after the header, the number and
/// the request, of which the kernel may have left out all but the header.
fn message_in(datagram: &[u8], flags: u16) -> Option<String> {
    const TEXT: u16 = 1;
    const HEADER: usize = 16;
    const REQUEST: usize = HEADER + 4;
    if flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let length = datagram.get(REQUEST..REQUEST + 4)?.try_into().ok()?;
    let request = match flags & NLM_F_CAPPED {
        0 => usize::try_from(u32::from_ne_bytes(length)).ok()?.next_multiple_of(4),
        _ => HEADER,
    };
    let attributes = NlasIterator::new(datagram.get(REQUEST.checked_add(request)?..)?);
    let text = attributes.flatten().find(|attribute| attribute.kind() == TEXT)?;
    let text = String::from_utf8_lossy(text.value()).into_owned();
    Some(text.trim_end_matches('\0').trim().to_owned()).filter(|text| !text.is_empty())
}

/// Requests all objects of a kind. A dump that the kernel marks as interrupted may lack some, and
/// is repeated: an existing interface must not seem gone.
pub(super) fn dump<T>(request: T) -> io::Result<Vec<T>>
where
    T: Clone + fmt::Debug + NetlinkSerializable + NetlinkDeserializable,
{
    const ATTEMPTS: usize = 20;
    for _ in 0..ATTEMPTS {
        if let Some(answers) = try_dump(request.clone())? {
            return Ok(answers);
        }
    }
    Err(io::Error::other("the list changes faster than the kernel can send it"))
}

/// `None` where the kernel marks the dump as interrupted.
fn try_dump<T>(request: T) -> io::Result<Option<Vec<T>>>
where
    T: fmt::Debug + NetlinkSerializable + NetlinkDeserializable,
{
    let socket = send(request, NLM_F_REQUEST | NLM_F_DUMP)?;
    let mut answers = Vec::new();
    let mut interrupted = false;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let answer = NetlinkMessage::<T>::deserialize(rest)
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

/// Sends a request on a socket of its own.
fn send<T: fmt::Debug + NetlinkSerializable>(request: T, flags: u16) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_ext_ack(true)?;
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with a request of 22 bytes, or with its header alone, and two attributes.
    fn refusal(flags: u16) -> Vec<u8> {
        let mut datagram = vec![0; 20];
        datagram.extend(22_u32.to_ne_bytes());
        let request = if flags & NLM_F_CAPPED == 0 { 24 } else { 16 };
        datagram.resize(20 + request, 0xff);
        for (kind, text) in [(2_u16, &b"abcd"[..]), (1, b"MTU too large\0")] {
            datagram.extend((4 + text.len() as u16).to_ne_bytes());
            datagram.extend(kind.to_ne_bytes());
            datagram.extend(text);
            datagram.resize(datagram.len().next_multiple_of(4), 0);
        }
        datagram
    }

    #[test]
    fn the_reason_in_words_is_behind_the_request_or_behind_its_header() {
        for flags in [NLM_F_ACK_TLVS, NLM_F_ACK_TLVS | NLM_F_CAPPED] {
            assert_eq!(message_in(&refusal(flags), flags).as_deref(), Some("MTU too large"));
        }
        assert_eq!(message_in(&refusal(0), 0), None, "the kernel sent no attributes");
        let cut = &refusal(NLM_F_ACK_TLVS)[..22];
        assert_eq!(message_in(cut, NLM_F_ACK_TLVS), None);
    }
}
