//! Another program, or the operator, takes the interface from aop.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use aop_tests::{AopToml, wait};
use nix::sys::signal::Signal;

use super::{ONE_CHECK, becomes, pinned, warned};
use crate::stage::{SOON, Stage, is_guarded, on_stage};

/// Attaches a foreign program to eth0 while the daemon runs. `aop unload` with the returned
/// configuration detaches it. A second aop serves as the foreign program: aop recognizes its own
/// program by the pins.
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
fn a_foreign_program_is_named_and_not_replaced_until_it_leaves() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let drops = stage.daemon.status()?.dropped_on("eth0")?;
        let file = another_program_takes_eth0(stage)?;
        let foreign = becomes(&stage.daemon, "eth0", "foreign")?;
        ensure!(!foreign.enforcing && foreign.attach.is_none(), "{foreign:?}");
        warned(&stage.daemon.status()?, &["eth0", "another XDP program", "that of an aop", "id "])?;
        // Proves that nothing changes and nothing is logged again at the next check of the
        // interfaces.
        std::thread::sleep(ONE_CHECK);
        becomes(&stage.daemon, "eth0", "foreign")?;
        let told = stage.daemon.log().matches("another XDP program").count();
        ensure!(told == 1, "told {told} times: {}", stage.daemon.log());

        stage.daemon.verb_with(&["unload"], &file)?.success()?;
        becomes(&stage.daemon, "eth0", "attached")?;
        ensure!(stage.daemon.status()?.dropped_on("eth0")? >= drops);
        stage.silences_strangers()
    });
}

#[test]
fn after_unload_by_the_operator_nothing_is_attached_again() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        stage.daemon.verb(&["unload"])?.success()?;
        // Proves that aop does not attach it again at the next check of the interfaces.
        std::thread::sleep(ONE_CHECK);
        ensure!(!is_guarded(&stage.lab)? && !stage.config.pins.exists());
        warned(&stage.daemon.status()?, &["unloaded", "restart aop"])?;
        stage.daemon.run()?;
        stage.silences_strangers()
    });
}
