//! The cost of a fleet: a real etcd, many simulated hosts that report to it, and a real one.
//!
//! A simulated host runs the code of the product that reports and judges orders, with a connection
//! of its own; it has no daemon, and it only notes that it has carried out an order. Its report is
//! that of the real host, with counters that grow. All hosts start at the same moment, report for a
//! while, and take an order; then etcd fails and returns. A second real host has no `[fleet]`. All
//! of it runs on this machine, in namespaces. Needs root. `AOP_BENCH_JSON` names the file for the
//! figures.
//!
//! Arguments: `--hosts N` (1000), `--members N` of etcd (3), `--seconds N` of reporting (60).
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark")]

mod figures;
mod members;
mod origin;
mod record;
mod simulated_host;
mod simulation;

use std::{
    fs,
    path::PathBuf,
    thread::{available_parallelism, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aop_tests::{EtcdCluster, Lab, Process};
use figures::Figures;
use members::Usage;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use origin::{Link, Origin};
use simulation::Simulation;

/// The time until all hosts have reported, or have carried out an order.
const PATIENCE: Duration = Duration::from_secs(300);
/// The time that etcd is away.
const AWAY: Duration = Duration::from_secs(20);
/// Open files of this process and of a member of etcd beside a connection of each host.
const OTHER_FILES: u64 = 1000;
/// As docs/fleet.md advises.
const OPTIONS: [&str; 2] = ["--auto-compaction-retention=5m", "--quota-backend-bytes=8589934592"];

struct Choice {
    hosts: usize,
    members: u8,
    seconds: u64,
}

fn main() -> Result<()> {
    let choice = Choice::of(std::env::args().skip(1))?;
    allow_files(choice.hosts)?;
    println!(
        "{} simulated hosts, {} of etcd, {} CPUs, load {}",
        choice.hosts,
        if choice.members == 1 { "1 member".into() } else { format!("{} members", choice.members) },
        available_parallelism()?,
        load()?
    );
    let figures = measure(&choice)?;
    println!("load {}", load()?);
    let Some(path) = std::env::var_os("AOP_BENCH_JSON").map(PathBuf::from) else { return Ok(()) };
    fs::create_dir_all(path.with_file_name(""))?;
    fs::write(&path, format!("{:#}\n", figures.json()))?;
    println!("\nfigures: {}", path.display());
    Ok(())
}

fn measure(choice: &Choice) -> Result<Figures> {
    let mut figures = Figures::default();
    let (lab, other_lab) = (Lab::new()?, Lab::new()?);
    let mut etcd = EtcdCluster::start_with(&lab, choice.members, &OPTIONS)?;
    let origin = Origin::start(&lab, Link::Fleet(&etcd))?;
    let alone = Origin::start(&other_lab, Link::None)?;
    let report = origin.report(&etcd)?;
    figures.add("a report", "bytes", serde_json::to_vec(&report)?.len() as f64);

    let started = Instant::now();
    let simulation = Simulation::start(&lab, &origin.fleet()?, choice.hosts, report)?;
    let returned = simulation.record.await_all(choice.hosts, started, PATIENCE)?;
    figures.add("all hosts start at once: half are seen after", "s", returned.half);
    figures.add("all are seen after", "s", returned.all);

    let before = Before::now(&etcd, &origin, &alone)?;
    sleep(Duration::from_secs(choice.seconds));
    let ended = Instant::now();
    before.add_to(&mut figures, &etcd, &origin, &alone)?;
    simulation.record.steady(before.at, ended).add_to(&mut figures);

    for (name, line) in
        [("text", &["fleet", "status"][..]), ("JSON", &["fleet", "status", "--json"])]
    {
        let begun = Instant::now();
        let done = origin.daemon.verb_within(line, PATIENCE)?.success()?;
        figures.add(&format!("aop fleet status, {name}"), "s", begun.elapsed().as_secs_f64());
        if name == "JSON" {
            let sums = done.json()?["sums"].clone();
            ensure!(sums["hosts"] == choice.hosts + 1 && sums["silent"] == 0, "{sums}");
        }
    }

    let begun = Instant::now();
    origin.order(PATIENCE)?;
    figures.add("an order to all: aop fleet reload ends after", "s", begun.elapsed().as_secs_f64());
    let last = simulation.record.last_order(choice.hosts)?;
    figures.add("the last host has carried it out after", "s", (last - begun).as_secs_f64());

    (0..choice.members).for_each(|at| etcd.kill(at.into()));
    sleep(AWAY);
    let begun = Instant::now();
    (0..choice.members).try_for_each(|at| etcd.run(at.into()))?;
    etcd.await_quorum()?;
    figures.add("etcd was away for 20 s: it answers after", "s", begun.elapsed().as_secs_f64());
    let returned = simulation.record.await_all(choice.hosts, begun, PATIENCE)?;
    figures.add("half of the hosts have reported after", "s", returned.half);
    figures.add("all have reported after", "s", returned.all);
    figures.add("attempts that failed meanwhile", "", returned.failed as f64);
    figures.add("the busiest second of the next 30 s", "reports", {
        sleep(Duration::from_secs(30));
        let all = begun + Duration::from_secs_f64(returned.all);
        simulation.record.steady(all, Instant::now()).busiest as f64
    });
    simulation.record.print_errors();
    Ok(figures)
}

/// The state at the beginning of the steady time.
struct Before {
    at: Instant,
    usage: Usage,
    reporters: Duration,
    origin: Duration,
    alone: Duration,
}

impl Before {
    fn now(etcd: &EtcdCluster, origin: &Origin, alone: &Origin) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            usage: Usage::now(etcd)?,
            reporters: Process(std::process::id()).cpu_time()?,
            origin: origin.cpu_time()?,
            alone: alone.cpu_time()?,
        })
    }

    fn add_to(
        &self,
        figures: &mut Figures,
        etcd: &EtcdCluster,
        origin: &Origin,
        alone: &Origin,
    ) -> Result<()> {
        let seconds = self.at.elapsed().as_secs_f64();
        let after = Self::now(etcd, origin, alone)?;
        self.usage.add_to(figures, &after.usage, seconds);
        let rate = |before: Duration, after: Duration| (after - before).as_secs_f64() / seconds;
        figures.add("CPU of all simulated hosts", "s/s", rate(self.reporters, after.reporters));
        for (name, host, before, after) in [
            ("with", origin, self.origin, after.origin),
            ("without", alone, self.alone, after.alone),
        ] {
            let cpu = 3600.0 * rate(before, after);
            figures.add(&format!("a real host {name} [fleet]: CPU"), "s/h", cpu);
            figures.add(&format!("a real host {name} [fleet]: memory"), "MiB", host.memory()?);
        }
        Ok(())
    }
}

impl Choice {
    fn of(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut chosen = Self { hosts: 1000, members: 3, seconds: 60 };
        while let Some(name) = arguments.next() {
            let mut number = || -> Result<u64> {
                let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
                value.parse().with_context(|| format!("{name} {value}: no number"))
            };
            match name.as_str() {
                "--hosts" => chosen.hosts = usize::try_from(number()?)?,
                "--members" => chosen.members = u8::try_from(number()?)?,
                "--seconds" => chosen.seconds = number()?,
                // cargo adds it.
                "--bench" => {}
                other => anyhow::bail!("{other}: there are --hosts, --members and --seconds"),
            }
        }
        Ok(chosen)
    }
}

/// Raises the limit of open files, which etcd inherits.
fn allow_files(hosts: usize) -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let needed = u64::try_from(hosts)? + OTHER_FILES;
    ensure!(most >= needed, "{hosts} hosts need {needed} open files; the limit is {most}");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot raise the limit of open files")
}

/// The mean number of runnable threads over one, five and fifteen minutes.
fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}
