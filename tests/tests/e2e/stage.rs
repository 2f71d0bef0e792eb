//! A stage: a lab with an upstream and a running daemon on it, and the claims that many tests make.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aop_tests::client::{self, TlsClient, TlsSession};
use aop_tests::{
    AopToml, IpVersion, Lab, Pull, PullOutcome, StatusJson, TestDaemon, TestUpstream, child, wait,
};

/// How long a counter may lag behind what the peer sees.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Runs `claim` in a new lab, without a daemon. Skips it without privilege.
pub(crate) fn in_lab(claim: impl FnOnce(&Lab) -> Result<()>) {
    if privileged() {
        let lab = Lab::new().expect("a lab");
        if let Err(error) = claim(&lab) {
            panic!("{error:#}");
        }
    }
}

/// Runs `claim` on a stage with the usual configuration.
pub(crate) fn on_stage(claim: impl FnOnce(&mut Stage) -> Result<()>) {
    on_changed_stage(|_, _| {}, claim);
}

/// Runs `claim` on a stage. `change` changes the configuration before the daemon starts.
pub(crate) fn on_changed_stage(
    change: impl FnOnce(&mut AopToml, &Lab),
    claim: impl FnOnce(&mut Stage) -> Result<()>,
) {
    if privileged() {
        let lab = Lab::new().expect("a lab");
        let mut config = AopToml::new(&lab);
        change(&mut config, &lab);
        let upstream = TestUpstream::start(&lab).expect("an upstream");
        let daemon = TestDaemon::start(&lab, &config).expect("a daemon");
        let mut stage = Stage { daemon, upstream, config, lab };
        if let Err(error) = claim(&mut stage) {
            panic!("{error:#}");
        }
    }
}

/// The fields drop in this order: the daemon and the upstream before the lab.
pub(crate) struct Stage {
    pub(crate) daemon: TestDaemon,
    pub(crate) upstream: TestUpstream,
    pub(crate) config: AopToml,
    pub(crate) lab: Lab,
}

/// The counters of the daemon and of the upstream at one moment.
pub(crate) struct Snapshot {
    status: StatusJson,
    connections: usize,
}

impl Stage {
    /// The good peer is served: the edge with its certificate.
    pub(crate) fn edge_is_served(&self) -> Result<()> {
        let outcome = Pull::by_edge(&self.lab, IpVersion::V4).send()?;
        ensure!(outcome.served(), "the good peer was not served but: {outcome}");
        Ok(())
    }

    /// A TLS connection of the edge for `example.com`, without a request yet.
    pub(crate) fn connect(&self) -> Result<TlsSession> {
        let to = self.lab.origin_at(IpVersion::V4, 443);
        let client = TlsClient::new(&self.lab.pki, &self.lab.pki.edge)?;
        client.open(self.lab.edge(), to, "example.com")
    }

    /// The same, after one request that was served.
    pub(crate) fn open(&self) -> Result<TlsSession> {
        let mut session = self.connect()?;
        client::get(&mut session, "/")?;
        Ok(session)
    }

