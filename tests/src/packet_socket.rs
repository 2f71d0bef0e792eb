//! A packet socket (`AF_PACKET`): sends and receives whole frames on an interface, beside the
//! network stack of the kernel.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::Netns;

/// The receive buffer in bytes: room for some thousand frames.
const BUFFER: usize = 8 << 20;
const LONGEST: usize = 65_536;

/// A packet socket that is bound to one interface.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// A TCP segment that came in reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TcpReply {
    /// The source address.
    pub from: IpAddr,
    /// The source port.
    pub port: u16,
    /// The destination port.
    pub to: u16,
    /// The meaning of its flags.
    pub kind: TcpReplyKind,
}

/// The meaning of the flags of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TcpReplyKind {
    /// SYN and ACK: there is a listener.
    SynAck,
    /// RST: there is no listener, or it refuses.
    Reset,
    /// Anything else.
    Other,
}

impl PacketSocket {
    /// Opens a packet socket on `interface` in `netns`.
    ///
    /// # Errors
    /// When there is no such interface, or the kernel refuses a packet socket.
    pub fn open(netns: &Netns, interface: &str) -> Result<Self> {
        let link = link(netns, interface)?;
        netns.inside(|| {
            let packets = (AddressFamily::Packet, SockType::Raw, SockProtocol::EthAll);
            let opened = socket(packets.0, packets.1, SockFlag::SOCK_CLOEXEC, packets.2)?;
            setsockopt(&opened, sockopt::RcvBufForce, &BUFFER)?;
            bind(opened.as_raw_fd(), &link)?;
            Ok(Self(opened))
        })?
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the frame is too long or too short, or the interface is down.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = send(self.0.as_raw_fd(), frame, MsgFlags::empty());
        sent.map(drop).with_context(|| format!("cannot send {} bytes: {frame:02x?}", frame.len()))
    }

    /// The next frame, or none if none comes within `patience`. Frames that this socket has sent
    /// are not received.
    ///
    /// # Errors
    /// When the interface does not exist any more.
    pub fn receive(&self, patience: Duration) -> Result<Option<Vec<u8>>> {
        let micros = i64::try_from(patience.as_micros())?.max(1);
        let patience = TimeVal::new(micros / 1_000_000, micros % 1_000_000);
        setsockopt(&self.0, sockopt::ReceiveTimeout, &patience)?;
        let mut frame = vec![0; LONGEST];
        match recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            Ok(length) => {
                frame.truncate(length);
                Ok(Some(frame))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => Err(error).context("cannot receive"),
        }
    }
}

impl TcpReply {
    /// The TCP segment in `frame`, which a kernel has sent: without VLAN tags, IPv6 extension
    /// headers or fragments.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let ip = frame.get(14..)?;
        let (from, tcp): (IpAddr, &[u8]) = match (frame.get(12..14)?, ip) {
            ([0x08, 0x00], [first, ..]) if ip.get(9) == Some(&6) => {
                let source: [u8; 4] = ip.get(12..16)?.try_into().ok()?;
                (source.into(), ip.get(usize::from(first & 15) * 4..)?)
            }
            ([0x86, 0xdd], _) if ip.get(6) == Some(&6) => {
                let source: [u8; 16] = ip.get(8..24)?.try_into().ok()?;
                (source.into(), ip.get(40..)?)
            }
            _ => return None,
        };
        let kind = match tcp.get(13)? {
            flags if flags & 0x04 != 0 => TcpReplyKind::Reset,
            flags if flags & 0x12 == 0x12 => TcpReplyKind::SynAck,
            _ => TcpReplyKind::Other,
        };
        let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        Some(Self { from, port: port(0)?, to: port(2)?, kind })
    }
}

/// The hardware address of `interface` in `netns`.
///
/// # Errors
/// When there is no such interface.
pub fn hardware_address(netns: &Netns, interface: &str) -> Result<[u8; 6]> {
    link(netns, interface)?.addr().with_context(|| format!("{interface} has no address"))
}

fn link(netns: &Netns, interface: &str) -> Result<LinkAddr> {
    let found = netns.inside(|| {
        let links = getifaddrs()?.filter(|found| found.interface_name == interface);
        let mut links = links.filter_map(|found| found.address?.as_link_addr().copied());
        Ok::<_, Errno>(links.next())
    })??;
    found.with_context(|| format!("no interface {interface} in {}", netns.name()))
}
