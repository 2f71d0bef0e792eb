//! nginx and HAProxy, as edges and as applications, with h2load as their visitors.

mod haproxy;
mod nginx;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, Child, IpVersion, Netns, child, script, wait};
use nix::sys::signal::Signal;

use super::{Software, installed, takes_h2c, takes_http};
use crate::stage::{Stage, on_changed_stage};

const PATIENCE: Duration = Duration::from_secs(60);
/// The address of aop's upstream.
const UPSTREAM: &str = "127.0.0.1:9000";
/// The address of the application that is behind a server that is aop's upstream.
const BEHIND: &str = "127.0.0.1:9001";
/// The address at which an edge takes visitors, in its own namespace.
const VISITED: &str = "127.0.0.1:8000";

/// The protocol of h2load.
#[derive(Clone, Copy, Debug)]
enum Visitors {
    Http1,
    H2c,
}

/// A directory for a server that is readable for all users.
fn directory(stage: &Stage, name: &str) -> Result<PathBuf> {
    let dir = stage.lab.dir().join(name);
    std::fs::create_dir(&dir)?;
    Ok(dir)
}

/// Starts a server, and waits until something listens on `address` in its namespace.
fn serve(netns: &Netns, line: &[&str], dir: &Path, address: &str) -> Result<Child> {
    let line: Vec<PathBuf> = line.iter().map(PathBuf::from).collect();
    let mut server = Child::serve(netns, &line, &dir.join("log"))?;
    wait::until(&format!("{address} is served"), Duration::from_secs(20), || {
        let open = netns.inside(|| std::net::TcpStream::connect(address)).ok()?;
        open.is_ok().then_some(())
    })
    .with_context(|| server.log())?;
    ensure!(server.ended().is_none(), "it has ended: {}", server.log());
    Ok(server)
}

/// Sends `count` requests with h2load, 40 at a time. All must be answered with a 2xx. Meanwhile
/// calls `disturb` again and again.
fn visit(
    stage: &Stage,
    visitors: Visitors,
    count: u32,
    options: &[&str],
    path: &str,
    mut disturb: impl FnMut() -> Result<()>,
) -> Result<()> {
    let mut h2load = stage.lab.edge().command("h2load");
    h2load.args(["--requests", &count.to_string(), "--threads", "1"]);
    match visitors {
        Visitors::Http1 => h2load.args(["--h1", "--clients", "40"]),
        Visitors::H2c => h2load.args(["--clients", "4", "--max-concurrent-streams", "10"]),
    };
    h2load.args(options).arg(format!("http://{VISITED}{path}"));
    let done = std::thread::scope(|scope| -> Result<_> {
        let visiting = scope.spawn(move || child::finish(h2load, &[], PATIENCE));
        while !visiting.is_finished() {
            disturb()?;
            std::thread::sleep(Duration::from_millis(200));
        }
        visiting.join().map_err(|_| anyhow::anyhow!("h2load panicked"))?
    })?;
    let text = done.success()?.text();
    let all = format!("{count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout");
    let good = format!("status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx");
    ensure!(text.contains(&all) && text.contains(&good), "{visitors:?} {path}: {text}");
    Ok(())
}

/// A visitor of the edge whose upload the application answers early.
fn uploads_early(stage: &Stage, status: &str) -> Result<()> {
    let mut curl = stage.lab.edge().command("curl");
    curl.args(["-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "30"]);
    curl.args(["--header", "Expect:", "--data-binary", "@-"]);
    curl.arg(format!("http://{VISITED}/early/{status}"));
    let done = child::finish(curl, &vec![b'x'; 2_000_000], PATIENCE)?.success()?;
    ensure!(done.text() == format!("early {status}\n"), "{status}: {}", done.text());
    Ok(())
}

/// Requests of all kinds through an edge.
fn edge_passes_everything(stage: &Stage, visitors: Visitors) -> Result<()> {
    let file = stage.lab.dir().join("upload");
    std::fs::write(&file, vec![b'x'; 20_000])?;
    let data = ["--data", &file.display().to_string()];
    visit(stage, visitors, 800, &[], "/pattern/20000", || Ok(()))?;
    visit(stage, visitors, 400, &data, "/echo", || Ok(()))?;
    for status in ["413", "401", "413"] {
        uploads_early(stage, status)?;
    }
    visit(stage, visitors, 200, &[], "/hello", || Ok(()))?;
    ensure!(stage.daemon.status()?.denials()?.is_empty());
    Ok(())
}

/// Runs a claim with an application behind aop at `address`.
fn with_servers(
    change: fn(&mut AopToml, &aop_tests::Lab),
    address: &str,
    claim: impl FnOnce(&Stage) -> Result<()>,
) {
    let programs = installed(&Software::Programs(&["nginx", "haproxy", "h2load"]));
    if !(programs && installed(&Software::Modules(&["h11"]))) {
        return;
    }
    on_changed_stage(change, |stage| {
        let _application = script::serve_on_origin(&stage.lab, "application", &[address])?;
        claim(stage)
    });
}

#[test]
fn nginx_as_the_edge_loses_nothing() {
    with_servers(takes_http, UPSTREAM, |stage| {
        let _edge = nginx::edge(stage)?;
        edge_passes_everything(stage, Visitors::Http1)
    });
}

#[test]
fn haproxy_as_the_edge_loses_nothing() {
    with_servers(takes_http, UPSTREAM, |stage| {
        let _edge = haproxy::edge(stage)?;
        edge_passes_everything(stage, Visitors::H2c)
    });
}

#[test]
fn nginx_as_the_upstream_is_reloaded_under_load_and_nothing_is_lost() {
    with_servers(takes_http, BEHIND, |stage| {
        let _edge = haproxy::edge(stage)?;
        let upstream = nginx::upstream(stage)?;
        let mut reloads = 0;
        visit(stage, Visitors::H2c, 3_000, &[], "/pattern/2000", || {
            reloads += 1;
            upstream.signal(Signal::SIGHUP)
        })?;
        ensure!(reloads > 1, "{reloads} reloads");
        Ok(())
    });
}

#[test]
fn haproxy_as_an_h2c_upstream_is_reloaded_under_load_and_nothing_is_lost() {
    with_servers(takes_h2c, BEHIND, |stage| {
        let _edge = haproxy::edge(stage)?;
        let upstream = haproxy::upstream(stage)?;
        let file = stage.lab.dir().join("upload");
        std::fs::write(&file, vec![b'x'; 5_000])?;
        let data = ["--data", &file.display().to_string()];
        for options in [&[][..], &data] {
            let mut reloads = 0;
            visit(stage, Visitors::H2c, 2_000, options, "/echo", || {
                reloads += 1;
                upstream.signal(Signal::SIGUSR2)
            })?;
            ensure!(reloads > 1, "{reloads} reloads");
        }
        Ok(())
    });
}

/// The address of aop, as an edge writes it.
fn aop(stage: &Stage) -> String {
    stage.lab.origin_at(IpVersion::V4, 443).to_string()
}
