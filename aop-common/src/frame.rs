//! The bytes of a packet, which may or may not be there.

/// A frame as it came off the wire, from its Ethernet header on.
pub trait Frame {
    /// The `N` bytes at `offset`, or `None` where the frame ends before them.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The first `LENGTH` bytes, or `None` where they do not lie in one buffer. A fast path then
    /// leaves the frame to the slow one.
    fn head<const LENGTH: usize>(&self) -> Option<impl Head>;

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

    /// `offset`, moved behind an optional header of `size` bytes. In the kernel, this also makes
    /// the verifier forget how the sum came about: otherwise it would verify every chain of headers
    /// separately.
    #[inline(always)]
    fn behind(&self, offset: usize, size: usize) -> usize {
        offset.wrapping_add(size)
    }
}

/// The first bytes of a frame that has them.
pub trait Head {
    /// The `N` bytes at `AT`. Reading beyond the head does not compile.
    fn bytes<const AT: usize, const N: usize>(&self) -> [u8; N];

    /// The byte at `AT`.
    #[inline(always)]
    fn byte<const AT: usize>(&self) -> u8 {
        let [byte] = self.bytes::<AT, 1>();
        byte
    }

    /// The big-endian 16-bit number at `AT`.
    #[inline(always)]
    fn u16<const AT: usize>(&self) -> u16 {
        u16::from_be_bytes(self.bytes::<AT, 2>())
    }
}

impl<const LENGTH: usize> Head for [u8; LENGTH] {
    #[inline(always)]
    fn bytes<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= LENGTH) };
        let mut bytes = [0; N];
        for (byte, from) in bytes.iter_mut().zip(self.iter().skip(AT)) {
            *byte = *from;
        }
        bytes
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

    #[inline(always)]
    fn head<const LENGTH: usize>(&self) -> Option<impl Head> {
        self.load::<LENGTH>(0)
    }
}
