//! The cost of many sites: a handshake compared with one site, and the longest handshake during a
//! reload of all sites.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use aop_tests::{Lab, Process};
use serde_json::{Value, json};

use crate::{
    aop::Aop,
    client::BenchClient,
    measure::{CONNECTIONS, cost, micros, whole},
    processes,
    server::{LISTEN, Layer},
};

const SITES: usize = 10_000;
const ROUNDS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// The handshakes before and after a reload are measured for this time.
const MARGIN: Duration = Duration::from_millis(500);

pub(crate) struct ManySites {
    /// CPU µs of a connection, with one site and with many.
    cpu: [f64; 2],
    /// The longest handshake in ms, without a reload and during a reload.
    longest: [f64; 2],
    /// The duration of the reload.
    reload: Duration,
}

pub(crate) fn measure(lab: &Lab, others: &[Process]) -> Result<ManySites> {
    let mut cpu = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (least, sites) in cpu.iter_mut().zip([1, SITES]) {
            let aop = Aop::with_sites(lab, Layer::Tcp, sites)?;
            *least = least.min(connection(lab, &aop, others)?);
        }
    }
    let aop = Aop::with_sites(lab, Layer::Tcp, SITES)?;
    let (longest, reload) = reloading(lab, &aop)?;
    Ok(ManySites { cpu, longest, reload })
}

fn connection(lab: &Lab, aop: &Aop, others: &[Process]) -> Result<f64> {
    let client = BenchClient::new(&lab.pki, LISTEN.parse()?, Layer::Tcp)?;
    let own = aop.process()?.with_descendants()?;
    let all = [&own, others].concat();
    let cpus = thread::available_parallelism()?.get();
    lab.origin().inside(|| {
        processes::pin(&all, 0..1)?;
        for _ in 0..50 {
            whole(&client)?;
        }
        let cost = cost(&own, CONNECTIONS, || whole(&client))?;
        processes::pin(&all, 0..cpus)?;
        Ok(micros(cost.cpu))
    })?
}

/// Sequential handshakes, with a reload between them.
fn reloading(lab: &Lab, aop: &Aop) -> Result<([f64; 2], Duration)> {
    let client = BenchClient::new(&lab.pki, LISTEN.parse()?, Layer::Tcp)?;
    lab.origin().inside(|| {
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

impl ManySites {
    pub(crate) fn print(&self) {
        let Self { cpu, longest, reload } = self;
        println!(
            "\naop with {SITES} sites\n\
             handshake, 1 byte, close: CPU µs {:.1}, with one site {:.1}: {:.2} \
             (target ≤ 1.05)\n\
             longest handshake during a reload of all, which took {:.1} s: {:.1} ms, \
             without one {:.1} (target: no more than 50 longer)",
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
