//! Others who have a say about the interface: another program, and the operator.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::{AopToml, wait};
use nix::sys::signal::Signal;

use super::{A_SECOND, becomes, pinned, strangers_meet_silence, warned};
use crate::stage::{SOON, Stage, is_guarded, on_stage};

/// Another program has eth0 while the daemon runs, until `aop unload` with the configuration that is
/// returned. Another instance stands for it: aop knows its own by the pins alone.
pub(crate) fn another_program_takes_eth0(stage: &Stage) -> Result<PathBuf> {
    let other = AopToml {
        pins: stage.lab.bpffs().join("other"),
        runtime: stage.lab.dir().join("run-other"),
        mode: "observe",
        ..stage.config.clone()
    };
    let file = stage.lab.dir().join("other.toml");
    fs::write(&file, other.text())?;
    stage.daemon.signal(Signal::SIGSTOP)?;
    for pin in pinned(stage, "eth0")? {
        fs::remove_file(pin)?;
    }
    wait::until("our program leaves", SOON, || {
        is_guarded(&stage.lab).ok().filter(|guarded| !guarded)
    })?;
    stage.daemon.verb_with(&["load"], &file)?.success()?;
    stage.daemon.signal(Signal::SIGCONT)?;
    becomes(&stage.daemon, "eth0", "foreign")?;
    Ok(file)
}

#[test]
fn another_program_is_named_left_alone_and_followed_when_it_leaves() {
    on_stage(|stage| {
        strangers_meet_silence(stage)?;
        let drops = stage.daemon.status()?.dropped_on("eth0")?;
        let file = another_program_takes_eth0(stage)?;
        let foreign = becomes(&stage.daemon, "eth0", "foreign")?;
        ensure!(!foreign.enforcing && foreign.attach.is_none(), "{foreign:?}");
        warned(&stage.daemon.status()?, &["eth0", "another XDP program", "that of an aop", "id "])?;
        std::thread::sleep(Duration::from_millis(2500));
        becomes(&stage.daemon, "eth0", "foreign")?;
        let told = stage.daemon.log().matches("another XDP program").count();
        ensure!(told == 1, "told {told} times: {}", stage.daemon.log());

        stage.daemon.verb_with(&["unload"], &file)?.success()?;
        becomes(&stage.daemon, "eth0", "attached")?;
        ensure!(stage.daemon.status()?.dropped_on("eth0")? >= drops);
        strangers_meet_silence(stage)
    });
}

#[test]
fn what_the_operator_unloads_stays_unloaded() {
    on_stage(|stage| {
        strangers_meet_silence(stage)?;
        stage.daemon.verb(&["unload"])?.success()?;
        std::thread::sleep(A_SECOND);
        ensure!(!is_guarded(&stage.lab)? && !stage.config.pins.exists());
        warned(&stage.daemon.status()?, &["unloaded", "restart aop"])?;
        stage.daemon.run()?;
        strangers_meet_silence(stage)
    });
}
