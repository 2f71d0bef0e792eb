//! `aop open`: break-glass admits a network for a time, and never for longer.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aop_tests::child::Finished;
use aop_tests::{Family, Pull, wait};
use serde_json::Value;

use crate::stage::{Stage, on_stage};

/// Fifteen seconds, and a busy machine.
const OVER: Duration = Duration::from_secs(25);

/// The /24 of the stranger, spelled with host bits and without.
fn network(stage: &Stage) -> Result<(String, String)> {
    let IpAddr::V4(stranger) = stage.world.stranger_address(Family::V4) else { bail!("not IPv4") };
    let [a, b, c, _] = stranger.octets();
    Ok((format!("{stranger}/24"), format!("{a}.{b}.{c}.0/24")))
}

fn open(stage: &Stage, line: &[&str]) -> Result<Finished> {
    let line: Vec<&str> = ["open"].iter().chain(line).copied().collect();
    stage.daemon.verb(&line)
}

fn is_served(stage: &Stage) -> Result<()> {
    let outcome = Pull::by_stranger(&stage.world, Family::V4).send()?;
    ensure!(outcome.served(), "{outcome}");
    Ok(())
}

/// Also who has authenticated meanwhile: nothing of it drains.
fn meets_silence(stage: &Stage) -> Result<()> {
    stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")
}

fn openings(stage: &Stage) -> Result<Value> {
    Ok(stage.daemon.status()?.json()["openings"].clone())
}

fn ends(stage: &Stage) -> Result<()> {
    wait::until("the opening ends", OVER, || {
        openings(stage).ok().filter(|open| open.as_array().is_some_and(Vec::is_empty)).map(drop)
    })
    .with_context(|| stage.daemon.log())?;
    ensure!(!stage.config.state.join("openings.json").exists());
    meets_silence(stage)
}

#[test]
fn an_opening_admits_its_network_alone_is_shown_and_ends_when_it_is_closed() {
    on_stage(|stage| {
        meets_silence(stage)?;
        let (spelled, network) = network(stage)?;
        let done = open(stage, &["--from", &spelled, "--for", "1h", "--json"])?;
        ensure!(done.code == 0, "{done:?}");
        is_served(stage)?;
        let other = Pull::by_stranger(&stage.world, Family::V6).send()?;
        ensure!(other.silent(), "{other}");

        let told: Value = serde_json::from_slice(&done.output)?;
        ensure!(told["openings"][0]["network"] == *network && told["not_kept"].is_null(), "{told}");
        ensure!(told["openings"] == openings(stage)?, "{told}");
        let shown = String::from_utf8(stage.daemon.verb(&["status"])?.output)?;
        let second = shown.lines().nth(1).context("one line")?;
        ensure!(second.contains(&format!("open to {network} until 2")), "{shown}");
        let listed = open(stage, &["--list"])?;
        ensure!(String::from_utf8_lossy(&listed.output).contains(&network), "{listed:?}");
        let shown = stage.daemon.verb(&["prefixes", "show"])?.output;
        let shown = String::from_utf8(shown)?;
        ensure!(
            shown.lines().any(|it| it.contains(&network) && it.ends_with("opening")),
            "{shown}"
        );
        ensure!(stage.daemon.log().contains("`aop open`: open to"), "{}", stage.daemon.log());

        let reloaded = stage.daemon.reload()?;
        ensure!(!reloaded.contains("not reloaded"), "{reloaded}");
        is_served(stage)?;
        ensure!(open(stage, &["--close", &network])?.code == 0);
        ends(stage)?;
        let again = open(stage, &["--close", &network])?;
        ensure!(again.code == 1 && again.errors.contains("is not open"), "{again:?}");
        Ok(())
    });
}

#[test]
fn an_opening_ends_by_itself_though_the_daemon_was_upgraded_or_dead_at_its_end() {
    on_stage(|stage| {
        let (_, network) = network(stage)?;
        let for_a_while = ["--from", &network, "--for", "15s"];
        ensure!(open(stage, &for_a_while)?.code == 0);
        stage.daemon.kill();
        stage.daemon.run()?;
        is_served(stage)?;
        stage.daemon.kill();
        std::thread::sleep(Duration::from_secs(16));
        stage.daemon.run()?;
        ends(stage)?;
        ensure!(
            stage.daemon.log().contains("have expired while aop was stopped"),
            "{}",
            stage.daemon.log()
        );

        ensure!(open(stage, &for_a_while)?.code == 0);
        stage.daemon.upgrade()?;
        is_served(stage)?;
        ends(stage)
    });
}

#[test]
fn what_is_too_wide_or_too_long_is_not_opened() {
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
