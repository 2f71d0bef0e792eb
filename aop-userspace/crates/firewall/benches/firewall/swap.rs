//! Replaces a long list repeatedly while frames of strangers run.

use std::{
    hint,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{
    host::Host,
    lists,
    live::{Aop, stranger},
    programs::{Bare, XDP_TX, send},
};

/// Frames between two readings of the clock. Starting a chunk takes the kernel about 20 ms.
const CHUNK: u32 = 128_000;
const DURATION: Duration = Duration::from_secs(4);

/// How long each chunk took.
struct Chunks(Vec<Duration>);

/// The figures while lists are swapped.
struct Swapping {
    what: &'static str,
    chunks: Chunks,
    /// The median duration of a swap.
    swap: Duration,
    swaps: usize,
}

pub(crate) fn measure(host: &Host) -> Value {
    let long = lists::long(0);
    let mut aop = Aop::guarding(&long);
    let idle = under_load(host, || thread::sleep(DURATION));
    // The effect of a busy second thread on the sender, without any swap.
    let busy = under_load(host, || {
        let started = Instant::now();
        while started.elapsed() < DURATION {
            hint::spin_loop();
        }
    });
    // Three lists each, because the inactive set always holds the list before the last.
    let other = [0, 1_000_000, 2_000_000].map(lists::long);
    let near = [0, 1, 2].map(|at| without(&long, at));
    let swapping = [
        Swapping::measure("swapping, 1,000 change", host, &mut aop, &near),
        Swapping::measure("swapping, nearly all change", host, &mut aop, &other),
    ];
    let (dropped, passed) = (aop.dropped(), aop.passed());

    println!(
        "\n{:<30} {:>10} {:>10} {:>9} {:>10} {:>7}",
        "list swapped under load", "frames/s", "median ms", "worst ms", "ms a swap", "swaps"
    );
    print(&idle, "no swap, nothing else runs", "-", "-");
    print(&busy, "no swap, a thread spins", "-", "-");
    for Swapping { what, chunks, swap, swaps } in &swapping {
        print(chunks, what, &format!("{:.1}", swap.as_secs_f64() * 1e3), &swaps.to_string());
    }
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    println!("{} prefixes; ms per {CHUNK} frames", long.len());
    println!("one thread sends and one swaps, on {cpus} CPUs: compare with the spinning thread to");
    println!("see how long a swap stalls; {passed} of {} frames passed", dropped + passed);
    assert_eq!(passed, 0, "strangers passed");
    json!({
        "frames": dropped + passed,
        "strangers_passed": passed,
        "no_swap": idle.figures(),
        "no_swap_beside_a_busy_thread": busy.figures(),
        "swapping": swapping.iter().map(Swapping::figures).collect::<Vec<_>>(),
    })
}

/// The list without 500 of its prefixes; each `at` removes others.
fn without(list: &[IpNet], at: usize) -> Vec<IpNet> {
    let gone = list.len() / 2 + at * 500..list.len() / 2 + (at + 1) * 500;
    list.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, net)| *net).collect()
}

fn print(chunks: &Chunks, what: &str, swap: &str, swaps: &str) {
    let (median, worst) = (chunks.at(0.5).as_millis(), chunks.at(1.0).as_millis());
    println!("{what:<30} {:>10.0} {median:>10} {worst:>9} {swap:>10} {swaps:>7}", chunks.rate());
}

impl Swapping {
    fn measure(what: &'static str, host: &Host, aop: &mut Aop, lists: &[Vec<IpNet>]) -> Self {
        let policies: Vec<_> = lists.iter().map(|list| lists::policy(list)).collect();
        let mut swaps = Vec::new();
        let chunks = under_load(host, || {
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
        swaps.sort_unstable();
        Self { what, chunks, swap: swaps[swaps.len() / 2], swaps: swaps.len() }
    }

    fn figures(&self) -> Value {
        json!({
            "what": self.what,
            "swaps": self.swaps,
            "swap_us": self.swap.as_micros() as u64,
            "chunks": self.chunks.figures(),
        })
    }
}

/// Sends frames of strangers while `work` runs.
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
    /// The quantile `part` of the durations.
    fn at(&self, part: f64) -> Duration {
        let last = self.0.len() - 1;
        self.0[(last as f64 * part) as usize]
    }

    fn figures(&self) -> Value {
        json!({
            "frames_a_second": self.rate().round(),
            "median_us": self.at(0.5).as_micros() as u64,
            "worst_us": self.at(1.0).as_micros() as u64,
        })
    }

    fn rate(&self) -> f64 {
        let total: Duration = self.0.iter().sum();
        self.0.len() as f64 * f64::from(CHUNK) / total.as_secs_f64()
    }
}
