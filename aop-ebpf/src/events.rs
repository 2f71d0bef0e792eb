//! Sampled drops, reported to user space through a ring buffer.

use aop_common::{Tally, layout::DropEvent};
use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;

use crate::{
    frame::Packet,
    maps::{self, of_this_cpu},
    pinned::{DROPS, LOST, SAMPLING},
    unpinned::{DropsInTick, IN_TICK},
};

/// Drops that a CPU reports in a tick: 3,200 a second or more, by the HZ of the kernel.
const REPORTED_IN_A_TICK: u64 = 32;
/// Drops of a CPU in a tick that are all examined. Of more, one in [`SHARE`] is.
const EXAMINED_IN_A_TICK: u64 = 64;
const SHARE: u64 = 16;

/// Whether the `counted`-th drop of its kind is examined: sampled and recorded. Returns the number
/// of drops that it stands for. In a flood most drops are only counted: the rest takes as long as
/// judging a packet.
#[inline(always)]
pub(crate) fn examined(counted: u64) -> Option<u64> {
    let (now, here) = (maps::tick(), of_this_cpu(IN_TICK.get_ptr_mut(0))?);
    if here.tick != now {
        *here = DropsInTick { tick: now, drops: 0, reported: 0 };
    }
    here.drops += 1;
    if here.drops <= EXAMINED_IN_A_TICK {
        Some(1)
    } else if counted & (SHARE - 1) == 0 {
        Some(SHARE)
    } else {
        None
    }
}

/// Reports the drop of `packet` if it is the turn of the `counted`-th of its kind, which stands for
/// so many `drops`. In a flood most drops are only counted as lost: a report takes longer than
/// judging five packets.
#[inline(always)]
pub(crate) fn sample(packet: &Packet<'_>, tally: Tally, length: u64, counted: u64, drops: u64) {
    let sampling = u64::from(sampling());
    if sampling == 0 || counted & (sampling - 1) != 0 {
        return;
    }
    let sampled = (drops / sampling).max(1);
    let reported = may_report() && report(packet, tally, length);
    count_lost(sampled - u64::from(reported));
}

/// A function of its own, because it seldom runs.
#[inline(never)]
fn report(packet: &Packet<'_>, tally: Tally, length: u64) -> bool {
    let Some(mut entry) = DROPS.reserve_untyped::<DropEvent>(0) else { return false };
    let event = DropEvent {
        at: maps::nanos(),
        slot: maps::slot(),
        tally: tally.index(),
        length: length as u32,
        snapped: 0,
        frame: [0; _],
    };
    packet.snap(entry.write(event));
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    true
}

/// One in so many drops of a reason is reported; 0 for none.
#[inline(always)]
fn sampling() -> u32 {
    SAMPLING.get(0).copied().unwrap_or(0)
}

/// Whether this CPU may report one more drop in this tick. Counts it.
#[inline(always)]
fn may_report() -> bool {
    let Some(here) = of_this_cpu(IN_TICK.get_ptr_mut(0)) else { return false };
    here.reported += 1;
    here.reported <= REPORTED_IN_A_TICK
}

/// Counts drops that were sampled and not reported.
#[inline(always)]
fn count_lost(drops: u64) {
    if let Some(lost) = of_this_cpu(LOST.get_ptr_mut(0)) {
        *lost += drops;
    }
}
