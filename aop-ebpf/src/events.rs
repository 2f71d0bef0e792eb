//! Sampled drops, told to user space through the ring buffer.

use aop_common::{Tally, layout::DropEvent};
use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;

use crate::{
    frame::Packet,
    maps::{self, DROPS},
};

/// Tells the drop of `packet` if it is the turn of the `counted`-th of its kind. In a flood most
/// are only counted as lost: telling one takes longer than judging five.
#[inline(always)]
pub(crate) fn sample(packet: &Packet<'_>, tally: Tally, length: u64, counted: u64) {
    let sampling = maps::sampling();
    if sampling == 0 || counted & u64::from(sampling - 1) != 0 {
        return;
    }
    if maps::is_told_too_often() {
        return maps::lose();
    }
    tell(packet, tally, length);
}

/// A function of its own: it seldom runs.
#[inline(never)]
fn tell(packet: &Packet<'_>, tally: Tally, length: u64) {
    let Some(mut entry) = DROPS.reserve_untyped::<DropEvent>(0) else { return maps::lose() };
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
