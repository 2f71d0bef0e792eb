//! An ordinary user with as few capabilities as can be.

use std::fs;
use std::os::unix::fs::chown;

use anyhow::{Result, ensure};
use aop_tests::process::TcpState;
use aop_tests::{Config, Daemon, Family, Pull, Upstream, World, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{SOON, in_a_world, is_guarded};

const NOBODY: u32 = 65534;
const NEEDED: [&str; 4] = ["bpf", "net_admin", "perfmon", "net_bind_service"];

/// A daemon of an ordinary user, to whom the directory for pins was given.
fn prepare(world: &World, config: &Config, kept: &[&str]) -> Result<Daemon> {
    if !config.pins.exists() {
        fs::create_dir(&config.pins)?;
    }
    chown(&config.pins, Some(NOBODY), Some(NOBODY))?;
    let mut daemon = Daemon::prepare(world)?;
    daemon.write(&config.text())?;
    daemon.keep_capabilities(kept)?;
    Ok(daemon)
}

#[test]
fn an_ordinary_user_with_four_capabilities_guards_and_serves() {
    in_a_world(|world| {
        let config = Config::new(world);
        let mut daemon = prepare(world, &config, &NEEDED)?;
        let upstream = Upstream::start(world)?;
        daemon.run()?;
        for family in Family::BOTH {
            let outcome = Pull::by_edge(world, family).send()?;
            ensure!(outcome.served(), "{outcome}");
            let outcome = Pull::by_stranger(world, family).send()?;
            ensure!(outcome.silent(), "{outcome}");
        }
        let before = daemon.status()?;
        ensure!(before.enforcing("eth0")? && before.dropped_on("eth0")? > 0);
        let (guard, terminator) = (daemon.process()?, daemon.terminator()?);
        let held = terminator.capabilities()?;
        // Only CAP_SETPCAP could shrink the bounding set; nothing can be gained from it.
        ensure!(held.iter().all(|(set, _)| *set == "CapBnd"), "it holds {held:x?}");
        ensure!(terminator.status("NoNewPrivs")? == "1" && terminator.is_hidden()?);
        ensure!(terminator.user()? == NOBODY && guard.user()? == NOBODY);
        ensure!(guard.capabilities()?.iter().any(|(set, _)| *set == "CapEff"));
        ensure!(guard.tcp_sockets()?.iter().all(|state| *state == TcpState::LISTEN));
        // Who takes over has as much, and no more.
        let new = daemon.upgrade()?;
        ensure!(new.user()? == NOBODY && new.capabilities()? == guard.capabilities()?);
        ensure!(daemon.wait(SOON)? == 0, "{}", daemon.log());
        kill(Pid::from_raw(i32::try_from(new.0)?), Signal::SIGKILL)?;
        wait::until("it is gone", SOON, || new.tcp_sockets().is_err().then_some(()))?;
        daemon.run()?;
        ensure!(daemon.status()?.dropped_on("eth0")? >= before.dropped_on("eth0")?);
        ensure!(upstream.count()? == 2);
        let unload = daemon.verb(&["unload"])?;
        ensure!(unload.code == 0 && !is_guarded(world)?, "{unload:?}");
        Ok(())
    });
}

#[test]
fn each_missing_capability_is_named() {
    in_a_world(|world| {
        let mut config = Config::new(world);
        for missing in NEEDED {
            let kept: Vec<&str> = NEEDED.into_iter().filter(|kept| *kept != missing).collect();
            // The machine may let everybody bind low ports; nobody's namespace must.
            world
                .origin()
                .inside(|| fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024"))??;
            let mut daemon = prepare(world, &config, &kept)?;
            let (code, log) = daemon.run_to_end()?;
            let named = format!("CAP_{}", missing.to_uppercase());
            ensure!(code == 1 && log.contains(&named), "without {missing}: {code}: {log}");
            ensure!(!is_guarded(world)?);
        }
        config.bind.clear();
        config.sites.clear();
        config.ports = vec![443];
        prepare(world, &config, &NEEDED[..3])?.run()
    });
}
