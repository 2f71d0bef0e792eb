//! The shapes of the packet table as frames to an origin: the corpus, and fragmented SYNs.
//!
//! Each shape has its own source port, so a reply identifies its shape.

mod origin_link;

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Result, ensure};
use aop_common::{PassReason, Verdict};
use aop_packets::build::{Extension, Ip, Ipv4, Ipv6, Tcp, protocol};
use aop_packets::{Endpoints, Scene, fixtures_in};

use crate::packet_socket::TcpReplyKind;
use crate::{IpVersion, Lab, TestUpstream};

pub use origin_link::OriginLink;

/// The number of a shape, and the reply to it.
type Answered = (usize, TcpReplyKind);

/// The source port of the first shape.
const FIRST: u16 = 20_000;
/// The source port in the frames of the corpus.
const CORPUS: u16 = 40_000;

/// A shape: a frame, or the fragments of one.
#[derive(Debug)]
struct Shape {
    /// The place in the corpus, and the name there.
    name: String,
    /// The frames, whose Ethernet addresses do not matter.
    frames: Vec<Vec<u8>>,
    /// Whether aop must pass it to the kernel.
    passes: bool,
}

/// The VLAN tags of the frames that the packet program sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanTags {
    /// Those of the shapes.
    Exact,
    /// Perhaps one more, of a VLAN interface, or one less, which the card has taken out.
    OneMoreOrLess,
}

impl Shape {
    /// Whether one VLAN tag more or less changes the verdict: aop follows four tags, and drops
    /// deeper frames of admitted sources, too.
    fn is_at_the_limit_of_tags(&self) -> bool {
        ["admitted: 4 tags", "admitted: 5 tags"].iter().any(|part| self.name.contains(part))
    }
}

/// The shapes, with the replies of a kernel without aop.
#[derive(Debug)]
pub struct PacketTable {
    shapes: Vec<Shape>,
    bare: BTreeSet<Answered>,
}

impl PacketTable {
    /// Sends the shapes to a listener in `lab`, in which no aop runs, on the link between an
    /// interface of the origin and one of the router. The replies must be many, so that silence
    /// means something.
    ///
    /// # Errors
    /// When frames cannot be sent, or hardly any shape is answered.
    pub fn without_aop(lab: &Lab, near: &str, far: &str) -> Result<Self> {
        let shapes = shapes(lab)?;
        let _listener = TestUpstream::listening(lab, "[::]:443")?;
        let bare = OriginLink::between(lab, near, far)?.answers_to(&shapes)?;
        let count =
            |passes| bare.iter().filter(|(index, _)| shapes[*index].passes == passes).count();
        ensure!(count(true) > 60 && count(false) > 60, "without aop only {bare:?} are answered");
        for Shape { name, .. } in shapes.iter().filter(|it| it.name.contains("fragmented SYN")) {
            let answered = bare.iter().any(|(index, _)| shapes[*index].name == *name);
            ensure!(answered, "fragments that the kernel does not reassemble: {name}");
        }
        Ok(Self { shapes, bare })
    }

    /// Over `link`, an origin with aop and a listener on port 443 answers the shapes of admitted
    /// sources as a bare kernel does, and no other shape.
    ///
    /// # Errors
    /// The shapes that are answered but should not be, or the other way round.
    pub fn holds_over(&self, link: &OriginLink, tags: VlanTags) -> Result<()> {
        let Self { shapes, bare } = self;
        let judged = |(index, _): &&Answered| {
            tags == VlanTags::Exact || !shapes[*index].is_at_the_limit_of_tags()
        };
        let answered = link.answers_to(shapes)?;
        let expected: BTreeSet<Answered> =
            bare.iter().filter(|answer| shapes[answer.0].passes).copied().collect();
        let named = |answers: &[&Answered]| -> Vec<String> {
            answers
                .iter()
                .map(|(index, kind)| format!("{}: {kind:?}", shapes[*index].name))
                .collect()
        };
        let leaked: Vec<_> = answered.difference(&expected).filter(judged).collect();
        ensure!(leaked.is_empty(), "answered but should not be: {:#?}", named(&leaked));
        let lost: Vec<_> = expected.difference(&answered).filter(judged).collect();
        ensure!(lost.is_empty(), "answered without aop but not with it: {:#?}", named(&lost));
        Ok(())
    }
}

