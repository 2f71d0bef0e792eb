//! A flood of SYNs, bounded in rate and time: raw segments from one host to a port of another. It
//! counts every segment that the port sends back.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use aop_packets::build::Tcp;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Netns;

/// After this many SYNs it pauses, so that no queue on the way overflows.
const BURST: u16 = 8;
const PAUSE: Duration = Duration::from_millis(1);
/// A flood ends after this time even if no test stops it.
const LONGEST: Duration = Duration::from_secs(60);
/// How long an answer to the last SYN may take.
const LAST_ANSWER: Duration = Duration::from_millis(300);

/// The counts of a finished flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynFlood {
    /// SYNs that were sent.
    pub sent: u64,
    /// Segments of any kind that the flooded port sent back.
    pub answers: u64,
}

impl SynFlood {
    /// Floods `to` with SYNs from `source`, an address of `netns`, until `done`.
    ///
    /// # Errors
    /// Over IPv6, and when the kernel refuses raw sockets.
    pub fn run(netns: &Netns, source: IpAddr, to: SocketAddr, done: &AtomicBool) -> Result<Self> {
        let (IpAddr::V4(source), SocketAddr::V4(to)) = (source, to) else {
            bail!("a flood is IPv4 only")
        };
        let socket =
            netns.inside(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)))??;
        socket.set_nonblocking(true)?;
        let mut flood = Self { sent: 0, answers: 0 };
        let start = Instant::now();
        while !done.load(Ordering::Relaxed) && start.elapsed() < LONGEST {
            for _ in 0..BURST {
                // Source ports below the ephemeral range, so that no other connection uses them.
                let port = 1024 + u16::try_from(flood.sent % 30_000)?;
                socket.send_to(&syn(source, port, to), &SocketAddr::V4(to).into())?;
                flood.sent += 1;
            }
            flood.answers += answers(&socket, to)?;
            std::thread::sleep(PAUSE);
        }
        std::thread::sleep(LAST_ANSWER);
        flood.answers += answers(&socket, to)?;
        Ok(flood)
    }
}

/// A raw socket receives every segment that its host gets.
fn answers(socket: &Socket, from: SocketAddrV4) -> io::Result<u64> {
    let mut count = 0;
    let mut buffer = [MaybeUninit::uninit(); 128];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((_, sender)) => {
                let sender = sender.as_socket_ipv4().map(|sender| *sender.ip());
                count += u64::from(sender == Some(*from.ip()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
            Err(error) => return Err(error),
        }
    }
}

/// A TCP header without options. The kernel adds the IPv4 header.
fn syn(source: Ipv4Addr, port: u16, to: SocketAddrV4) -> Vec<u8> {
    Tcp::syn(to.port()).from_port(port).bytes(&[source.octets(), to.ip().octets()].concat())
}
