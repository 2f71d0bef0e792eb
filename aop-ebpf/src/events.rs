//! Sampled drops, reported to user space through a ring buffer.

use aop_common::{Tally, layout::DropEvent};
use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;

use crate::{frame::Packet, maps, pinned::DROPS};

/// Reports the drop of `packet` if it is the turn of the `counted`-th of its kind. In a flood most
/// drops are only counted as lost: a report takes longer than judging five packets.
#[inline(always)]
pub(crate) fn sample(packet: &Packet<'_>, tally: Tally, length: u64, counted: u64) {
    let sampling = maps::sampling();
    if sampling == 0 || counted & u64::from(sampling - 1) != 0 {
        return;
    }
    if maps::is_over_event_limit() {
        return maps::count_lost();
    }
    report(packet, tally, length);
}

/// A function of its own, because it seldom runs.
#[inline(never)]
fn report(packet: &Packet<'_>, tally: Tally, length: u64) {
    let Some(mut entry) = DROPS.reserve_untyped::<DropEvent>(0) else { return maps::count_lost() };
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
}
