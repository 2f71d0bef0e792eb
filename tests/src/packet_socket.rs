//! An interface's wire: whole frames onto it and off it, past the kernel's own stack.

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

use crate::Place;

/// Bytes that may wait to be read: some thousand frames.
const BUFFER: usize = 8 << 20;
const LONGEST: usize = 65_536;

/// An open wire.
#[derive(Debug)]
pub struct Wire(OwnedFd);

/// A TCP answer as it came off a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// Who answered.
    pub from: IpAddr,
    /// From which port.
    pub port: u16,
    /// To which port.
    pub to: u16,
    /// What was said.
    pub kind: Kind,
}

/// What a TCP answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SYN and ACK: here is a listener.
    Welcome,
    /// RST: here is none, or not for you.
    Reset,
    /// Anything else.
    Other,
}

impl Wire {
    /// Opens the wire of `interface` in `place`.
    ///
    /// # Errors
    /// When there is no such interface, or the kernel refuses a packet socket.
    pub fn open(place: &Place, interface: &str) -> Result<Self> {
        let link = link(place, interface)?;
        place.inside(|| {
            let packets = (AddressFamily::Packet, SockType::Raw, SockProtocol::EthAll);
            let wire = socket(packets.0, packets.1, SockFlag::SOCK_CLOEXEC, packets.2)?;
            setsockopt(&wire, sockopt::RcvBufForce, &BUFFER)?;
            bind(wire.as_raw_fd(), &link)?;
            Ok(Self(wire))
        })?
    }

    /// Puts a frame on the wire.
    ///
    /// # Errors
    /// When the interface does not take it: too long or too short, or down.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = send(self.0.as_raw_fd(), frame, MsgFlags::empty());
        sent.map(drop).with_context(|| format!("cannot send {} bytes: {frame:02x?}", frame.len()))
    }

    /// The next frame, unless none comes within `patience`. Frames that this wire has sent do not
    /// come back.
    ///
    /// # Errors
    /// When the interface is gone.
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
            Err(error) => Err(error).context("cannot read the wire"),
        }
    }
}

impl Answer {
    /// The TCP segment in `frame`, which a kernel sent: no tags, no IPv6 extensions, no pieces.
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
            flags if flags & 0x04 != 0 => Kind::Reset,
            flags if flags & 0x12 == 0x12 => Kind::Welcome,
            _ => Kind::Other,
        };
        let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        Some(Self { from, port: port(0)?, to: port(2)?, kind })
    }
}

/// The hardware address of `interface` in `place`.
///
/// # Errors
/// When there is no such interface.
pub fn hardware_address(place: &Place, interface: &str) -> Result<[u8; 6]> {
    link(place, interface)?.addr().with_context(|| format!("{interface} has no address"))
}

fn link(place: &Place, interface: &str) -> Result<LinkAddr> {
    let found = place.inside(|| {
        let links = getifaddrs()?.filter(|found| found.interface_name == interface);
        let mut links = links.filter_map(|found| found.address?.as_link_addr().copied());
        Ok::<_, Errno>(links.next())
    })??;
    found.with_context(|| format!("no interface {interface} in {}", place.netns()))
}
