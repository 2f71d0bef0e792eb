//! Ctrl-C and similar signals, which the demo checks between its steps.
//!
//! No step lasts longer than the timeout of a pull, so the demo ends soon after a signal and cleans
//! up as usual.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(crate) fn listen() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    pub(crate) fn received(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error if a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(!self.received(), "interrupted");
        Ok(())
    }
}
