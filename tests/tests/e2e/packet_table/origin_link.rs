//! Sends shapes on the link of the origin, and collects the replies.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_packets::Scene;
use aop_packets::build::{Ip, Ipv4, Ipv6, Tcp};
use aop_tests::packet_socket::{PacketSocket, TcpReply, hardware_address};
use aop_tests::{IpVersion, Lab};

use super::Answered;
use super::shapes::{FIRST, Shape, from_port, scene};
use crate::stage::SOON;

/// The source ports of the SYNs that show that the link works.
const FIRST_PROBE: u16 = 10_000;
/// The shortest frame that an interface accepts: an Ethernet header.
const SHORTEST: usize = 14;
/// The number of shapes that are sent before replies are read.
const BATCH: usize = 32;

/// Sends every shape to the origin and returns the replies of port 443.
pub(super) fn answers(lab: &Lab, shapes: &[Shape]) -> Result<BTreeSet<Answered>> {
    let link = OriginLink::open(lab)?;
    let mut answered = BTreeSet::new();
    let mut note = |answers: Vec<TcpReply>| {
        let ours = answers.into_iter().filter(|answer| answer.port == 443);
        let numbered = ours.filter_map(|answer| Some((answer.to.checked_sub(FIRST)?, answer.kind)));
        answered.extend(numbered.map(|(index, kind)| (usize::from(index), kind)));
    };
    link.probe(FIRST_PROBE)?;
    for batch in shapes.chunks(BATCH) {
        for frame in batch.iter().flat_map(|shape| &shape.frames) {
            if frame.len() >= SHORTEST {
                link.send(frame)?;
            }
        }
        note(link.answers(Duration::from_millis(1))?);
    }
    note(link.probe(FIRST_PROBE + 1)?);
    note(link.answers(Duration::from_millis(200))?);
    Ok(answered)
}

/// The link between router and origin, from the end of the router.
struct OriginLink {
    socket: PacketSocket,
    /// The hardware addresses: of the origin, then of the router.
    addresses: [[u8; 6]; 2],
    origin: [IpAddr; 2],
    scene: Scene,
}

impl OriginLink {
    fn open(lab: &Lab) -> Result<Self> {
        let origin = hardware_address(lab.origin(), "eth0")?;
        let router = hardware_address(lab.router(), "origin")?;
        Ok(Self {
            socket: PacketSocket::open(lab.router(), "origin")?,
            addresses: [origin, router],
            origin: IpVersion::BOTH.map(|family| lab.origin_at(family, 443).ip()),
            scene: scene(lab)?,
        })
    }

    fn send(&self, frame: &[u8]) -> Result<()> {
        let behind = frame.get(12..).context("no Ethernet header")?;
        self.socket.send(&[self.addresses.as_flattened(), behind].concat())
    }

    /// The TCP replies of the origin until none comes for the time `quiet`.
    fn answers(&self, quiet: Duration) -> Result<Vec<TcpReply>> {
        let mut answers = Vec::new();
        while let Some(frame) = self.socket.receive(quiet)? {
            answers.extend(TcpReply::read(&frame).filter(|it| self.origin.contains(&it.from)));
        }
        Ok(answers)
    }

    /// Sends SYNs over both IP versions that must be answered, and returns all replies until then.
    /// The answers show that the link works, and that everything that was sent before has arrived.
    fn probe(&self, port: u16) -> Result<Vec<TcpReply>> {
        let (v4, v6) = (self.scene.v4, self.scene.v6);
        let syn = Tcp::syn(443);
        let frames = [
            Ipv4::between(v4.admitted, v4.origin).tcp(&syn),
            Ipv6::between(v6.admitted, v6.origin).tcp(&syn),
        ];
        let mut came = Vec::new();
        for (frame, origin) in frames.iter().zip(self.origin) {
            self.send(&from_port(frame, port))?;
            let start = Instant::now();
            let back = |it: &TcpReply| it.from == origin && it.to == port;
            while !came.iter().any(back) {
                ensure!(start.elapsed() < SOON, "no answer to the SYN to {origin}");
                came.extend(self.answers(Duration::from_millis(20))?);
            }
        }
        Ok(came)
    }
}
