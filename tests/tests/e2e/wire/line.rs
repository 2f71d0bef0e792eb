//! The wire of the origin's interface, from the router's end.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_packets::Scene;
use aop_packets::build::{Ip, Ipv4, Ipv6, Tcp};
use aop_tests::wire::{Answer, Wire, hardware_address};
use aop_tests::{Family, World};

use super::Told;
use super::shapes::{FIRST, Shape, from_port, scene};
use crate::stage::SOON;

/// The source ports of the frames that show that the wire works.
const CANARY: u16 = 10_000;
/// The shortest frame that an interface takes: an Ethernet header.
const SHORTEST: usize = 14;
/// Shapes that are sent before answers are read.
const BATCH: usize = 32;

/// Sends every shape to the origin, right onto its wire, and gathers what port 443 says.
pub(super) fn answers(world: &World, shapes: &[Shape]) -> Result<BTreeSet<Told>> {
    let line = Line::open(world)?;
    let mut told = BTreeSet::new();
    let mut note = |answers: Vec<Answer>| {
        let ours = answers.into_iter().filter(|answer| answer.port == 443);
        let numbered = ours.filter_map(|answer| Some((answer.to.checked_sub(FIRST)?, answer.kind)));
        told.extend(numbered.map(|(index, kind)| (usize::from(index), kind)));
    };
    line.canaries(CANARY)?;
    for batch in shapes.chunks(BATCH) {
        for frame in batch.iter().flat_map(|shape| &shape.frames) {
            if frame.len() >= SHORTEST {
                line.send(frame)?;
            }
        }
        note(line.answers(Duration::from_millis(1))?);
    }
    note(line.canaries(CANARY + 1)?);
    note(line.answers(Duration::from_millis(200))?);
    Ok(told)
}

/// The router's end of the origin's link.
struct Line {
    wire: Wire,
    /// The origin's hardware address, then the router's.
    ends: [[u8; 6]; 2],
    origin: [IpAddr; 2],
    scene: Scene,
}

impl Line {
    fn open(world: &World) -> Result<Self> {
        let origin = hardware_address(world.origin(), "eth0")?;
        let router = hardware_address(world.internet(), "origin")?;
        Ok(Self {
            wire: Wire::open(world.internet(), "origin")?,
            ends: [origin, router],
            origin: Family::BOTH.map(|family| world.origin_at(family, 443).ip()),
            scene: scene(world)?,
        })
    }

    fn send(&self, frame: &[u8]) -> Result<()> {
        let behind = frame.get(12..).context("no Ethernet header")?;
        self.wire.send(&[self.ends.as_flattened(), behind].concat())
    }

    /// What the origin says over TCP until it is quiet for so long.
    fn answers(&self, quiet: Duration) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        while let Some(frame) = self.wire.receive(quiet)? {
            answers.extend(Answer::read(&frame).filter(|it| self.origin.contains(&it.from)));
        }
        Ok(answers)
    }

    /// SYNs that anybody answers, in both families, and what came until then: the way there and
    /// back is open, and all that was sent before has arrived.
    fn canaries(&self, port: u16) -> Result<Vec<Answer>> {
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
            let back = |it: &Answer| it.from == origin && it.to == port;
            while !came.iter().any(back) {
                ensure!(start.elapsed() < SOON, "the canary of {origin} does not come back");
                came.extend(self.answers(Duration::from_millis(20))?);
            }
        }
        Ok(came)
    }
}
