//! Records the sources that no prefix admits, for `aop strangers`.
//!
//! Where the mode is observe, each packet of a source that has an entry is counted: such packets go
//! on to a listener, which costs far more. New entries, and packets that are dropped, wait for the
//! turn of their place, which comes once a tick.

use aop_common::{
    Mode, Tally, TcpStep,
    layout::{StrangerKey, StrangerValue},
};

use crate::{
    maps::{self, MapFacts},
    pinned::SEEN_STRANGERS,
};

#[inline(always)]
pub(crate) fn record(facts: &MapFacts<'_>, mode: Mode, tally: Tally) {
    let Some((stranger, step)) = facts.stranger() else { return };
    let has_turn = maps::takes_turn(stranger);
    if has_turn || mode == Mode::Observe {
        write(stranger, step, tally, has_turn);
    }
}

/// A function of its own, because a flood seldom comes here.
#[inline(never)]
fn write(stranger: StrangerKey, step: TcpStep, tally: Tally, has_turn: bool) {
    if maps::count_stranger(stranger, step, tally) || !has_turn {
        return;
    }
    let first = StrangerValue::first(maps::millis(), step, tally);
    // Without room it stays unrecorded; the counters contain its packet.
    SEEN_STRANGERS.insert(stranger, first, 0).ok();
}