    /// Writes the configuration of the stage and reloads it, which must succeed. Returns the log of
    /// the reload.
    pub(crate) fn reload(&self) -> Result<String> {
        self.daemon.write(&self.config.text())?;
        self.daemon.must_reload()
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot { status: self.daemon.status()?, connections: self.upstream.count()? })
    }

    /// The whole claim that a pull is refused: the good peer is served, this pull is refused, the
    /// upstream sees nothing of it, and only the counter of `reason` increases, by one.
    pub(crate) fn refuses(&self, pull: &Pull, reason: &str) -> Result<PullOutcome> {
        self.edge_is_served()?;
        let before = self.snapshot()?;
        let outcome = pull.must_be_refused()?;
        self.counts_refused(&before, reason, 1)?;
        Ok(outcome)
    }

    /// Since `before`, there are `count` more refusals for `reason`, none for another reason, no
    /// handshake, and no connection to the upstream.
    pub(crate) fn counts_refused(&self, before: &Snapshot, reason: &str, count: u64) -> Result<()> {
        let expected = before.status.refused(reason)? + count;
        wait::until(&format!("{count} more are refused as {reason}"), SOON, || {
            let now = self.daemon.status().and_then(|status| status.refused(reason)).ok();
            now.filter(|now| *now >= expected)
        })
        .with_context(|| self.daemon.log())?;
        let now = self.daemon.status()?;
        let total = |status: &StatusJson| -> Result<u64> {
            Ok(status.refusals()?.into_iter().map(|(_, count)| count).sum())
        };
        ensure!(
            total(&now)? == total(&before.status)? + count,
            "others moved: {:?}",
            now.refusals()?
        );
        ensure!(now.accepted()? == before.status.accepted()?, "counted as accepted too");
        self.upstream_saw_nothing_since(before)
    }

    pub(crate) fn upstream_saw_nothing_since(&self, before: &Snapshot) -> Result<()> {
        let connections = self.upstream.connections()?;
        ensure!(connections.len() == before.connections, "the upstream saw: {connections:?}");
        Ok(())
    }

    /// The whole claim that a pull meets silence: the good peer is served, this pull gets no
    /// answer, no handshake begins, the upstream sees nothing, and the drops are counted for
    /// `reason`.
    pub(crate) fn silences(&self, pull: &Pull, reason: &str) -> Result<()> {
        self.edge_is_served()?;
        let before = self.snapshot()?;
        pull.must_meet_silence()?;
        let now = self.daemon.status()?;
        let drops = now.packets("drop", reason)? - before.status.packets("drop", reason)?;
        ensure!(drops >= 1, "no drop counted as {reason}: {:?}", now.verdicts()?);
        ensure!(now.refusals()? == before.status.refusals()?, "it reached the terminator");
        ensure!(now.accepted()? == before.status.accepted()?, "a handshake was counted");
        self.upstream_saw_nothing_since(&before)
    }

    /// As [`silences`](Self::silences), for a pull of the stranger over both IP versions.
    pub(crate) fn silences_strangers(&self) -> Result<()> {
        IpVersion::BOTH.into_iter().try_for_each(|version| {
            self.silences(&Pull::by_stranger(&self.lab, version), "unknown_source")
        })
    }
}

impl Snapshot {
    pub(crate) fn status(&self) -> &StatusJson {
        &self.status
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }
}

/// Whether the kernel says that an XDP program is attached to the interface of the origin.
pub(crate) fn is_guarded(lab: &Lab) -> Result<bool> {
    let mut command = lab.origin().command("ip");
    command.args(["link", "show", "eth0"]);
    Ok(child::finish(command, &[], SOON)?.text().contains("xdp"))
}

/// The whole claim that a start fails: exit code 1, an error that contains all of `named`, and
/// nothing attached or pinned.
pub(crate) fn refuses_to_start(lab: &Lab, daemon: &mut TestDaemon, named: &[&str]) -> Result<()> {
    let (code, log) = daemon.run_to_end()?;
    ensure!(code == 1, "exit code {code}: {log}");
    for word in named {
        ensure!(log.contains(word), "nothing of {word}: {log}");
    }
    ensure!(!log.contains("panicked"), "{log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.starts_with("aop: ")).collect();
    let [error] = errors[..] else { bail!("not one error: {log}") };
    let mut parts: Vec<&str> = error.split(": ").filter(|part| part.len() > 20).collect();
    parts.sort_unstable();
    ensure!(parts.windows(2).all(|two| two[0] != two[1]), "it repeats itself: {error}");
    ensure!(!is_guarded(lab)?, "a program was attached");
    ensure!(!AopToml::new(lab).pins.exists(), "pins were left");
    Ok(())
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the log of the daemon\n{}", self.daemon.log());
        }
    }
}

/// Whether this process can create namespaces. If not, the test counts as skipped.
fn privileged() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(!in_ci(), "CI must run this as root");
    skip("needs root for network namespaces");
    false
}

pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

/// Prints which test is skipped and why. It writes past the capture of the test runner, so that the
/// line is visible although the test passes.
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // In one write, so that lines of parallel tests do not mix. An error is no reason to fail.
    std::io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).ok();
}
