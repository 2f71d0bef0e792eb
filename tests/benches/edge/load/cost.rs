//! The CPU time of aop and of HAProxy in its place, for the same requests of the same edge.
//!
//! Visitors send one request after the other as fast as they get responses. Rounds alternate
//! between both, and the least figure counts. A difference is no failure: machines differ.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{Child, Lab, Process, wait};

use super::server::{WebServer, program};
use super::steady;
use crate::network::{APPLICATION, Network, RIVAL, Way};
use crate::report::Report;

const ROUNDS: usize = 3;
const EACH: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(10);
/// The port of the application.
const PORT: u16 = 8083;

/// Measures both over both protocols.
///
/// # Errors
/// When a server cannot be started, or a request is lost.
pub(crate) fn run(network: &mut Network, report: &mut Report) -> Result<()> {
    let server = WebServer::start(&network.lab, PORT)?;
    let haproxy = match start_haproxy(&network.lab) {
        Ok(haproxy) => haproxy,
        Err(why) => {
            report.part(&format!("no HAProxy to compare with: {why:#}"));
            return Ok(());
        }
    };
    network.relay_to(PORT)?;
    for (own, rival) in [(Way::Http1, Way::RivalHttp1), (Way::Http2, Way::RivalHttp2)] {
        network.start_edge(rival)?;
        let (mut aop, mut other) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            let daemon = network.daemon.process()?.with_descendants()?;
            aop = aop.min(cost(network, own, &daemon)?);
            let processes = Process(haproxy.pid()).with_descendants()?;
            other = other.min(cost(network, rival, &processes)?);
        }
        let figures = format!("aop {aop:.0} us, HAProxy {other:.0} us: {:.2}", aop / other);
        report.scenario(&format!("CPU of a request, {}", own.name()), &figures, &[]);
    }
    drop(server);
    network.relay_to(APPLICATION)
}

/// The microseconds of CPU time for a request.
fn cost(network: &Network, way: Way, processes: &[Process]) -> Result<f64> {
    let before = cpu_time(processes)?;
    let end = Instant::now() + EACH;
    let tally = steady::visit(network.lab.edge(), way.address(), Duration::ZERO, end);
    let spent = cpu_time(processes)? - before;
    let mut lost = tally.lost_gets().iter().chain(tally.lost_posts());
    ensure!(lost.next().is_none(), "lost: {:?}", tally.lost_gets());
    let sent = u32::try_from(tally.sent())?;
    Ok(spent.as_secs_f64() * 1e6 / f64::from(sent))
}

/// From `schedstat`, which is finer than the ticks of `stat`.
fn cpu_time(processes: &[Process]) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for Process(pid) in processes {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanos = text.split(' ').next().context("schedstat has a first field")?;
            total += Duration::from_nanos(nanos.parse()?);
        }
    }
    Ok(total)
}

fn start_haproxy(lab: &Lab) -> Result<Child> {
    let dir = lab.dir().join("haproxy");
    fs::create_dir(&dir)?;
    let (server, identity) = (&lab.pki.server, dir.join("server.pem"));
    let both = fs::read_to_string(&server.key)? + &fs::read_to_string(&server.certificate)?;
    fs::write(&identity, both)?;
    let text = format!(
        "global
  nbthread 2
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend edge
  bind 0.0.0.0:{RIVAL} ssl crt {} ca-file {} verify required alpn h2,http/1.1
  default_backend application
backend application
  http-reuse always
  server one 127.0.0.1:{PORT}
",
        identity.display(),
        lab.pki.client_ca.display()
    );
    let file: PathBuf = dir.join("haproxy.cfg");
    fs::write(&file, text)?;
    let line = [program("haproxy")?, "-db".into(), "-f".into(), file];
    let mut child = Child::serve(lab.origin(), &line, &dir.join("log"))?;
    let address = ([127, 0, 0, 1], RIVAL).into();
    let listens = wait::until("HAProxy listens", PATIENCE, || {
        let ended = child.ended().is_some();
        let listens = !ended && lab.origin().connect(address, PATIENCE).is_ok();
        (ended || listens).then_some(listens)
    });
    ensure!(listens?, "HAProxy did not start: {}", child.log());
    Ok(child)
}
