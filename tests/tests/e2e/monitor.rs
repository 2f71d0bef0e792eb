//! The monitor listener: `/healthz` tells whether aop is alive, `/readyz` whether it can serve.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, TestDaemon, TestUpstream, client, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{SOON, Stage, in_lab, on_changed_stage};

/// aop checks upstreams every five seconds. More on a busy machine.
const SEEN: Duration = Duration::from_secs(15);

pub(crate) const AT: &str = "127.0.0.1:9465";

pub(crate) fn monitored(config: &mut AopToml, _: &Lab) {
    config.tables.push("[monitor]\nlisten = \"127.0.0.1:9465\"");
}

/// The status and the body of the response to `line` on a new connection.
pub(crate) fn ask(stream: impl Read + Write, line: &str) -> Result<(u16, String)> {
    let (head, body) = exchange(stream, &format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"))?;
    let status = head.split(' ').nth(1).with_context(|| head.clone())?;
    Ok((status.parse()?, body))
}

/// The response to one request: its status, its header fields in lower case, and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn to(
        stream: impl Read + Write,
        method: &str,
        path: &str,
        host: &str,
    ) -> Result<Self> {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (head, body) = exchange(stream, &request)?;
        let status = head.split(' ').nth(1).with_context(|| head.clone())?.parse()?;
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Ok(Self { status, fields: fields.collect(), body })
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// The head and the body of the response to `request`.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &str) -> Result<(String, String)> {
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let parts = response.split_once("\r\n\r\n").with_context(|| format!("{response:?}"))?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

fn get(stage: &Stage, path: &str) -> Result<(u16, String)> {
    let stream = client::connect(stage.lab.origin(), AT.parse()?)?;
    ask(stream, &format!("GET {path}"))
}

/// Waits until `/readyz` returns this status and contains `named`. aop caches the response for a
/// second.
fn readiness(stage: &Stage, status: u16, named: &str) -> Result<String> {
    wait::until(&format!("it is {status}: {named}"), SEEN, || {
        let answer = get(stage, "/readyz").ok()?;
        (answer.0 == status && answer.1.contains(named)).then_some(answer.1)
    })
    .with_context(|| format!("{:?}", get(stage, "/readyz")))
}

#[test]
fn a_serving_daemon_is_alive_and_ready_and_serves_no_other_path() {
    on_changed_stage(monitored, |stage| {
        stage.edge_is_served()?;
        ensure!(get(stage, "/healthz")? == (200, "alive\n".into()));
        ensure!(get(stage, "/readyz")? == (200, "ready\n".into()));
        ensure!(get(stage, "/")?.0 == 404);
        let connect = || client::connect(stage.lab.origin(), AT.parse()?);
        ensure!(ask(connect()?, "HEAD /readyz")? == (200, String::new()));
        ensure!(ask(connect()?, "POST /readyz")?.0 == 405);
        let to = stage.lab.origin_at(IpVersion::V4, 9465);
        let from_outside = stage.lab.edge().connect(to, SOON);
        ensure!(from_outside.is_err(), "it is reached from outside");
        let moved = stage.config.text().replace(AT, "127.0.0.1:9466");
        stage.daemon.write(&moved)?;
        ensure!(stage.daemon.reload()?.contains("monitor.listen need a new process"));
        Ok(())
    });
}

#[test]
fn after_sigterm_it_is_not_ready_but_alive_until_the_drain_ends() {
    on_changed_stage(monitored, |stage| {
        let mut session = stage.open()?;
        ensure!(get(stage, "/readyz")?.0 == 200);
        stage.daemon.signal(Signal::SIGTERM)?;
        stage.daemon.wait_for_log("draining")?;
        let (status, body) = get(stage, "/readyz")?;
        ensure!(status == 503 && body.contains("draining"), "{status}: {body}");
        ensure!(get(stage, "/healthz")?.0 == 200);
        client::get(&mut session, "/")?;
        drop(session);
        let code = stage.daemon.wait(Duration::from_secs(10))?;
        ensure!(code == 0, "exit code {code}");
        ensure!(get(stage, "/healthz").is_err(), "somebody answers");
        Ok(())
    });
}

#[test]
fn with_a_hung_terminator_or_without_its_firewall_it_is_not_ready() {
    on_changed_stage(monitored, |stage| {
        stage.edge_is_served()?;
        let terminator = Pid::from_raw(i32::try_from(stage.daemon.terminator()?.0)?);
        kill(terminator, Signal::SIGSTOP)?;
        readiness(stage, 503, "terminator process does not answer")?;
        ensure!(get(stage, "/healthz")?.0 == 200);
        kill(terminator, Signal::SIGCONT)?;
        readiness(stage, 200, "ready")?;
        stage.daemon.verb(&["unload"])?.success()?;
        let told = readiness(stage, 503, "unloaded")?;
        ensure!(told.lines().count() == 1, "{told}");
        Ok(())
    });
}

#[test]
fn an_upstream_that_fails_its_check_is_named_until_it_passes_again() {
    let checked = |config: &mut AopToml, lab: &Lab| {
        monitored(config, lab);
        config.site().rules.push("upstream_check = true".into());
    };
    on_changed_stage(checked, |stage| {
        readiness(stage, 200, "ready")?;
        stage.upstream.stop();
        let told = "site example.com: its upstream tcp://127.0.0.1:8080 fails its check: it cannot \
                    be reached";
        readiness(stage, 503, told)?;
        let status = stage.daemon.status()?;
        ensure!(status.json()["upstreams"][0]["good"] == false, "{}", status.json());
        let warned = status.json()["warnings"].to_string();
        ensure!(warned.contains(told), "{warned}");
        ensure!(stage.daemon.log().contains("an upstream fails its check"));
        ensure!(get(stage, "/healthz")?.0 == 200);
        stage.upstream = TestUpstream::start(&stage.lab)?;
        readiness(stage, 200, "ready")?;

        let site = stage.config.site();
        site.upstream = "http://127.0.0.1:8080".into();
        site.rules = vec!["upstream_check = \"/well\"".into()];
        stage.reload()?;
        readiness(stage, 200, "ready")?;
        stage.config.site().rules = vec!["upstream_check = \"/bytes/none\"".into()];
        stage.reload()?;
        readiness(stage, 503, "fails its check: GET /bytes/none: ")?;
        Ok(())
    });
}

#[test]
fn silent_connections_do_not_block_requests() {
    on_changed_stage(monitored, |stage| {
        let silent: Vec<_> = (0..40)
            .map(|_| client::connect(stage.lab.origin(), AT.parse()?))
            .collect::<Result<_>>()?;
        let begun = Instant::now();
        ensure!(get(stage, "/healthz")?.0 == 200);
        // Forty connections are at most three batches of sixteen, for five seconds each.
        ensure!(begun.elapsed() < Duration::from_secs(18), "{:?}", begun.elapsed());
        drop(silent);
        stage.daemon.stop()?;
        Ok(())
    });
}

#[test]
fn the_socket_of_a_killed_daemon_is_reused_and_a_foreign_one_is_not() {
    in_lab(|lab| {
        let path = lab.dir().join("monitor.sock");
        let table = format!("[monitor]\nlisten = \"unix:{}\"", path.display());
        let text = format!("{}\n{table}\n", AopToml::new(lab).text());
        let mut daemon = TestDaemon::prepare(lab)?;
        daemon.write(&text)?;
        daemon.run()?;
        let ask = || ask(UnixStream::connect(&path)?, "GET /healthz");
        ensure!(ask()? == (200, "alive\n".into()));
        ensure!(fs::metadata(&path)?.permissions().mode() & 0o777 == 0o666);
        daemon.kill();
        ensure!(path.exists() && ask().is_err());
        daemon.run()?;
        ensure!(ask()?.0 == 200);
        daemon.signal(Signal::SIGTERM)?;
        ensure!(daemon.wait(SOON)? == 0 && !path.exists());

        let _other = std::os::unix::net::UnixListener::bind(&path)?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1 && log.contains("monitor.sock") && log.contains("in use"), "{log}");
        fs::remove_file(&path)?;
        fs::write(&path, "a file")?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1 && log.contains("monitor.listen"), "{log}");
        ensure!(fs::read(&path)? == b"a file", "another's file is gone");
        Ok(())
    });
}
