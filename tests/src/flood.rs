//! A flood of SYNs, bounded in rate and time: raw segments from one host to a port of another, and
//! an ear for whatever that port answers.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use aop_packets::build::Tcp;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Place;

/// After each so many SYNs it waits, so that no queue on the way is overrun.
const BURST: u16 = 8;
const PAUSE: Duration = Duration::from_millis(1);
/// No test floods longer, even if nobody stops it.
const LONGEST: Duration = Duration::from_secs(60);
/// How long an answer to the last SYN may take.
const ECHO: Duration = Duration::from_millis(300);

/// What came of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// SYNs that left.
    pub sent: u64,
    /// Segments that came back from the flooded port, of any kind.
    pub answers: u64,
}

impl Flood {
    /// Floods `to` with SYNs from `source`, an address of `place`, until `done`.
    ///
    /// # Errors
    /// Over IPv6, and when the kernel refuses raw sockets.
    pub fn run(place: &Place, source: IpAddr, to: SocketAddr, done: &AtomicBool) -> Result<Self> {
        let (IpAddr::V4(source), SocketAddr::V4(to)) = (source, to) else {
            bail!("floods are made of IPv4")
        };
        let socket =
            place.inside(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)))??;
        socket.set_nonblocking(true)?;
        let mut flood = Self { sent: 0, answers: 0 };
        let start = Instant::now();
        while !done.load(Ordering::Relaxed) && start.elapsed() < LONGEST {
            for _ in 0..BURST {
                // Source ports below the ephemeral ones: no connection of anybody else's.
                let port = 1024 + u16::try_from(flood.sent % 30_000)?;
                socket.send_to(&syn(source, port, to), &SocketAddr::V4(to).into())?;
                flood.sent += 1;
            }
            flood.answers += answers(&socket, to)?;
            std::thread::sleep(PAUSE);
        }
        std::thread::sleep(ECHO);
        flood.answers += answers(&socket, to)?;
        Ok(flood)
    }
}

/// A raw socket hears every segment that its host gets.
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

/// A TCP header without options; the kernel puts the IPv4 header before it.
fn syn(source: Ipv4Addr, port: u16, to: SocketAddrV4) -> Vec<u8> {
    Tcp::syn(to.port()).from_port(port).bytes(&[source.octets(), to.ip().octets()].concat())
}
