//! `fuzz`: coverage-guided cargo-fuzz targets, and the differential run, which sends generated
//! frames through the policy on the host and through the packet program in the kernel.
//!
//! An input that crashes a target is left in `fuzz/artifacts/TARGET`. Fix the crash, and move the
//! input to `fuzz/regressions/TARGET`: a unit test replays that directory.

mod differential;
mod runner;

use anyhow::{Result, bail};

pub(crate) use differential::Frames;

/// The cargo-fuzz targets, by the names of their files in `fuzz/fuzz_targets`.
const TARGETS: [&str; 10] = [
    "policy",
    "prefixes",
    "config",
    "proxy",
    "http1_request",
    "http1_response",
    "hpack",
    "http2_connection",
    "http2_exchange",
    "nginx",
];
const DIFFERENTIAL: &str = "differential";

pub(crate) fn run(target: Option<&str>, seconds: u32, frames: Frames) -> Result<()> {
    match target {
        Some(DIFFERENTIAL) => differential::run(frames),
        Some(target) if TARGETS.contains(&target) => runner::run(&[target], seconds),
        Some(target) => bail!(
            "there is no fuzz target {target:?}; there are {} and {DIFFERENTIAL}",
            TARGETS.join(", ")
        ),
        None => runner::run(&TARGETS, seconds),
    }
}
