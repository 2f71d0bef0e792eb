//! The frame reader: every access to packet bytes, with its bounds check.
#![allow(unsafe_code, reason = "packet bytes are reached through raw addresses")]

use core::{arch::asm, mem::MaybeUninit};

use aop_common::{
    Frame, Head,
    layout::{DropEvent, SNAPPED},
};
use aya_ebpf::{
    helpers::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};

/// No header that the policy reads begins beyond this. The verifier demands a bound of an offset
/// before it is added to a packet address.
const MAX_OFFSET: usize = 0x7fff;

/// The packet under judgement.
pub(crate) struct Packet<'a>(&'a XdpContext);

impl<'a> Packet<'a> {
    pub(crate) fn of(ctx: &'a XdpContext) -> Self {
        Self(ctx)
    }

    /// The length of the whole frame, with all its buffers. Where the IP packet ends in the first
    /// buffer there are no others, and the helper is not asked: it costs as much as all the rest of
    /// a short way through the program. (Padding may fill further buffers; then it is not counted.)
    #[inline(always)]
    pub(crate) fn len(&self) -> u64 {
        let here = self.0.data_end().wrapping_sub(self.0.data());
        if self.ip_end().is_some_and(|end| end <= here) {
            return here as u64;
        }
        // SAFETY: the helper takes the context that the kernel handed to this program.
        unsafe { bpf_xdp_get_buff_len(self.0.ctx) }
    }

    /// The end of the IP packet of an untagged frame, by its own length field, if it has one.
    #[inline(always)]
    fn ip_end(&self) -> Option<usize> {
        const ETHERNET: usize = 14;
        const IPV6_HEADER: usize = 40;
        let head = self.head::<20>()?;
        let (before, length) = match head.u16::<12>() {
            0x0800 => (ETHERNET, head.u16::<16>()),
            0x86dd => (ETHERNET + IPV6_HEADER, head.u16::<18>()),
            _ => return None,
        };
        if length == 0 { None } else { Some(before + usize::from(length)) }
    }

    /// Copies the beginning of the frame into `event`.
    #[inline(always)]
    pub(crate) fn snap(&self, event: &mut DropEvent) {
        let length = snappable((event.length as usize).min(SNAPPED)) as u32;
        if copy(self.0, 0, event.frame.as_mut_ptr(), length) == 0 {
            event.snapped = length;
        }
    }
}

impl Frame for Packet<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let start = self.0.data() + masked(offset);
        if plus::<N>(start) > self.0.data_end() {
            return beyond(self.0, offset);
        }
        // SAFETY: `start..start + N` lies between data and data_end.
        Some(unsafe { fetch(start) })
    }

    #[inline(always)]
    fn head<const LENGTH: usize>(&self) -> Option<impl Head> {
        let start = self.0.data();
        if plus::<LENGTH>(start) > self.0.data_end() {
            None
        } else {
            Some(CheckedHead::<LENGTH>(start))
        }
    }

    #[inline(always)]
    fn u16(&self, offset: usize) -> Option<u16> {
        self.load::<2>(offset).map(swapped)
    }

    #[inline(always)]
    fn behind(&self, offset: usize, size: usize) -> usize {
        forgotten(offset + size)
    }
}

/// The address of the first `LENGTH` bytes of a packet, which were compared with its end.
struct CheckedHead<const LENGTH: usize>(usize);

impl<const LENGTH: usize> Head for CheckedHead<LENGTH> {
    #[inline(always)]
    fn bytes<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= LENGTH) };
        // SAFETY: `AT..AT + N` lies within the bytes that were compared with the end.
        unsafe { fetch(self.0 + AT) }
    }

    #[inline(always)]
    fn u16<const AT: usize>(&self) -> u16 {
        swapped(self.bytes::<AT, 2>())
    }
}

/// The `N` bytes at `offset` of a frame whose first buffer ends before them. Drivers may leave that
/// buffer short, or even empty.
#[inline(always)]
fn beyond<const N: usize>(ctx: &XdpContext, offset: usize) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let loaded = copy(ctx, offset as u32, bytes.as_mut_ptr(), N as u32);
    if loaded == 0 { Some(bytes) } else { None }
}

#[inline(never)]
fn copy(ctx: &XdpContext, offset: u32, to: *mut u8, length: u32) -> i64 {
    // SAFETY: `to` has room for `length` bytes; the helper checks the frame's length.
    unsafe { bpf_xdp_load_bytes(ctx.ctx, offset, to.cast(), length) }
}

