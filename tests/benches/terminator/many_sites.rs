//! What many sites cost: a handshake beside one where there is one site, and what a handshake waits
//! while all of them are reloaded.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use aop_tests::{Process, World};
use serde_json::{Value, json};

use crate::{
    aop::Aop,
    client::Client,
    measure::{CONNECTIONS, cost, micros, whole},
    processes,
    server::{LISTEN, Layer},
};

const SITES: usize = 10_000;
const ROUNDS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// Handshakes are watched for so long before a reload and after it.
const MARGIN: Duration = Duration::from_millis(500);

pub(crate) struct Sites {
    /// CPU µs of a connection, with one site and with many.
    cpu: [f64; 2],
    /// The longest handshake in ms, in peace and while many sites were reloaded.
    longest: [f64; 2],
    /// How long the reload took.
    reload: Duration,
}

pub(crate) fn measure(world: &World, others: &[Process]) -> Result<Sites> {
    let mut cpu = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (least, sites) in cpu.iter_mut().zip([1, SITES]) {
            let aop = Aop::with_sites(world, Layer::Tcp, sites)?;
            *least = least.min(connection(world, &aop, others)?);
        }
    }
    let aop = Aop::with_sites(world, Layer::Tcp, SITES)?;
    let (longest, reload) = reloading(world, &aop)?;
    Ok(Sites { cpu, longest, reload })
}

fn connection(world: &World, aop: &Aop, others: &[Process]) -> Result<f64> {
    let client = Client::new(&world.pki, LISTEN.parse()?)?;
    let own = processes::below(aop.process()?)?;
    let all = [&own, others].concat();
    let cpus = thread::available_parallelism()?.get();
    world.origin().inside(|| {
        processes::pin(&all, 0..1)?;
        for _ in 0..50 {
            whole(&client)?;
        }
        let cost = cost(&own, CONNECTIONS, || whole(&client))?;
        processes::pin(&all, 0..cpus)?;
        Ok(micros(cost.cpu))
    })?
}

/// One handshake after the other, with a reload among them.
fn reloading(world: &World, aop: &Aop) -> Result<([f64; 2], Duration)> {
    let client = Client::new(&world.pki, LISTEN.parse()?)?;
    world.origin().inside(|| {
        let longest_until = |over: &dyn Fn() -> bool| {
            let mut longest = Duration::ZERO;
            while !over() {
                let start = Instant::now();
                whole(&client)?;
                longest = longest.max(start.elapsed());
            }
            anyhow::Ok(longest.as_secs_f64() * 1e3)
        };
        let start = Instant::now();
        let peace = longest_until(&|| start.elapsed() > 4 * MARGIN)?;
        let start = Instant::now();
        aop.reload()?;
        let during = longest_until(&|| aop.has_reloaded() || start.elapsed() > PATIENCE)?;
        let reload = start.elapsed();
        ensure!(aop.has_reloaded(), "not reloaded:\n{}", aop.log());
        let start = Instant::now();
        let after = longest_until(&|| start.elapsed() > MARGIN)?;
        Ok(([peace, during.max(after)], reload))
    })?
}

impl Sites {
    pub(crate) fn print(&self) {
        let Self { cpu, longest, reload } = self;
        println!(
            "\naop with {SITES} sites\n\
             handshake, 1 byte, close: CPU µs {:.1}, with one site {:.1}: {:.2} (target ≤ 1.05)\n\
             longest handshake during a reload of all, which took {:.1} s: {:.1} ms, in peace {:.1} \
             (target: no more than 50 longer)",
            cpu[1],
            cpu[0],
            cpu[1] / cpu[0],
            reload.as_secs_f64(),
            longest[1],
            longest[0],
        );
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "sites": SITES,
            "connection_cpu_us": self.cpu[1],
            "connection_cpu_us_of_one_site": self.cpu[0],
            "reload_seconds": self.reload.as_secs_f64(),
            "longest_handshake_ms": self.longest[1],
            "longest_handshake_ms_in_peace": self.longest[0],
        })
    }
}
