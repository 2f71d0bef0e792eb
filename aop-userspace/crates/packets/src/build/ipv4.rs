//! An IPv4 header.

use super::{IPV4, Ip, checksum, ethernet};

const MIN_HEADER: usize = 20;
const NO_OPERATION: u8 = 1;

/// An IPv4 header, sound until a setter spoils it.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    source: [u8; 4],
    destination: [u8; 4],
    options: Vec<u8>,
    flags: u16,
    ttl: u8,
    version: u8,
    ihl: Option<u8>,
    counted: Option<usize>,
}

impl Ipv4 {
    /// A header without options.
    #[must_use]
    pub fn between(source: [u8; 4], destination: [u8; 4]) -> Self {
        Self {
            source,
            destination,
            options: Vec::new(),
            flags: 0x4000,
            ttl: 64,
            version: 4,
            ihl: None,
            counted: None,
        }
    }

    /// Adds `words` × 4 bytes of no-operation options.
    #[must_use]
    pub fn no_operations(mut self, words: usize) -> Self {
        self.options.extend(&[NO_OPERATION; 40][..words * 4]);
        self
    }

    /// Writes `ihl` words as the length of the header, whatever its true length is.
    #[must_use]
    pub fn ihl(mut self, ihl: u8) -> Self {
        self.ihl = Some(ihl);
        self
    }

    /// Writes another IP version.
    #[must_use]
    pub fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    /// Makes this a fragment at `offset`, in units of eight bytes; `more` is the flag "more
    /// fragments".
    #[must_use]
    pub fn fragment(self, offset: u16, more: bool) -> Self {
        self.flags(u16::from(more) << 13 | offset & 0x1fff)
    }

    /// Sets the 16 bits of flags and fragment offset. The flags: 0x8000 evil (RFC 3514), 0x4000
    /// don't fragment, 0x2000 more fragments.
    #[must_use]
    pub fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the time to live.
    #[must_use]
    pub fn hops(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Writes an IP length that counts `bytes` of payload.
    #[must_use]
    pub fn counting(mut self, bytes: usize) -> Self {
        self.counted = Some(bytes);
        self
    }

    fn length(&self) -> usize {
        MIN_HEADER + self.options.len()
    }
}

impl Ip for Ipv4 {
    fn addresses(&self) -> Vec<u8> {
        [self.source, self.destination].concat()
    }

    fn carrying(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let ihl = self.ihl.unwrap_or((self.length() / 4) as u8);
        let total = self.length() + self.counted.unwrap_or(payload.len());
        let mut header = Vec::from([self.version << 4 | ihl & 0x0f, 0]);
        header.extend((total as u16).to_be_bytes());
        header.extend([0x12, 0x34]);
        header.extend(self.flags.to_be_bytes());
        header.extend([self.ttl, protocol, 0, 0]);
        header.extend(self.addresses());
        header.extend(&self.options);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header.extend(payload);
        ethernet(IPV4, &header)
    }
}
