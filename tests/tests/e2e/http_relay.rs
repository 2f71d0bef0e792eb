//! The relay of HTTP requests: which are relayed, which are refused, and how they are counted.

use std::{
    io::{Read, Write},
    time::Duration,
};

use anyhow::{Result, ensure};
use aop_tests::client;
use aop_tests::{AopToml, IpVersion, Lab, Process, Pull, TestUpstream, wait};

use crate::stage::{SOON, Stage, on_changed_stage};

const BIG: usize = 24 * 1024 * 1024;

fn takes_requests(config: &mut AopToml, _: &Lab) {
    config.site().upstream = String::from("http://127.0.0.1:8080");
}

/// Sends raw bytes and returns everything that comes until the connection ends.
fn send_raw(stage: &Stage, bytes: &[u8]) -> Result<String> {
    let mut session = stage.connect()?;
    session.write_all(bytes)?;
    Ok(String::from_utf8_lossy(&client::read_to_end(&mut session)?).into_owned())
}

/// Waits until exactly `count` requests were refused, all for `reason`.
fn denied(stage: &Stage, reason: &str, count: u64) -> Result<()> {
    wait::until(&format!("{count} requests refused as {reason}"), SOON, || {
        let denials = stage.daemon.status().and_then(|status| status.denials()).ok()?;
        (denials == [(reason.to_owned(), count)]).then_some(())
    })
}

#[test]
fn big_bodies_are_relayed_over_http_1_and_http_2() {
    on_changed_stage(takes_requests, |stage| {
        let body: Vec<u8> = (0_u8..251).cycle().take(BIG).collect();
        for version in ["--http1.1", "--http2"] {
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).option(version);
            let outcome = pull.clone().path("/echo").post(body.clone()).send()?;
            ensure!(outcome.served() && outcome.body() == body, "{version}: {outcome}");
            let outcome = pull.path(&format!("/bytes/{BIG}")).send()?;
            ensure!(outcome.served() && outcome.body() == body, "{version}: {outcome}");
        }
        let status = stage.daemon.status()?;
        ensure!(status.relayed()? == 4 && status.denials()?.is_empty());
        Ok(())
    });
}

#[test]
fn an_http_upstream_may_listen_on_a_unix_socket() {
    let change = |config: &mut AopToml, lab: &Lab| {
        config.site().upstream = format!("unix+http://{}", lab.dir().join("app.sock").display());
    };
    on_changed_stage(change, |stage| {
        let socket = stage.lab.dir().join("app.sock").display().to_string();
        let behind = TestUpstream::listening(&stage.lab, &format!("unix:{socket}"))?;
        let outcome = Pull::by_edge(&stage.lab, IpVersion::V6).path("/hello").send()?;
        ensure!(outcome.body() == b"the upstream answers /hello\n", "{outcome}");
        ensure!(behind.count()? == 1);
        Ok(())
    });
}

#[test]
fn without_a_certificate_no_request_is_read() {
    on_changed_stage(takes_requests, |stage| {
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate();
        stage.refuses(&pull, "certificate_required")?;
        ensure!(stage.daemon.status()?.denials()?.is_empty());
        Ok(())
    });
}

#[test]
fn a_request_for_another_host_gets_a_421_and_is_logged_with_its_ray() {
    on_changed_stage(takes_requests, |stage| {
        stage.edge_is_served()?;
        let before = stage.upstream.count()?;
        let request = "GET / HTTP/1.1\r\nHost: example.net\r\nCF-Ray: 8a1b2c-FRA\r\n\
            Connection: close\r\n\r\n";
        let answer = send_raw(stage, request.as_bytes())?;
        ensure!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
        denied(stage, "host_mismatch", 1)?;
        ensure!(stage.upstream.count()? == before, "the upstream saw it");
        let log = stage.daemon.log();
        ensure!(log.contains("host_mismatch") && log.contains("8a1b2c-FRA"), "{log}");
        Ok(())
    });
}

#[test]
fn a_smuggled_request_is_refused_and_the_upstream_sees_nothing() {
    on_changed_stage(takes_requests, |stage| {
        stage.edge_is_served()?;
        let before = stage.upstream.count()?;
        let request = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\
            Content-Length: 4\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: example.com\r\n\r\n";
        let answer = send_raw(stage, request.as_bytes())?;
        ensure!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        ensure!(
            answer.ends_with("Content-Length and Transfer-Encoding exclude each other.\n"),
            "{answer}"
        );
        denied(stage, "bad_request", 1)?;
        ensure!(stage.upstream.count()? == before, "the upstream saw it");
        Ok(())
    });
}

#[test]
fn while_the_upstream_is_down_requests_get_a_502_and_the_connection_stays_open() {
    on_changed_stage(takes_requests, |stage| {
        stage.edge_is_served()?;
        stage.upstream.stop();
        let mut session = stage.connect()?;
        write!(session, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")?;
        session.flush()?;
        denied(stage, "upstream_unreachable", 1)?;
        stage.upstream = TestUpstream::start(&stage.lab)?;
        write!(session, "GET /back HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")?;
        let answer = String::from_utf8(client::read_to_end(&mut session)?)?;
        ensure!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        ensure!(answer.ends_with("the upstream answers /back\n"), "{answer}");
        Ok(())
    });
}

/// How often the threads of these processes have gone to sleep and been woken.
fn wakeups(processes: &[Process]) -> Result<u64> {
    let mut total = 0;
    for process in processes {
        for thread in std::fs::read_dir(format!("/proc/{}/task", process.0))? {
            let thread = thread?.file_name().to_string_lossy().parse()?;
            total += Process(thread).status("voluntary_ctxt_switches")?.parse::<u64>()?;
        }
    }
    Ok(total)
}

#[test]
fn connections_at_rest_wake_nothing_even_if_their_peers_sent_empty_lines() {
    on_changed_stage(takes_requests, |stage| {
        let mut kept = Vec::new();
        for _ in 0..30 {
            let mut session = stage.connect()?;
            session.write_all(b"GET /hello HTTP/1.1\r\nHost: example.com\r\n\r\n")?;
            let mut answer = [0; 12];
            session.read_exact(&mut answer)?;
            ensure!(answer.starts_with(b"HTTP/1.1 200"));
            session.write_all(b"\r\n")?;
            session.flush()?;
            kept.push(session);
        }
        let daemon = stage.daemon.process()?;
        let terminator: Vec<_> =
            daemon.with_descendants()?.into_iter().filter(|each| each.0 != daemon.0).collect();
        ensure!(!terminator.is_empty(), "there is no terminator process");
        // Buffers are released meanwhile, and deadlines passed once.
        std::thread::sleep(Duration::from_millis(1_500));
        let before = wakeups(&terminator)?;
        std::thread::sleep(Duration::from_secs(2));
        let woken = wakeups(&terminator)? - before;
        ensure!(woken < 30, "{woken} wake-ups in two seconds of rest");
        drop(kept);
        Ok(())
    });
}
