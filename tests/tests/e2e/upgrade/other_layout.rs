//! Upgrades between two builds whose maps have different layouts: peers and counters of the newer
//! one are larger.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_common::layout::LAYOUT_VERSION;
use aop_tests::child;
use aop_tests::{IpVersion, Netns, Pull};
use serde_json::Value;

use super::{is_the_daemon, upgrade};
use crate::stage::{SOON, Stage, is_guarded, on_stage};

/// The program with the newer layout, which `cargo xtask test e2e` builds.
const NEWER: &str = "aop-next-layout";

/// Peers and strangers that come without a pause.
#[derive(Default)]
struct Load {
    done: AtomicBool,
    pulls: AtomicU64,
    knocks: AtomicU64,
}

impl Load {
    fn pull(&self, stage: &Stage, family: IpVersion) -> Result<()> {
        let pull = Pull::by_edge(&stage.lab, family);
        while !self.done.load(Ordering::Relaxed) {
            pull.must_be_served()?;
            self.pulls.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Each attempt of a stranger sends one SYN.
    fn knock(&self, stranger: &Netns, to: SocketAddr) -> Result<()> {
        while !self.done.load(Ordering::Relaxed) {
            let met = stranger.connect(to, Duration::from_millis(20));
            ensure!(met.is_err(), "a stranger connected");
            self.knocks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn wait_for_more(&self) {
        let more = self.pulls.load(Ordering::Relaxed) + 10;
        while self.pulls.load(Ordering::Relaxed) < more && !self.done.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Runs `act` under load.
fn under_load(stage: &Stage, act: impl FnOnce(&Load) -> Result<()>) -> Result<Load> {
    let load = Load::default();
    let stranger = stage.lab.stranger();
    std::thread::scope(|scope| {
        let load = &load;
        let mut threads = Vec::new();
        for family in IpVersion::BOTH {
            threads.push(scope.spawn(move || load.pull(stage, family)));
            let to = stage.lab.origin_at(family, 443);
            threads.push(scope.spawn(move || load.knock(stranger, to)));
        }
        let acted = act(load);
        load.done.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        }
        acted
    })?;
    Ok(load)
}

/// Replaces the program of the daemon by the output of this shell command, which gets the path of
/// the newer program as `$1`.
fn replace_by(stage: &Stage, script: &str) -> Result<()> {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("rm -f $0 && {script} && chmod 755 $0")]);
    command.arg(stage.daemon.program()).arg(child::built(NEWER)?);
    child::finish(command, &[], SOON)?.success()?;
    Ok(())
}

/// The document of `aop VERB --json`, by the newer program.
fn newer(stage: &Stage, verb: &str) -> Result<Value> {
    let mut command = stage.lab.origin().command(child::built(NEWER)?);
    command.args([verb, "--json", "--config"]).arg(stage.daemon.config_path());
    child::finish(command, &[], SOON)?.success()?.json()
}

fn counted(status: &Value, action: &str, reason: &str) -> u64 {
    let verdicts = status["verdicts"].as_array().into_iter().flatten();
    let same = verdicts.filter(|it| it["action"] == action && it["reason"] == reason);
    same.filter_map(|it| it["packets"].as_u64()).sum()
}

fn layouts(stage: &Stage) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(&stage.config.pins)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[test]
fn a_build_with_another_layout_takes_over_under_load_and_loses_nothing() {
    on_stage(|stage| {
        stage.daemon.kill();
        stage.daemon.use_a_copy("aop")?;
        stage.daemon.run()?;
        stage.edge_is_served()?;
        stage.silences_strangers()?;
        stage.daemon.verb(&["open", "--from", "203.0.113.7", "--for", "10m"])?.success()?;
        let before: Value = stage.daemon.verb(&["status", "--json"])?.success()?.json()?;
        let known: Value = stage.daemon.verb(&["peers", "--json"])?.success()?.json()?;
        let load = under_load(stage, |load| {
            load.wait_for_more();
            replace_by(stage, "cp $1 $0")?;
            upgrade(stage)?.success()?;
            load.wait_for_more();
            Ok(())
        })?;
        ensure!(is_guarded(&stage.lab)?);
        ensure!(layouts(stage)? == [format!("v{}", LAYOUT_VERSION + 1)], "{:?}", layouts(stage)?);
        let after = newer(stage, "status")?;
        for same in ["/mode", "/openings", "/prefixes/v4", "/prefixes/v6", "/prefixes/draining"] {
            let (before, after) = (before.pointer(same), after.pointer(same));
            ensure!(before.is_some() && after == before, "{same}: {before:?} then {after:?}");
        }
        // Packets that are counted at the moment of the conversion may be missing.
        let dropped = |status| counted(status, "drop", "unknown_source");
        let (knocks, lost) = (load.knocks.into_inner(), 20);
        ensure!(
            dropped(&after) + lost >= dropped(&before) + knocks,
            "{} then {} after {knocks} attempts",
            dropped(&before),
            dropped(&after)
        );
        let (peers, known) = (newer(stage, "peers")?, &known["peers"][0]);
        let same = peers["peers"]
            .as_array()
            .and_then(|all| all.iter().find(|peer| peer["address"] == known["address"]));
        let same = same.context("the peer was lost")?;
        ensure!(same["first_seen"] == known["first_seen"], "{same} is not {known}");
        ensure!(same["handshakes"].as_u64() > known["handshakes"].as_u64(), "{same}");

        replace_by(stage, &format!("cp {} $0", child::built("aop")?.display()))?;
        let back = upgrade(stage)?;
        ensure!(back.code == 1, "{back:?}");
        for word in ["newer aop", "aop unload", "continues to serve"] {
            ensure!(back.errors.contains(word), "nothing of {word}: {}", back.errors);
        }
        stage.edge_is_served()?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()
    });
}

#[test]
fn a_takeover_of_another_layout_in_which_a_call_of_bpf_fails_changes_nothing() {
    /// The distance of the calls that are made to fail. A start makes several hundred: while maps
    /// are carried over, while the program is loaded, while it is attached.
    const STEP: usize = 97;
    on_stage(|stage| {
        stage.daemon.kill();
        stage.daemon.use_a_copy("aop")?;
        stage.daemon.run()?;
        stage.silences_strangers()?;
        let before = layouts(stage)?;
        let mut failed = 0;
        for call in (3..).step_by(STEP) {
            let strace = format!(
                "strace -f -qq -o /dev/null -e trace=bpf -e inject=bpf:error=ENOMEM:when={call}"
            );
            let script = format!("printf '#!/bin/sh\\nexec {strace} %s \"$@\"\\n' \"$1\" >$0");
            replace_by(stage, &script)?;
            let mut upgraded = None;
            under_load(stage, |load| {
                load.wait_for_more();
                upgraded = Some(upgrade(stage)?);
                load.wait_for_more();
                Ok(())
            })
            .with_context(|| format!("call {call}"))?;
            let upgraded = upgraded.context("it ran")?;
            if upgraded.code == 0 {
                // It makes fewer calls, or can do without this one.
                break;
            }
            ensure!(upgraded.errors.contains("the kernel refuses"), "call {call}: {upgraded:?}");
            failed += 1;
            ensure!(layouts(stage)? == before, "call {call}: {:?}", layouts(stage)?);
            let now = stage.daemon.status()?;
            ensure!(now.enforcing("eth0")?, "call {call}: {:?}", now.json());
            is_the_daemon(stage, stage.daemon.process()?)?;
        }
        ensure!(failed >= 3, "only {failed} calls mattered");
        ensure!(is_guarded(&stage.lab)?);
        stage.edge_is_served()?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()
    });
}

/// Runs `aop load` of the newer build, and kills it at this system call.
fn load_newer_until(stage: &Stage, call: &str) -> Result<()> {
    let mut strace = stage.lab.origin().command("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL")]);
    strace.arg(child::built(NEWER)?).args(["load", "--config"]).arg(stage.daemon.config_path());
    let killed = child::finish(strace, &[], 2 * SOON)?;
    ensure!(killed.code != 0, "it was not killed at {call}");
    Ok(())
}

#[test]
fn an_interrupted_takeover_is_taken_back_by_the_older_build_and_ended_by_the_newer_one() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let older = layouts(stage)?;
        stage.daemon.kill();
        let guarded = |stage: &Stage| -> Result<()> {
            ensure!(is_guarded(&stage.lab)?);
            Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()
        };
        // Before the first link moves, and after it.
        for call in ["rename,renameat,renameat2:when=1", "bpf:when=400"] {
            load_newer_until(stage, call)?;
            guarded(stage).with_context(|| call.to_owned())?;
            ensure!(layouts(stage)?.len() == 2, "{call}: {:?}", layouts(stage)?);
            stage.daemon.run().with_context(|| call.to_owned())?;
            ensure!(layouts(stage)? == older, "{call}: {:?}", layouts(stage)?);
            stage.silences_strangers()?;
            stage.edge_is_served()?;
            stage.daemon.kill();
        }
        // While the older pins are removed.
        load_newer_until(stage, "unlink,unlinkat:when=3")?;
        guarded(stage)?;
        ensure!(layouts(stage)?.len() == 2, "{:?}", layouts(stage)?);
        let mut load = stage.lab.origin().command(child::built(NEWER)?);
        load.args(["load", "--config"]).arg(stage.daemon.config_path());
        child::finish(load, &[], SOON)?.success()?;
        ensure!(layouts(stage)? == [format!("v{}", LAYOUT_VERSION + 1)], "{:?}", layouts(stage)?);
        guarded(stage)
    });
}
