//! Random frames without end: sound headers, combined and damaged at random.

use super::{
    Endpoints, Scene,
    build::{
        ARP, CUSTOMER_TAG, Extension, Ip, Ipv4, Ipv6, SERVICE_TAG, Tcp, ethernet, padded, protocol,
        tagged,
    },
    random::Random,
};

/// The shortest frame that is generated: an Ethernet header. `BPF_PROG_TEST_RUN` takes no shorter
/// one.
const SHORTEST: usize = 14;

/// Random frames under [`Scene::FIXED`], at least an Ethernet header long. A seed always gives the
/// same frames.
///
/// Most of them would reach a listener. The others are damaged, so that every reason occurs.
#[derive(Clone, Debug)]
pub struct Generator {
    random: Random,
    scene: Scene,
}

impl Generator {
    /// The frames of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), scene: Scene::FIXED }
    }

    /// The next frame.
    #[must_use]
    pub fn generate(&mut self) -> Vec<u8> {
        let frame = match self.random.below(100) {
            0..3 => self.other(),
            3..52 => self.ipv4(),
            _ => self.ipv6(),
        };
        let frame = self.tagged(frame);
        self.damaged(frame)
    }

    fn ipv4(&mut self) -> Vec<u8> {
        let Endpoints { origin, beyond, stranger, admitted, peer, neighbour, departed, .. } =
            self.scene.v4;
        let [a, b, c, d, ..] = self.scene.v6.admitted;
        let sources = [stranger, stranger, admitted, peer, neighbour, departed, [a, b, c, d]];
        let to = if self.random.chance(10) { beyond } else { origin };
        let mut ip = Ipv4::between(self.random.pick(&sources), to).hops(self.random.byte());
        if self.random.chance(25) {
            ip = ip.no_operations(self.random.below(11));
        }
        if self.random.chance(5) {
            ip = ip.ihl(self.random.byte());
        }
        if self.random.chance(12) {
            ip = ip.fragment(self.offset(), self.random.chance(50));
        }
        if self.random.chance(5) {
            ip = ip.counting(self.random.below(80));
        }
        if self.random.chance(2) {
            ip = ip.version(self.random.byte() & 15);
        }
        self.payload(&ip)
    }

    fn ipv6(&mut self) -> Vec<u8> {
        let Endpoints { origin, beyond, stranger, admitted, peer, neighbour, departed, .. } =
            self.scene.v6;
        let sources =
            [stranger, stranger, admitted, peer, neighbour, departed, self.spelled_ipv4()];
        let to = if self.random.chance(10) { beyond } else { origin };
        let mut ip = Ipv6::between(self.random.pick(&sources), to).hops(self.random.byte());
        if self.random.chance(50) {
            let count = self.random.below(11);
            ip = ip.chain((0..count).map(|_| self.extension()));
        }
        if self.random.chance(10) {
            ip = ip.with(Extension::fragment(self.offset(), self.random.chance(50)));
        }
        if self.random.chance(5) {
            ip = ip.counting(self.random.below(80));
        }
        if self.random.chance(2) {
            ip = ip.version(self.random.byte() & 15);
        }
        self.payload(&ip)
    }

    /// An IPv6 address that spells an IPv4 one: v4-mapped, v4-compatible or 6to4.
    fn spelled_ipv4(&mut self) -> [u8; 16] {
        let [a, b, c, d] = self.random.pick(&[self.scene.v4.admitted, self.scene.v4.peer]);
        self.random.pick(&[
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, a, b, c, d],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d],
            [0x20, 2, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ])
    }

    fn extension(&mut self) -> Extension {
        match self.random.below(24) {
            0..5 => Extension::hop_by_hop(self.units()),
            5..10 => Extension::destination(self.units()),
            10..15 => Extension::routing(self.random.pick(&[0, 2, 4, 5, 253]), self.units()),
            15..19 => Extension::authentication(self.units()),
            19..23 => Extension::atomic(),
            _ => Extension::fragment(self.offset(), self.random.chance(50)),
        }
    }

    /// A header's length in the header's own units, mostly a small one.
    fn units(&mut self) -> u8 {
        self.random.pick(&[0, 0, 0, 1, 2, 4, 9])
    }

    fn offset(&mut self) -> u16 {
        self.random.pick(&[0, 0, 1, 2, 185, 8191])
    }

    fn payload(&mut self, ip: &impl Ip) -> Vec<u8> {
        let port = if self.random.chance(75) { self.scene.guarded } else { self.scene.unguarded };
        match self.random.below(20) {
            0 => ip.udp(port),
            1 => {
                let kinds = [protocol::ICMP, protocol::ICMPV6, protocol::ESP, protocol::NONE];
                ip.carrying(self.random.pick(&kinds), &[0; 24])
            }
            2 => {
                let segment = Tcp::syn(port).bytes(&ip.addresses());
                ip.carrying(protocol::TCP, &segment[..self.random.below(segment.len())])
            }
            _ => ip.tcp(&self.segment(port)),
        }
    }

    fn segment(&mut self, port: u16) -> Tcp {
        let mut segment = Tcp::syn(port);
        if self.random.chance(50) {
            segment = segment.flags(self.random.byte());
        }
        if self.random.chance(30) {
            segment = segment.no_operations(self.random.below(11));
        }
        if self.random.chance(30) {
            segment = segment.data(&[0x55; 40][..self.random.below(41)]);
        }
        if self.random.chance(10) {
            segment = segment.offset(self.random.byte());
        }
        if self.random.chance(5) {
            segment = segment.bad_checksum();
        }
        segment
    }

    fn other(&mut self) -> Vec<u8> {
        let kind = self.random.pick(&[ARP, 0x8847, 0x8864, 0x88cc, 0x9100, 48]);
        ethernet(kind, &[0; 46])
    }

    fn tagged(&mut self, frame: Vec<u8>) -> Vec<u8> {
        let count = if self.random.chance(25) { self.random.below(7) } else { 0 };
        (0..count).fold(frame, |frame, _| {
            let kind = self.random.pick(&[CUSTOMER_TAG, CUSTOMER_TAG, SERVICE_TAG]);
            tagged(frame, kind, self.random.pick(&[0, 0, 7, 0xe000]))
        })
    }

    /// Cuts, pads or spoils some frames.
    fn damaged(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        if self.random.chance(10) {
            let kept = self.random.below(frame.len() + 1);
            frame.truncate(kept.max(SHORTEST));
        }
        if self.random.chance(10) {
            frame = padded(frame, self.random.below(47));
        }
        if self.random.chance(12) {
            for _ in 0..=self.random.below(3) {
                let at = self.random.below(frame.len());
                frame[at] ^= self.random.byte();
            }
        }
        frame
    }
}

impl Iterator for Generator {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.generate())
    }
}
