//! Waits for signals on a thread of its own.

use std::thread;

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};

/// Blocks `signals` in this thread and in those that it starts later. Call it before any other
/// thread exists: a thread that does not block them would receive them.
pub(crate) fn block(signals: &[Signal]) -> anyhow::Result<SigSet> {
    let signals: SigSet = signals.iter().copied().collect();
    signals.thread_block().context("cannot block signals")?;
    Ok(signals)
}

/// Calls `then` when one of the blocked `signals` arrives.
pub(crate) fn on_arrival(signals: SigSet, then: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        if signals.wait().is_ok() {
            then();
        }
    });
}
