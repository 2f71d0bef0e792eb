//! A list of the longest kind is replaced again and again while strangers' frames run.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    host::Host,
    lists,
    live::{Aop, stranger},
    programs::{Bare, XDP_TX, send},
};

/// Frames in a row between two looks at the clock. Starting a row takes the kernel some 20 ms.
const CHUNK: u32 = 128_000;
const DURATION: Duration = Duration::from_secs(4);

/// How long each chunk took.
struct Chunks(Vec<Duration>);

pub(crate) fn measure(host: &Host) -> Value {
    let policies = [lists::policy(&lists::long(0)), lists::policy(&lists::long(1_000_000))];
    let mut aop = Aop::guarding(&lists::long(0));
    let quiet = under_load(host, || thread::sleep(DURATION));
    let mut swaps = Vec::new();
    let swapping = under_load(host, || {
        let started = Instant::now();
        for policy in policies.iter().cycle() {
            let swap = Instant::now();
            aop.swap(policy);
            swaps.push(swap.elapsed());
            if started.elapsed() > DURATION {
                break;
            }
        }
    });
    let (dropped, passed) = (aop.dropped(), aop.passed());
    swaps.sort_unstable();
    let swap = swaps[swaps.len() / 2];

    println!(
        "\n{:<30} {:>12} {:>12} {:>12}",
        "list swapped under load", "frames/s", "median ms", "worst ms"
    );
    for (name, chunks) in [("no swap", &quiet), ("swapping", &swapping)] {
        let (median, worst) = (chunks.at(0.5).as_millis(), chunks.at(1.0).as_millis());
        println!("{name:<30} {:>12.0} {median:>12} {worst:>12}", chunks.rate());
    }
    println!(
        "{} swaps of {} prefixes, {:.1} ms each; of {} frames {passed} passed",
        swaps.len(),
        policies[0].admission.entries().len(),
        swap.as_secs_f64() * 1000.0,
        dropped + passed
    );
    println!("ms for {CHUNK} frames in a row");
    json!({
        "swaps": swaps.len(),
        "swap_us": swap.as_micros() as u64,
        "frames": dropped + passed,
        "strangers_passed": passed,
        "frames_a_second": { "no_swap": quiet.rate().round(), "swapping": swapping.rate().round() },
        "worst_chunk_us": {
            "no_swap": quiet.at(1.0).as_micros() as u64,
            "swapping": swapping.at(1.0).as_micros() as u64,
        },
    })
}

/// Sends strangers' frames while `work` runs.
fn under_load(host: &Host, work: impl FnOnce()) -> Chunks {
    let over = AtomicBool::new(false);
    let from = host.sender;
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (sender, frame) = (Bare::returning(XDP_TX), stranger());
            let mut chunks = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let started = Instant::now();
                send(&sender, &frame, from, CHUNK);
                chunks.push(started.elapsed());
            }
            chunks.sort_unstable();
            Chunks(chunks)
        });
        work();
        over.store(true, Ordering::Relaxed);
        load.join().unwrap()
    })
}

impl Chunks {
    /// The duration that this part of all chunks stays below.
    fn at(&self, part: f64) -> Duration {
        let last = self.0.len() - 1;
        self.0[(last as f64 * part) as usize]
    }

    fn rate(&self) -> f64 {
        let total: Duration = self.0.iter().sum();
        self.0.len() as f64 * f64::from(CHUNK) / total.as_secs_f64()
    }
}
