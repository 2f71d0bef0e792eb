//! One round with one server. Idle connections come first, while no freed memory can be reused.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use aop_tests::{Lab, Process};
use nix::sys::signal::Signal;

use crate::{
    client::{BenchClient, Kept},
    figures::{Measurements, Row},
    processes,
    server::{Layer, Server},
};

const WARM_UP: usize = 50;
const HELD: u32 = 1_000;
pub(crate) const CONNECTIONS: u32 = 1_000;
const REQUESTS: u32 = 10_000;
const KB: usize = 1024;
const PIECE_MB: u32 = 16;
const PIECES: u32 = 16;
const CLIENTS: u32 = 8;
const CONNECTIONS_EACH: u32 = 250;
const REQUESTS_EACH: u32 = 2_000;
const STREAMS: usize = 16;
const STREAM_REQUESTS: u32 = 32_000;
/// Time for work that a server does after its peer has got everything.
const SETTLING: Duration = Duration::from_millis(300);
/// After this time without traffic a kept connection counts as idle.
const IDLE: Duration = Duration::from_secs(3);

/// `others` are the processes that take part besides those of the server.
pub(crate) fn round(
    lab: &Lab,
    server: &Server,
    others: &[Process],
    layer: Layer,
) -> Result<Measurements> {
    let client = BenchClient::new(&lab.pki, server.address(), layer)?;
    let processes = server.processes()?;
    let all = [&processes, others].concat();
    let cpus = thread::available_parallelism()?.get();
    lab.origin().inside(|| {
        let mut figures = Measurements::default();
        for _ in 0..WARM_UP {
            whole(&client)?;
        }
        thread::sleep(SETTLING);
        figures.set(Row::IdleMemory, idle(&client, &processes)?);

        // Sequential work on one CPU: waking an idle CPU in a virtual machine costs as much as the
        // work itself, and varies.
        processes::pin(&all, 0..1)?;
        let connection = cost(&processes, CONNECTIONS, || whole(&client))?;
        figures.set(Row::ConnectionCpu, micros(connection.cpu));
        figures.set(Row::ConnectionWall, micros(connection.wall));

        let mut kept = opened(&client)?;
        if !layer.is_http2() {
            let request = cost(&processes, REQUESTS, || kept.get(KB))?;
            figures.set(Row::RequestCpu, micros(request.cpu));
            figures.set(Row::RequestWall, micros(request.wall));
        }

        let length = PIECE_MB as usize * KB * KB;
        let bulk = cost(&processes, PIECES, || kept.get(length))?;
        figures.set(Row::BulkCpu, micros(bulk.cpu) / f64::from(PIECE_MB));
        figures.set(Row::BulkWall, micros(bulk.wall) / f64::from(PIECE_MB));
        drop(kept);
        processes::pin(&all, 0..cpus)?;

        figures.set(
            Row::ConnectionsAtOnce,
            at_once(CONNECTIONS_EACH, || Ok(()), |()| whole(&client))?,
        );
        if !layer.is_http2() {
            figures.set(
                Row::RequestsAtOnce,
                at_once(REQUESTS_EACH, || opened(&client), |kept| kept.get(KB))?,
            );
            return Ok(figures);
        }
        let (cost, p99) = streams(&client, &processes, CLIENTS, STREAMS)?;
        figures.set(Row::RequestCpu, micros(cost.cpu));
        figures.set(Row::RequestWall, micros(cost.wall));
        figures.set(Row::RequestsAtOnce, p99);
        let (cost, _) = streams(&client, &processes, 2, 100)?;
        figures.set(Row::ManyStreamsCpu, micros(cost.cpu));
        if let Some(calls) = system_calls(&client, &processes)? {
            figures.set(Row::SystemCalls, calls);
        }
        Ok(figures)
    })?
}

/// Opens a connection, gets one byte and closes it.
pub(crate) fn whole(client: &BenchClient) -> Result<()> {
    client.connect()?.get(1)
}

fn opened(client: &BenchClient) -> Result<Kept> {
    let mut kept = client.connect()?;
    kept.get(1)?;
    Ok(kept)
}

