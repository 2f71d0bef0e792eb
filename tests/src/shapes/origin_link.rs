//! Sends shapes on the link of the origin, and collects the replies.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_packets::Scene;
use aop_packets::build::{Ip, Ipv4, Ipv6, Tcp};

use super::{Answered, FIRST, Shape, from_port, scene};
use crate::packet_socket::{PacketSocket, TcpReply, hardware_address};
use crate::{IpVersion, Lab, wait};

/// How long an answer to a SYN may take.
const SOON: Duration = Duration::from_secs(5);
/// The source ports of the SYNs that show that the link works.
const FIRST_PROBE: u16 = 10_000;
/// The shortest frame that an interface accepts: an Ethernet header.
const SHORTEST: usize = 14;
/// The number of shapes that are sent before replies are read.
const BATCH: usize = 32;

/// The link between router and origin, from the end of the router.
#[derive(Debug)]
pub struct OriginLink {
    socket: PacketSocket,
    /// The hardware addresses: of the origin, then of the router.
    addresses: [[u8; 6]; 2],
    origin: [IpAddr; 2],
    scene: Scene,
}

impl OriginLink {
    /// The link between an interface of the origin and one of the router.
    ///
    /// # Errors
    /// When there is no such interface, or the kernel refuses a packet socket.
    pub fn between(lab: &Lab, near: &str, far: &str) -> Result<Self> {
        let origin = hardware_address(lab.origin(), near)?;
        let router = hardware_address(lab.router(), far)?;
        Ok(Self {
            socket: PacketSocket::open(lab.router(), far)?,
            addresses: [origin, router],
            origin: IpVersion::BOTH.map(|family| lab.origin_at(family, 443).ip()),
            scene: scene(lab)?,
        })
    }

    /// Sends every shape to the origin and returns the replies of port 443.
    pub(super) fn answers_to(&self, shapes: &[Shape]) -> Result<BTreeSet<Answered>> {
        let mut answered = BTreeSet::new();
        let mut note = |answers: Vec<TcpReply>| {
            let ours = answers.into_iter().filter(|answer| answer.port == 443);
            let numbered =
                ours.filter_map(|answer| Some((answer.to.checked_sub(FIRST)?, answer.kind)));
            answered.extend(numbered.map(|(index, kind)| (usize::from(index), kind)));
        };
        self.probe(FIRST_PROBE)?;
        for batch in shapes.chunks(BATCH) {
            for frame in batch.iter().flat_map(|shape| &shape.frames) {
                if frame.len() >= SHORTEST {
                    self.send(frame)?;
                }
            }
            note(self.answers(Duration::from_millis(1))?);
        }
        note(self.probe(FIRST_PROBE + 1)?);
        note(self.answers(Duration::from_millis(200))?);
        Ok(answered)
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
                ensure!(start.elapsed() < wait::scaled(SOON), "no answer to the SYN to {origin}");
                came.extend(self.answers(Duration::from_millis(20))?);
            }
        }
        Ok(came)
    }
}
