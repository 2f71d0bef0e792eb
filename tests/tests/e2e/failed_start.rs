//! A start that fails at any step leaves packets judged exactly as before.

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::{
    IpVersion, Pull,
    child::{self, CommandOutput},
};
use serde_json::Value;

use crate::{
    interfaces::second_uplink,
    stage::{SOON, Stage, on_stage},
};

/// The state of the pinned maps that decides about packets.
pub(crate) fn in_force(stage: &Stage) -> Result<Value> {
    let status: Value = stage.daemon.verb(&["status", "--json"])?.success()?.json()?;
    let prefixes = &status["prefixes"];
    let mut decides = serde_json::json!({
        "mode": status["mode"],
        "modes": status["modes"]["interfaces"],
        "interfaces": status["interfaces"],
    });
    for count in ["v4", "v6", "draining"] {
        decides[count] = prefixes[count].clone();
    }
    Ok(decides)
}

/// Kills the daemon, and writes a configuration with another policy.
fn kill_and_change(stage: &mut Stage) -> Result<()> {
    stage.daemon.kill();
    second_uplink(&stage.lab, "eth1")?;
    stage.config.mode = "observe";
    stage.config.interfaces.push("eth1".into());
    stage.config.extra = vec![stage.lab.stranger_address(IpVersion::V4).to_string() + "/32"];
    stage.daemon.write(&stage.config.text())
}

#[test]
fn a_start_that_fails_after_its_policy_was_written_restores_the_old_one() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        kill_and_change(stage)?;
        let before = in_force(stage)?;
        // Nothing can be renamed to it, which is the last step.
        let socket = stage.config.runtime.join("control.sock");
        fs::remove_file(&socket).context("the socket of a killed daemon")?;
        fs::create_dir_all(socket.join("in-the-way"))?;
        for mode in ["observe", "off"] {
            stage.config.mode = mode;
            stage.daemon.write(&stage.config.text())?;
            let (code, log) = stage.daemon.run_to_end()?;
            ensure!(code == 1 && log.contains("control.sock"), "{code}: {log}");
            ensure!(in_force(stage)? == before, "{} is not {before}", in_force(stage)?);
            Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        }
        Ok(())
    });
}

#[test]
fn a_failed_start_keeps_the_guard_of_an_interface_that_was_renamed_before() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        stage.daemon.kill();
        let rename = "link set eth0 down\nlink set eth0 name wan0\nlink set wan0 up\n";
        stage.lab.origin().ip(rename)?;
        stage.config.interfaces = vec!["wan0".into()];
        stage.daemon.write(&stage.config.text())?;
        let socket = stage.config.runtime.join("control.sock");
        fs::remove_file(&socket).context("the socket of a killed daemon")?;
        fs::create_dir_all(socket.join("in-the-way"))?;
        let (code, log) = stage.daemon.run_to_end()?;
        ensure!(code == 1 && log.contains("control.sock"), "{code}: {log}");
        let interfaces = in_force(stage)?["interfaces"].clone();
        ensure!(
            interfaces[0]["name"] == "wan0" && interfaces[0]["attached"] == true,
            "{interfaces}"
        );
        Ok(())
    });
}

/// Runs `aop load` under strace, with these options.
fn load_under_strace(stage: &Stage, options: &[&str]) -> Result<CommandOutput> {
    let mut strace = stage.lab.origin().command("strace");
    strace.args(["-f", "-qq", "-e", "trace=bpf"]).args(options);
    strace.arg(stage.daemon.program()).args(["load", "--config"]).arg(stage.daemon.config_path());
    child::finish(strace, &[], 4 * SOON)
}

/// The distance of the calls that are made to fail. A start makes several hundred.
const STEP: usize = 23;

#[test]
fn a_start_in_which_a_call_of_bpf_fails_changes_nothing() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let old = stage.config.text();
        kill_and_change(stage)?;
        let (new, before) = (stage.config.text(), in_force(stage)?);
        let restore = |stage: &Stage| {
            ensure!(in_force(stage)?["mode"] == "observe", "the new policy is in force");
            stage.daemon.write(&old)?;
            // Without the unload, prefixes of the new policy would drain.
            stage.daemon.verb(&["unload"])?.success()?;
            stage.daemon.verb(&["load"])?.success()?;
            stage.daemon.write(&new)?;
            let restored = in_force(stage)?;
            ensure!(restored == before, "{restored} is not {before}");
            Ok(())
        };
        let calls = stage.lab.dir().join("calls");
        let output = calls.to_str().context("UTF-8")?;
        load_under_strace(stage, &["-o", output])?.success()?;
        let calls = fs::read_to_string(&calls)?.lines().count();
        restore(stage)?;
        let mut failed = 0;
        for number in (1..=calls).step_by(STEP) {
            let fault = format!("inject=bpf:error=ENOMEM:when={number}");
            let load = load_under_strace(stage, &["-o", "/dev/null", "-e", &fault])?;
            if load.code == 0 {
                restore(stage).with_context(|| format!("call {number}: {load:?}"))?;
                continue;
            }
            failed += 1;
            let after = in_force(stage)?;
            ensure!(after == before, "call {number}: {after} is not {before}: {load:?}");
        }
        ensure!(failed * STEP > calls / 2, "{failed} of {calls} calls mattered");
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()
    });
}
