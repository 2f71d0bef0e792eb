//! Where a claim is tried: a world, an upstream, and a daemon that guards it.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aop_tests::client::{self, Client, Session};
use aop_tests::{Config, Daemon, Family, Outcome, Pull, Status, Upstream, World, child, wait};

/// How long a counter may lag behind what the peer saw.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Tries a claim in a world of its own, or skips it without privilege.
pub(crate) fn in_a_world(claim: impl FnOnce(&World) -> Result<()>) {
    if privileged() {
        let world = World::new().expect("a world");
        if let Err(error) = claim(&world) {
            panic!("{error:#}");
        }
    }
}

/// Tries a claim on a running daemon.
pub(crate) fn on_stage(claim: impl FnOnce(&mut Stage) -> Result<()>) {
    on_changed_stage(|_, _| {}, claim);
}

/// Tries a claim on a daemon whose configuration is changed first.
pub(crate) fn on_changed_stage(
    change: impl FnOnce(&mut Config, &World),
    claim: impl FnOnce(&mut Stage) -> Result<()>,
) {
    if privileged() {
        let world = World::new().expect("a world");
        let mut config = Config::new(&world);
        change(&mut config, &world);
        let upstream = Upstream::start(&world).expect("an upstream");
        let daemon = Daemon::start(&world, &config).expect("a daemon");
        let mut stage = Stage { daemon, upstream, config, world };
        if let Err(error) = claim(&mut stage) {
            panic!("{error:#}");
        }
    }
}

/// Fields drop in order: the daemon, the upstream, then the world around them.
pub(crate) struct Stage {
    pub(crate) daemon: Daemon,
    pub(crate) upstream: Upstream,
    pub(crate) config: Config,
    pub(crate) world: World,
}

/// How everything stood before a pull.
pub(crate) struct Before {
    status: Status,
    connections: usize,
}

impl Stage {
    /// A good peer passes: the edge with its own certificate.
    pub(crate) fn edge_is_served(&self) -> Result<()> {
        let outcome = Pull::by_edge(&self.world, Family::V4).send()?;
        ensure!(outcome.served(), "the good peer met: {outcome}");
        Ok(())
    }

    /// A kept connection of the edge that has been served once.
    pub(crate) fn open(&self) -> Result<Session> {
        let to = self.world.origin_at(Family::V4, 443);
        let client = Client::new(&self.world.pki, &self.world.pki.edge)?;
        let mut session = client.open(self.world.edge(), to, "example.com")?;
        client::get(&mut session, "/")?;
        Ok(session)
    }

    pub(crate) fn before(&self) -> Result<Before> {
        Ok(Before { status: self.daemon.status()?, connections: self.upstream.count()? })
    }

    /// The whole claim of a refused pull: a good peer passes, this one is refused, the upstream saw
    /// nothing of it, and only this reason's counter moved, by one.
    pub(crate) fn refuses(&self, pull: &Pull, reason: &str) -> Result<Outcome> {
        self.edge_is_served()?;
        let before = self.before()?;
        let outcome = pull.send()?;
        ensure!(outcome.refused(), "not refused but: {outcome}");
        self.counted_as(&before, reason, 1)?;
        Ok(outcome)
    }

    /// Since `before`, `count` refusals for `reason`, no other one, no handshake, and no connection
    /// to the upstream.
    pub(crate) fn counted_as(&self, before: &Before, reason: &str, count: u64) -> Result<()> {
        let expected = before.status.refused(reason)? + count;
        wait::until(&format!("{count} more refused as {reason}"), SOON, || {
            let now = self.daemon.status().and_then(|status| status.refused(reason)).ok();
            now.filter(|now| *now >= expected)
        })
        .with_context(|| self.daemon.log())?;
        let now = self.daemon.status()?;
        let total = |status: &Status| -> Result<u64> {
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

    pub(crate) fn upstream_saw_nothing_since(&self, before: &Before) -> Result<()> {
        let connections = self.upstream.connections()?;
        ensure!(connections.len() == before.connections, "the upstream saw: {connections:?}");
        Ok(())
    }

    /// The whole claim of a pull that meets silence: a good peer passes, this one meets silence, no
    /// handshake began, the upstream saw nothing, and the drops counted are of this reason.
    pub(crate) fn silences(&self, pull: &Pull, reason: &str) -> Result<()> {
        self.edge_is_served()?;
        let before = self.before()?;
        let outcome = pull.send()?;
        ensure!(outcome.silent(), "not silence but: {outcome}");
        let now = self.daemon.status()?;
        let drops = now.packets("drop", reason)? - before.status.packets("drop", reason)?;
        ensure!(drops >= 1, "no drop counted as {reason}: {:?}", now.verdicts()?);
        ensure!(now.refusals()? == before.status.refusals()?, "it reached the terminator");
        ensure!(now.accepted()? == before.status.accepted()?, "a handshake was counted");
        self.upstream_saw_nothing_since(&before)
    }
}

impl Before {
    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }
}

/// Whether a program judges the packets of the origin's interface, as the kernel says it.
pub(crate) fn is_guarded(world: &World) -> Result<bool> {
    let mut command = world.origin().command("ip");
    command.args(["link", "show", "eth0"]);
    let shown = child::finish(command, &[], SOON)?;
    Ok(String::from_utf8_lossy(&shown.output).contains("xdp"))
}

/// The whole claim of a start that fails: exit code 1, an error that names all this, and nothing
/// attached or pinned.
pub(crate) fn refuses_to_start(world: &World, daemon: &mut Daemon, named: &[&str]) -> Result<()> {
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
    ensure!(parts.windows(2).all(|two| two[0] != two[1]), "it says things twice: {error}");
    ensure!(!is_guarded(world)?, "a program was attached");
    ensure!(!Config::new(world).pins.exists(), "pins were left");
    Ok(())
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.daemon.log());
        }
    }
}

/// Whether namespaces can be made. If not, says which test is skipped, past the test runner's
/// capture, so that it can be counted.
fn privileged() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must run this as root");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // A lost notice is no reason to fail.
    writeln!(std::io::stderr(), "skipped: {test}: needs root for network namespaces").ok();
    false
}