/// The KiB that each of many idle connections adds.
fn idle(client: &BenchClient, processes: &[Process]) -> Result<f64> {
    let before = processes::memory(processes)?;
    let held = (0..HELD).map(|_| Ok(opened(client)?.hold())).collect::<Result<Vec<_>>>()?;
    thread::sleep(IDLE);
    let after = processes::memory(processes)?;
    drop(held);
    thread::sleep(SETTLING);
    Ok((after as f64 - before as f64) / f64::from(HELD))
}

/// The mean cost of sequential actions.
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    wall: Duration,
}

pub(crate) fn cost(
    processes: &[Process],
    times: u32,
    mut act: impl FnMut() -> Result<()>,
) -> Result<Cost> {
    let (cpu, start) = (processes::cpu_time(processes)?, Instant::now());
    for _ in 0..times {
        act()?;
    }
    let wall = start.elapsed() / times;
    thread::sleep(SETTLING);
    Ok(Cost { cpu: (processes::cpu_time(processes)? - cpu) / times, wall })
}

/// The time in µs within which 99 % of the actions finish, with several clients at once.
fn at_once<S>(
    times: u32,
    prepare: impl Fn() -> Result<S> + Sync,
    act: impl Fn(&mut S) -> Result<()> + Sync,
) -> Result<f64> {
    let prepared = Barrier::new(CLIENTS as usize);
    let run = || {
        let state = prepare();
        prepared.wait();
        let mut state = state?;
        (0..times)
            .map(|_| {
                let start = Instant::now();
                act(&mut state).map(|()| start.elapsed())
            })
            .collect::<Result<Vec<_>>>()
    };
    let mut all = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    all.sort_unstable();
    Ok(micros(all[all.len() * 99 / 100]))
}

/// The mean cost of a request, and the 99th percentile of its time in µs, with `clients`
/// connections of `at_once` streams.
fn streams(
    client: &BenchClient,
    processes: &[Process],
    clients: u32,
    at_once: usize,
) -> Result<(Cost, f64)> {
    let kept = (0..clients).map(|_| opened(client)).collect::<Result<Vec<_>>>()?;
    let (cpu, start) = (processes::cpu_time(processes)?, Instant::now());
    let each = (STREAM_REQUESTS / clients) as usize;
    let run = move |mut kept: Kept| kept.many(KB, each, at_once);
    let mut all = thread::scope(|scope| {
        let clients: Vec<_> = kept.into_iter().map(|kept| scope.spawn(move || run(kept))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    let wall = start.elapsed() / STREAM_REQUESTS;
    thread::sleep(SETTLING);
    let cpu = (processes::cpu_time(processes)? - cpu) / STREAM_REQUESTS;
    all.sort_unstable();
    Ok((Cost { cpu, wall }, micros(all[all.len() * 99 / 100])))
}

/// The system calls of the server for a request, if strace is installed.
fn system_calls(client: &BenchClient, processes: &[Process]) -> Result<Option<f64>> {
    let mut tracer = Command::new("strace");
    tracer.args(["-f", "-c", "-q", "-U", "calls,name"]);
    for process in processes {
        tracer.args(["-p", &process.0.to_string()]);
    }
    tracer.stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
    let Ok(mut tracer) = tracer.spawn() else { return Ok(None) };
    thread::sleep(SETTLING);
    let mut kept = (0..CLIENTS).map(|_| opened(client)).collect::<Result<Vec<_>>>()?;
    let mut total = 0;
    thread::scope(|scope| {
        let clients: Vec<_> = kept
            .iter_mut()
            .map(|kept| scope.spawn(|| kept.many(KB, REQUESTS_EACH as usize, STREAMS)))
            .collect();
        for client in clients {
            total += client.join().map_err(|_| anyhow!("a client panicked"))??.len();
        }
        anyhow::Ok(())
    })?;
    Process(tracer.id()).signal(Signal::SIGINT)?;
    let mut text = String::new();
    tracer.stderr.take().map(|mut pipe| pipe.read_to_string(&mut text)).transpose()?;
    tracer.wait()?;
    let line = text.lines().rfind(|line| line.ends_with("total"));
    let calls = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(calls.map(|calls| calls / total as f64))
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
