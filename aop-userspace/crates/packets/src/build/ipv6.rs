//! An IPv6 header with a chain of extension headers.

use super::{IPV6, Ip, ethernet, protocol};

/// An IPv6 header, sound until a setter spoils it.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    source: [u8; 16],
    destination: [u8; 16],
    chain: Vec<Extension>,
    hops: u8,
    version: u8,
    counted: Option<usize>,
}

impl Ipv6 {
    /// A header without extensions.
    #[must_use]
    pub fn between(source: [u8; 16], destination: [u8; 16]) -> Self {
        Self { source, destination, chain: Vec::new(), hops: 64, version: 6, counted: None }
    }

    /// Adds an extension header behind the others.
    #[must_use]
    pub fn with(self, extension: Extension) -> Self {
        self.chain([extension])
    }

    /// Adds extension headers behind the others.
    #[must_use]
    pub fn chain(mut self, extensions: impl IntoIterator<Item = Extension>) -> Self {
        self.chain.extend(extensions);
        self
    }

    /// Writes another IP version.
    #[must_use]
    pub fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    /// Sets the hop limit.
    #[must_use]
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// Writes an IP length that counts `bytes` behind the extension headers.
    #[must_use]
    pub fn counting(mut self, bytes: usize) -> Self {
        self.counted = Some(bytes);
        self
    }

    fn extensions_length(&self) -> usize {
        self.chain.iter().map(|extension| extension.body.len() + 1).sum()
    }
}

impl Ip for Ipv6 {
    fn addresses(&self) -> Vec<u8> {
        [self.source, self.destination].concat()
    }

    fn carrying(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let length = self.extensions_length() + self.counted.unwrap_or(payload.len());
        let mut kinds = self.chain.iter().map(|extension| extension.kind).chain([protocol]);
        let mut next = || kinds.next().unwrap_or(protocol);
        let mut packet = vec![self.version << 4, 0, 0, 0];
        packet.extend((length as u16).to_be_bytes());
        packet.extend([next(), self.hops]);
        packet.extend(self.addresses());
        for extension in &self.chain {
            packet.push(next());
            packet.extend(&extension.body);
        }
        packet.extend(payload);
        ethernet(IPV6, &packet)
    }
}

/// An extension header. The header before it has its number; it has the number of the one behind
/// it.
#[derive(Clone, Debug)]
pub struct Extension {
    kind: u8,
    /// All bytes but the first one, the number of the header behind it.
    body: Vec<u8>,
}

impl Extension {
    /// The number of the fragment header.
    pub const FRAGMENT: u8 = 44;

    /// A hop-by-hop header of 8 × (`units` + 1) bytes.
    #[must_use]
    pub fn hop_by_hop(units: u8) -> Self {
        Self::options(0, units)
    }

    /// A destination options header of 8 × (`units` + 1) bytes.
    #[must_use]
    pub fn destination(units: u8) -> Self {
        Self::options(60, units)
    }

    /// A routing header of 8 × (`units` + 1) bytes, no segments left.
    #[must_use]
    pub fn routing(kind: u8, units: u8) -> Self {
        let mut body = vec![0; 8 * usize::from(units) + 7];
        body[..2].copy_from_slice(&[units, kind]);
        Self { kind: 43, body }
    }

    /// An authentication header of 4 × (`words` + 2) bytes.
    #[must_use]
    pub fn authentication(words: u8) -> Self {
        let mut body = vec![0; 4 * usize::from(words) + 7];
        body[0] = words;
        Self { kind: protocol::AUTHENTICATION, body }
    }

    /// The fragment header of a whole packet (RFC 6946).
    #[must_use]
    pub fn atomic() -> Self {
        Self::fragment(0, false)
    }

    /// The header of a fragment at `offset`, in units of eight bytes; `more` is the flag "more
    /// fragments".
    #[must_use]
    pub fn fragment(offset: u16, more: bool) -> Self {
        let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
        Self { kind: Self::FRAGMENT, body: vec![0, high, low, 0, 0, 0x12, 0x34] }
    }

    /// Whether this is the fragment header of a whole packet.
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        self.kind == Self::FRAGMENT && self.body[1..3] == [0, 0]
    }

    /// A header full of options that a receiver skips (RFC 4727).
    fn options(kind: u8, units: u8) -> Self {
        let mut body = vec![units];
        let mut left = 8 * usize::from(units) + 6;
        while left > 0 {
            let data = left.saturating_sub(2).min(255);
            let option = if left == 1 {
                vec![0]
            } else {
                [&[0x1e, data as u8], &vec![0; data][..]].concat()
            };
            left -= option.len();
            body.extend(option);
        }
        Self { kind, body }
    }
}
