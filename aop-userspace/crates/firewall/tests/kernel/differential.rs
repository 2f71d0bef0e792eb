//! Runs generated frames through the policy on the host and through the program in the kernel.

use std::{collections::BTreeMap, time::Instant};

use aop_common::{Mode, Tally, Verdict, layout::Counter};
use aop_firewall::{BatchResult, FrameResult, TestProgram};
use aop_packets::Generator;

use super::{owed, trial};

/// Generated frames for each test; `AOP_FRAMES` overrides the number.
const GENERATED: u64 = 20_000;
/// Frames between two readings of the counters. A reading takes longer than a frame.
const BATCH: usize = 256;
/// The most disagreements that are described; one already fails the test.
const SHOWN: usize = 5;

/// Describes the generated frames on which `on_the_host` and the kernel disagree.
pub(crate) fn disagreements(
    mode: Mode,
    ifindex: u32,
    on_the_host: impl Fn(&[u8]) -> Verdict,
) -> Vec<String> {
    let owes = |frame: &[u8]| owed(on_the_host(frame), mode, frame.len());
    compare(&mut trial(mode), ifindex, Frames::asked(), owes)
}

/// How many frames are generated, and from which seed.
#[derive(Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) count: u64,
    pub(crate) seed: u64,
}

impl Frames {
    pub(crate) fn asked() -> Self {
        let (count, seed) = (asked("AOP_FRAMES", GENERATED), asked("AOP_SEED", 0xa0b));
        Self { count, seed }
    }
}

/// Describes those of `frames` for which `trial` does not do what `owes` says.
pub(crate) fn compare(
    trial: &mut TestProgram,
    ifindex: u32,
    frames: Frames,
    owes: impl Fn(&[u8]) -> FrameResult,
) -> Vec<String> {
    let Frames { count, seed } = frames;
    let mut found = Vec::new();
    let started = Instant::now();
    let mut frames = Generator::new(seed).take(count as usize);
    loop {
        let batch: Vec<Vec<u8>> = frames.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let owed: Vec<FrameResult> = batch.iter().map(|frame| owes(frame)).collect();
        let ran = trial.run_batch(batch.iter().map(Vec::as_slice), ifindex).expect("they run");
        if ran == sum(&owed) {
            continue;
        }
        // Find the frame within the batch.
        for (frame, owed) in batch.iter().zip(&owed) {
            let ran = trial.run(frame, ifindex).expect("the frame runs");
            if ran != *owed && found.len() < SHOWN {
                found.push(format!("host {owed:?}, kernel {ran:?}: {frame:02x?}"));
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{count} frames of seed {seed}: {:.0} frames/s", count as f64 / seconds);
    found
}

/// The number in an environment variable.
fn asked(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The expected result in the kernel for several frames.
fn sum(owed: &[FrameResult]) -> BatchResult {
    let mut moved = BTreeMap::<Tally, Counter>::new();
    for (tally, counter) in owed.iter().flat_map(|frame| &frame.moved) {
        let sum = moved.entry(*tally).or_default();
        sum.packets += counter.packets;
        sum.bytes += counter.bytes;
    }
    let actions = owed.iter().map(|frame| frame.action).collect();
    BatchResult { actions, moved: moved.into_iter().collect() }
}