/// The shapes in the lab. The complete sets of fragments come first, because the fragments in the
/// corpus are incomplete and stay in the reassembly queue of the kernel.
fn shapes(lab: &Lab) -> Result<Vec<Shape>> {
    let scene = scene(lab)?;
    let mut shapes = fragmented_syns(&scene);
    for fixture in fixtures_in(&scene)? {
        // This lab has no draining prefix: its peers are strangers.
        let admitted = Verdict::Pass(PassReason::Admitted);
        let passes = fixture.verdict == admitted;
        let name = format!("{} {}", fixture.place, fixture.name);
        let frames = vec![fixture.frame];
        shapes.push(Shape { name, frames, passes });
    }
    for (shape, port) in shapes.iter_mut().zip(FIRST..) {
        shape.frames.iter_mut().for_each(|frame| *frame = from_port(frame, port));
    }
    Ok(shapes)
}

/// Fragmented SYNs, in both orders.
fn fragmented_syns(scene: &Scene) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (who, passes) in [("stranger", false), ("admitted", true)] {
        let (v4, v6) = match passes {
            true => (scene.v4.admitted, scene.v6.admitted),
            false => (scene.v4.stranger, scene.v6.stranger),
        };
        // IPv4: fragments of 8 bytes. IPv6: the first fragment must contain the whole TCP header
        // (RFC 7112).
        let v4 = Ipv4::between(v4, scene.v4.origin);
        let in_v4 = |segment: &[u8]| -> Vec<Vec<u8>> {
            let last = segment.len().div_ceil(8) - 1;
            let piece = |(at, bytes): (usize, &[u8])| {
                v4.clone().fragment(at as u16, at < last).carrying(protocol::TCP, bytes)
            };
            segment.chunks(8).enumerate().map(piece).collect()
        };
        let v6 = Ipv6::between(v6, scene.v6.origin);
        let in_v6 = |segment: &[u8]| -> Vec<Vec<u8>> {
            let (first, second) = segment.split_at(24);
            let piece = |at, more, bytes: &[u8]| {
                v6.clone().with(Extension::fragment(at, more)).carrying(protocol::TCP, bytes)
            };
            vec![piece(0, true, first), piece(3, false, second)]
        };
        let syn = Tcp::syn(scene.guarded).no_operations(5);
        type Cut<'a> = (&'a str, Box<dyn Fn(u16) -> Vec<Vec<u8>> + 'a>);
        let cuts: [Cut<'_>; 2] = [
            ("IPv4", Box::new(|port| in_v4(&from_port(&syn.bytes(&v4.addresses()), port)))),
            ("IPv6", Box::new(|port| in_v6(&from_port(&syn.bytes(&v6.addresses()), port)))),
        ];
        for (family, cut) in cuts {
            for order in ["in order", "last first"] {
                let mut frames = cut(FIRST + shapes.len() as u16);
                if order == "last first" {
                    frames.reverse();
                }
                let name = format!("{family} {who}: fragmented SYN, {order}");
                shapes.push(Shape { name, frames, passes });
            }
        }
    }
    shapes
}

/// The scene of the corpus, with the addresses of this lab.
fn scene(lab: &Lab) -> Result<Scene> {
    let Scene { v4, v6, .. } = Scene::FIXED;
    let own_v4 = |address| match address {
        IpAddr::V4(address) => Ok(address.octets()),
        IpAddr::V6(_) => anyhow::bail!("{address} is not IPv4"),
    };
    let own_v6 = |address| match address {
        IpAddr::V6(address) => Ok(address.octets()),
        IpAddr::V4(_) => anyhow::bail!("{address} is not IPv6"),
    };
    Ok(Scene {
        v4: Endpoints {
            origin: own_v4(lab.origin_at(IpVersion::V4, 443).ip())?,
            stranger: own_v4(lab.stranger_address(IpVersion::V4))?,
            admitted: own_v4(lab.edge_address(IpVersion::V4))?,
            ..v4
        },
        v6: Endpoints {
            origin: own_v6(lab.origin_at(IpVersion::V6, 443).ip())?,
            stranger: own_v6(lab.stranger_address(IpVersion::V6))?,
            admitted: own_v6(lab.edge_address(IpVersion::V6))?,
            ..v6
        },
        ..Scene::FIXED
    })
}

/// `bytes` with the source port of the corpus replaced by a lower one, wherever the TCP header is.
/// The difference is added to the acknowledgement number, which a SYN does not use, so that the
/// checksum stays right.
fn from_port(bytes: &[u8], port: u16) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let corpus = CORPUS.to_be_bytes();
    let header = |at: &[u8]| at[..2] == corpus && at[4..10] == [0, 0, 0, 1, 0, 0];
    if let Some(at) = bytes.windows(12).rposition(header) {
        bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        bytes[at + 10..at + 12].copy_from_slice(&(CORPUS - port).to_be_bytes());
    }
    bytes
}
