//! A TCP segment.

use super::{protocol, transport_checksum};

const MIN_HEADER: usize = 20;
const SOURCE_PORT: u16 = 40_000;

/// A TCP segment, sound until a setter spoils it.
#[derive(Clone, Debug)]
pub struct Tcp {
    source_port: u16,
    port: u16,
    flags: u8,
    options: Vec<u8>,
    data: Vec<u8>,
    offset: Option<u8>,
    checksum_error: u16,
}

impl Tcp {
    /// The flag that opens a connection.
    pub const SYN: u8 = 0x02;

    /// A SYN to `port`, without options.
    #[must_use]
    pub fn syn(port: u16) -> Self {
        Self {
            source_port: SOURCE_PORT,
            port,
            flags: Self::SYN,
            options: Vec::new(),
            data: Vec::new(),
            offset: None,
            checksum_error: 0,
        }
    }

    /// Sets the source port, 40000 where nothing sets it.
    #[must_use]
    pub fn from_port(mut self, source_port: u16) -> Self {
        self.source_port = source_port;
        self
    }

    /// Sets all flags at once.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Adds `words` × 4 bytes of no-operation options, at most ten words.
    #[must_use]
    pub fn no_operations(mut self, words: usize) -> Self {
        self.options.extend(std::iter::repeat_n(1, words * 4));
        self
    }

    /// Adds data.
    #[must_use]
    pub fn data(mut self, data: &[u8]) -> Self {
        self.data.extend(data);
        self
    }

    /// Writes `offset` words as the length of the header, whatever its true length is.
    #[must_use]
    pub fn offset(mut self, offset: u8) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Spoils the checksum.
    #[must_use]
    pub fn bad_checksum(mut self) -> Self {
        self.checksum_error = 0x5555;
        self
    }

    /// The segment between `addresses` (source, then destination), which its checksum covers.
    #[must_use]
    pub fn bytes(&self, addresses: &[u8]) -> Vec<u8> {
        let offset = self.offset.unwrap_or(((MIN_HEADER + self.options.len()) / 4) as u8);
        let mut segment = self.source_port.to_be_bytes().to_vec();
        segment.extend(self.port.to_be_bytes());
        segment.extend([0, 0, 0, 1, 0, 0, 0, 0]);
        segment.extend([offset << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(&self.options);
        segment.extend(&self.data);
        let sum = transport_checksum(addresses, protocol::TCP, &segment) ^ self.checksum_error;
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }
}
