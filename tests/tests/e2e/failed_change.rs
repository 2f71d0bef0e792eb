//! A change of a running daemon that fails at any step leaves packets judged exactly as before.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use aop_tests::child::CommandOutput;
use aop_tests::{IpVersion, Process, Pull};
use nix::sys::signal::Signal;

use crate::failed_start::in_force;
use crate::stage::{Stage, on_changed_stage};

/// The distance of the calls that are made to fail. A change makes some dozens.
const STEP: usize = 23;

/// Lets the call of bpf with this number fail, counted from now on.
fn fail_call(stage: &Stage, number: usize) -> Result<Child> {
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "trace=bpf", "-e"]);
    strace.arg(format!("inject=bpf:error=ENOMEM:when={number}"));
    strace.args(["-p", &stage.daemon.process()?.0.to_string()]);
    let mut tracer = strace.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let told = tracer.stderr.take().context("a pipe")?;
    let mut lines = BufReader::new(told).lines();
    let attached = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("attached")));
    attached.context("strace did not attach")??;
    // Nobody reads further lines.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(tracer)
}

/// `change` fails at many of its calls of bpf, and then nothing has changed. `undo` undoes it after
/// a success.
fn fails_completely(
    stage: &Stage,
    change: impl Fn() -> Result<CommandOutput>,
    undo: impl Fn() -> Result<()>,
) -> Result<()> {
    let before = in_force(stage)?;
    let mut failed = 0;
    for number in (1..).step_by(STEP) {
        let mut tracer = fail_call(stage, number)?;
        let done = change();
        Process(tracer.id()).signal(Signal::SIGINT)?;
        tracer.wait()?;
        let done = done?;
        if done.code == 0 {
            undo()?;
            // A look at the host may have made the call that failed.
            if number > 3 * STEP {
                break;
            }
            continue;
        }
        failed += 1;
        let after = in_force(stage)?;
        ensure!(after == before, "call {number}: {after} is not {before}: {done:?}");
    }
    ensure!(failed > 0, "no call mattered");
    let after = in_force(stage)?;
    ensure!(after == before, "{after} is not {before}");
    Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
    stage.edge_is_served()
}

#[test]
fn a_switch_an_opening_and_a_reload_in_which_a_call_of_bpf_fails_change_nothing() {
    on_changed_stage(
        |config, _| config.admission_drain = "0s",
        |stage| {
            stage.silences_strangers()?;
            let verb = |line: &[&str]| stage.daemon.verb(line);
            let must = |line: &[&str]| stage.daemon.verb(line)?.success().map(drop);
            let observe = || verb(&["mode", "observe"]);
            fails_completely(stage, observe, || must(&["mode", "default"])).context("mode")?;

            let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
            let open = || verb(&["open", "--from", &stranger, "--for", "10m"]);
            let close = || must(&["open", "--close", &stranger]);
            fails_completely(stage, open, close).context("open")?;

            let old = stage.config.text();
            let new = old.replace("mode = \"enforce\"", "mode = \"observe\"");
            ensure!(new != old);
            let reload = || {
                stage.daemon.write(&new)?;
                verb(&["reload"])
            };
            let undo = || {
                stage.daemon.write(&old)?;
                must(&["reload"])
            };
            fails_completely(stage, reload, undo).context("reload")
        },
    );
}
