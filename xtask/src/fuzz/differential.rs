//! Runs generated frames through the policy on the host and the packet program in the kernel.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::{command, object, packages, privilege::Privilege};

/// The kernel tests of aop-userspace that take generated frames.
const CLAIMS: &str = "generated_frames_agree";
const CLAIM_COUNT: u64 = 3;

/// The frames to generate.
#[derive(Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) count: u64,
    /// The seed of the generator; without one, every run has another.
    pub(crate) seed: Option<u64>,
}

pub(super) fn run(frames: Frames) -> Result<()> {
    if let Some(lacking) = Privilege::current()?.lacking_for_tests() {
        bail!("the differential run loads programs and makes network namespaces: {lacking}");
    }
    packages::ensure()?;
    object::refresh()?;
    let seed = frames.seed.unwrap_or_else(of_the_clock);
    let each = frames.count.div_ceil(CLAIM_COUNT);
    eprintln!("{CLAIM_COUNT} tests with {each} frames each; to repeat: --seed {seed}");
    let mut cargo = command::cargo("test");
    cargo.args(["--quiet", "--test", "kernel", CLAIMS, "--", "--show-output"]);
    cargo.env("AOP_FRAMES", each.to_string()).env("AOP_SEED", seed.to_string());
    command::run(&mut cargo)
}

fn of_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