/// The `N` bytes at `start`, by whole words. The compiler knows no alignment and would fetch byte
/// by byte, but the kernel allows reads of packets at any address. The program writes to no packet,
/// so the compiler may leave a read out, or read later.
///
/// # Safety
/// All `N` bytes are bytes of the packet: they were compared with its end.
#[inline(always)]
unsafe fn fetch<const N: usize>(start: usize) -> [u8; N] {
    const { assert!(matches!(N, 1 | 2 | 4 | 16)) };
    let [mut low, mut high] = [0u64; 2];
    match N {
        // SAFETY: the caller promises that the bytes are there.
        1 => unsafe {
            asm!(
                "{0} = *(u8 *)({1} + 0)",
                out(reg) low, in(reg) start, options(pure, readonly, nostack)
            );
        },
        // SAFETY: the caller promises that the bytes are there.
        2 => unsafe {
            asm!(
                "{0} = *(u16 *)({1} + 0)",
                out(reg) low, in(reg) start, options(pure, readonly, nostack)
            );
        },
        // SAFETY: the caller promises that the bytes are there.
        4 => unsafe {
            asm!(
                "{0} = *(u32 *)({1} + 0)",
                out(reg) low, in(reg) start, options(pure, readonly, nostack)
            );
        },
        // SAFETY: the caller promises that the bytes are there.
        _ => unsafe {
            asm!(
                "{0} = *(u64 *)({2} + 0)", "{1} = *(u64 *)({2} + 8)",
                out(reg) low, out(reg) high, in(reg) start, options(pure, readonly, nostack)
            );
        },
    }
    let words = [low, high];
    // SAFETY: N is at most the size of both words, and bytes have no invalid values.
    unsafe { *words.as_ptr().cast() }
}

// The verifier follows single instructions. In each of these places the compiler would rewrite the
// arithmetic into an equal form that the verifier does not follow, or that it follows on each path
// separately. So the instruction is written out.

/// `offset`, cut to MAX_OFFSET. It is a mask and no comparison: with a comparison the verifier
/// would distinguish every length of every chain of headers.
#[inline(always)]
fn masked(mut offset: usize) -> usize {
    // SAFETY: one instruction on one register.
    unsafe {
        asm!("{0} &= {1}", inout(reg) offset, const MAX_OFFSET, options(pure, nomem, nostack));
    }
    offset
}

/// The big-endian number in `bytes`. The compiler knows that an ordinary swap gives 16 bits, and
/// leaves out a mask before an index; the verifier of Linux 6.1 takes the result for any number.
#[inline(always)]
fn swapped(bytes: [u8; 2]) -> u16 {
    let mut number = u64::from(u16::from_ne_bytes(bytes));
    // SAFETY: one instruction on one register.
    unsafe { asm!("{0} = be16 {0}", inout(reg) number, options(pure, nomem, nostack)) };
    number as u16
}

/// The largest odd number up to `length`, which is neither 0 nor above SNAPPED. It is odd so that
/// the verifier sees that it is not 0.
#[inline(always)]
fn snappable(mut length: usize) -> usize {
    const { assert!(SNAPPED.is_power_of_two()) };
    // SAFETY: arithmetic on one register.
    unsafe {
        asm!(
            "{0} += -1", "{0} &= {1}", "{0} |= 1",
            inout(reg) length, const SNAPPED - 2, options(pure, nomem, nostack),
        );
    }
    length
}

/// `address + N`. The verifier learns the reach of a packet only from a comparison with exactly
/// this sum.
#[inline(always)]
fn plus<const N: usize>(mut address: usize) -> usize {
    // SAFETY: one instruction on one register.
    unsafe {
        asm!("{0} += {1}", inout(reg) address, const N, options(pure, nomem, nostack));
    }
    address
}

/// `offset`, which fits 16 bits, through a part of a stack word. The verifier does not track such a
/// part, so from here on `offset` is any number to it.
#[inline(always)]
fn forgotten(mut offset: usize) -> usize {
    let mut word = MaybeUninit::<u64>::uninit();
    // SAFETY: stores to and loads from the second quarter of a live stack word.
    unsafe {
        asm!(
            "*(u16 *)({1} + 2) = {0}",
            "{0} = *(u16 *)({1} + 2)",
            inout(reg) offset,
            in(reg) word.as_mut_ptr(),
            options(nostack),
        );
    }
    offset
}
