//! Requests to rtnetlink.
#![expect(clippy::wildcard_enum_match_arm, reason = "netlink's kinds of messages are open-ended")]

use std::{fmt, io};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
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
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    Ok(socket)
}
