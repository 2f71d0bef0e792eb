//! `aop open`: an emergency opening admits a network for a limited time.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aop_tests::child::CommandOutput;
use aop_tests::{IpVersion, Pull, wait};
use serde_json::Value;

use crate::stage::{Stage, on_stage};

/// Fifteen seconds, and more on a busy machine.
const OVER: Duration = Duration::from_secs(25);

/// The /24 of the stranger, with host bits and without.
fn network(stage: &Stage) -> Result<(String, String)> {
    let IpAddr::V4(stranger) = stage.lab.stranger_address(IpVersion::V4) else { bail!("not IPv4") };
    let [a, b, c, _] = stranger.octets();
    Ok((format!("{stranger}/24"), format!("{a}.{b}.{c}.0/24")))
}

fn open(stage: &Stage, line: &[&str]) -> Result<CommandOutput> {
    let line: Vec<&str> = ["open"].iter().chain(line).copied().collect();
    stage.daemon.verb(&line)
}

fn is_served(stage: &Stage) -> Result<()> {
    Pull::by_stranger(&stage.lab, IpVersion::V4).must_be_served()?;
    Ok(())
}

/// Also after the stranger has authenticated: an opening does not drain.
fn meets_silence(stage: &Stage) -> Result<()> {
    stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")
}

fn openings(stage: &Stage) -> Result<Value> {
    Ok(stage.daemon.status()?.json()["openings"].clone())
}

fn expires(stage: &Stage) -> Result<()> {
    wait::until("the opening expires", OVER, || {
        openings(stage).ok().filter(|open| open.as_array().is_some_and(Vec::is_empty)).map(drop)
    })
    .with_context(|| stage.daemon.log())?;
    ensure!(!stage.config.state.join("openings.json").exists());
    meets_silence(stage)
}

#[test]
fn an_opening_admits_only_its_network_is_shown_and_ends_when_closed() {
    on_stage(|stage| {
        meets_silence(stage)?;
        let (spelled, network) = network(stage)?;
        let done = open(stage, &["--from", &spelled, "--for", "1h", "--json"])?;
        ensure!(done.code == 0, "{done:?}");
        is_served(stage)?;
        let other = Pull::by_stranger(&stage.lab, IpVersion::V6).send()?;
        ensure!(other.silent(), "{other}");

        let told: Value = done.json()?;
        ensure!(told["openings"][0]["network"] == *network && told["not_kept"].is_null(), "{told}");
        ensure!(told["openings"] == openings(stage)?, "{told}");
        let shown = stage.daemon.verb(&["status"])?.text();
        let first = shown.lines().find(|line| line.starts_with("! ")).context("no warning")?;
        ensure!(first.contains(&format!("open to {network} for ")), "{shown}");
        let listed = open(stage, &["--list"])?;
        ensure!(String::from_utf8_lossy(&listed.output).contains(&network), "{listed:?}");
        let shown = stage.daemon.verb(&["prefixes", "show"])?.output;
        let shown = String::from_utf8(shown)?;
        ensure!(
            shown.lines().any(|it| it.contains(&network) && it.ends_with("opening")),
            "{shown}"
        );
        ensure!(stage.daemon.log().contains("`aop open`: open to"), "{}", stage.daemon.log());

        stage.daemon.must_reload()?;
        is_served(stage)?;
        ensure!(open(stage, &["--close", &network])?.code == 0);
        expires(stage)?;
        let again = open(stage, &["--close", &network])?;
        ensure!(again.code == 1 && again.errors.contains("is not open"), "{again:?}");
        Ok(())
    });
}

#[test]
fn an_opening_expires_also_after_an_upgrade_or_while_no_daemon_runs() {
    on_stage(|stage| {
        let (_, network) = network(stage)?;
        let for_a_while = ["--from", &network, "--for", "15s"];
        open(stage, &for_a_while)?.success()?;
        let opened = Instant::now();
        stage.daemon.kill();
        stage.daemon.run()?;
        is_served(stage)?;
        stage.daemon.kill();
        // No daemon runs, so there is nothing to observe until the opening has expired.
        wait::until_elapsed(opened, Duration::from_secs(16));
        stage.daemon.run()?;
        expires(stage)?;
        ensure!(
            stage.daemon.log().contains("have expired while aop was stopped"),
            "{}",
            stage.daemon.log()
        );

        ensure!(open(stage, &for_a_while)?.code == 0);
        stage.daemon.upgrade()?;
        is_served(stage)?;
        expires(stage)
    });
}

#[test]
fn an_opening_that_is_too_wide_or_too_long_is_refused() {
    on_stage(|stage| {
        for (from, time, code) in [
            ("0.0.0.0/0", "10m", 1),
            ("192.0.0.0/7", "10m", 1),
            ("2001::/31", "10m", 1),
            ("192.0.2.0/24", "25h", 1),
            ("192.0.2.0/24", "-1m", 2),
            ("example.com", "10m", 2),
        ] {
            let done = open(stage, &["--from", from, &format!("--for={time}")])?;
            ensure!(done.code == code, "{from} for {time}: {done:?}");
        }
        for line in [&["--from", "192.0.2.0/24"][..], &[], &["--list", "--for", "1m"]] {
            ensure!(open(stage, line)?.code == 2, "{line:?}");
        }
        ensure!(openings(stage)? == serde_json::json!([]));
        meets_silence(stage)
    });
}
