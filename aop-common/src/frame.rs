//! How the policy sees a packet: as bytes that may or may not be there.

/// A frame as it came off the wire, starting at its Ethernet header.
pub trait Frame {
    /// The `N` bytes at `offset`, or `None` where the frame ends before them.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The byte at `offset`.
    #[inline(always)]
    fn byte(&self, offset: usize) -> Option<u8> {
        self.load::<1>(offset).map(|[byte]| byte)
    }

    /// The big-endian 16-bit number at `offset`.
    #[inline(always)]
    fn u16(&self, offset: usize) -> Option<u16> {
        self.load::<2>(offset).map(u16::from_be_bytes)
    }

    /// `offset`, moved behind an optional header of `size` bytes. The kernel's reader also makes
    /// its verifier forget the sum's history, or every chain of headers would be verified apart.
    #[inline(always)]
    fn behind(&self, offset: usize, size: usize) -> usize {
        offset.wrapping_add(size)
    }
}

/// A frame in host memory.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Frame for Bytes<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..)?.first_chunk::<N>().copied()
    }
}
