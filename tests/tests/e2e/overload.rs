//! Overload: thousands of silent connections, and too few file descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self, TlsClient};
use aop_tests::{AopToml, IpVersion, Lab, Process, Pull, child, wait};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

fn takes_requests(config: &mut AopToml, _: &Lab) {
    config.site().upstream = String::from("http://127.0.0.1:8080");
}

const FLOOD: usize = 5000;

/// Opens connections of the edge that send nothing.
fn silent(stage: &Stage) -> Result<Vec<TcpStream>> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let to = stage.lab.origin_at(IpVersion::V4, 443);
    let connect = || (0..FLOOD).map(|_| TcpStream::connect_timeout(&to, SOON)).collect();
    let streams: std::io::Result<_> = stage.lab.edge().inside(connect)?;
    Ok(streams?)
}

#[test]
fn silent_connections_do_not_delay_a_good_peer_and_take_little_memory() {
    let change = |config: &mut AopToml, _: &Lab| {
        config.limits = vec!["handshakes = 5000".into(), "per_peer = 5000".into()];
        config.deadline = "60s";
    };
    on_changed_stage(change, |stage| {
        let terminator = stage.daemon.terminator()?;
        let before = terminator.memory()?;
        let held = silent(stage)?;
        wait::until("all are open", SOON, || {
            let status = stage.daemon.status().ok()?;
            (status.json()["daemon"]["open_connections"] == FLOOD).then_some(())
        })?;
        let each = (terminator.memory()?.saturating_sub(before)) / FLOOD;
        eprintln!("a silent connection takes {each} bytes");
        ensure!(each < 24 * 1024, "a silent connection takes {each} bytes");
        let begun = Instant::now();
        stage.edge_is_served()?;
        ensure!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        // Exactly one silent connection was closed to make room for the pull.
        let crowded = stage.daemon.status()?.refused("crowded_out")?
            + stage.daemon.status()?.refused("too_many")?;
        ensure!(crowded == 1, "{crowded} connections were closed for it");
        drop(held);
        Ok(())
    });
}

/// Limits the process to `files` more open files than now.
fn spare(process: Process, files: usize) -> Result<()> {
    let mut open = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", process.0))? {
        open.insert(entry?.file_name().to_string_lossy().parse::<usize>()?);
    }
    let limit = (0..).filter(|number| !open.contains(number)).nth(files).context("no number")?;
    limit_files(process, limit)
}

/// Runs prlimit as the user of the process, which needs no privilege.
fn limit_files(process: Process, soft: usize) -> Result<()> {
    let groups = process.status("Gid")?;
    let group = groups.split_whitespace().next().context("no group")?;
    let mut command = std::process::Command::new("setpriv");
    command.args([format!("--reuid={}", process.user()?), format!("--regid={group}")]);
    command.args(["--clear-groups", "--", "prlimit", "--pid", &process.0.to_string()]);
    command.arg(format!("--nofile={soft}:"));
    child::finish(command, &[], SOON)?.success()?;
    Ok(())
}

#[test]
fn without_a_free_file_descriptor_accepting_pauses_until_there_is_one() {
    on_stage(|stage| {
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
        let mut open = client.open(stage.lab.edge(), to, "example.com")?;
        client::get(&mut open, "/")?;
        let terminator = stage.daemon.terminator()?;
        spare(terminator, 0)?;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut session = client.open(stage.lab.edge(), to, "example.com")?;
                client::get(&mut session, "/two")
            });
            wait::until("accepting pauses", SOON, || {
                stage.daemon.log().contains("accepting pauses").then_some(())
            })?;
            client::get(&mut open, "/")?;
            ensure!(!waiting.is_finished(), "there was a descriptor");
            limit_files(terminator, 1000)?;
            let answer = waiting.join().unwrap_or_else(|_| anyhow::bail!("it panicked"))?;
            ensure!(answer == b"the upstream answers /two\n");
            Ok(())
        })
    });
}

#[test]
fn without_a_file_descriptor_for_the_upstream_the_reason_is_no_descriptor() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let terminator = stage.daemon.terminator()?;
        wait::until("it is closed", SOON, || {
            let status = stage.daemon.status().ok()?;
            (status.json()["daemon"]["open_connections"] == 0).then_some(())
        })?;
        let before = stage.snapshot()?;
        spare(terminator, 1)?;
        Pull::by_edge(&stage.lab, IpVersion::V4).must_be_refused()?;
        let status = stage.daemon.status()?;
        ensure!(status.refused("no_descriptor")? == 1, "{:?}", status.refusals());
        ensure!(status.refused("upstream_unreachable")? == 0, "{:?}", status.refusals());
        stage.upstream_saw_nothing_since(&before)?;
        limit_files(terminator, 1000)?;
        stage.edge_is_served()
    });
}

#[test]
fn without_a_file_descriptor_for_the_upstream_a_request_gets_a_503_and_the_next_is_served() {
    on_changed_stage(takes_requests, |stage| {
        let mut session = stage.connect()?;
        wait::until("it is authenticated", SOON, || {
            (stage.daemon.status().ok()?.json()["peers_total"] == 1).then_some(())
        })?;
        let terminator = stage.daemon.terminator()?;
        spare(terminator, 0)?;
        let before = stage.snapshot()?;
        let request = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
        session.write_all(request)?;
        let answer = String::from_utf8(client::read_to_end(&mut session)?)?;
        ensure!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let status = stage.daemon.status()?;
        ensure!(status.denials()? == [("no_descriptor".to_owned(), 1)], "{:?}", status.denials()?);
        stage.upstream_saw_nothing_since(&before)?;
        limit_files(terminator, 1000)?;
        stage.edge_is_served()
    });
}
