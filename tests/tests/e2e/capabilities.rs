//! aop as an ordinary user with the fewest possible capabilities.

use std::fs;
use std::os::unix::fs::chown;

use anyhow::{Result, ensure};
use aop_tests::process::TcpState;
use aop_tests::{AopToml, IpVersion, Lab, Pull, TestDaemon, TestUpstream, wait};
use nix::sys::signal::Signal;

use crate::stage::{SOON, in_lab, is_guarded};

const NOBODY: u32 = 65534;
const NEEDED: [&str; 4] = ["bpf", "net_admin", "perfmon", "net_bind_service"];

/// A daemon of an ordinary user, who owns the directory of the pins.
fn prepare(lab: &Lab, config: &AopToml, kept: &[&str]) -> Result<TestDaemon> {
    if !config.pins.exists() {
        fs::create_dir(&config.pins)?;
    }
    chown(&config.pins, Some(NOBODY), Some(NOBODY))?;
    let mut daemon = TestDaemon::with_config(lab, config)?;
    daemon.keep_capabilities(kept)?;
    Ok(daemon)
}

#[test]
fn an_ordinary_user_with_four_capabilities_can_guard_and_serve() {
    in_lab(|lab| {
        let config = AopToml::new(lab);
        let mut daemon = prepare(lab, &config, &NEEDED)?;
        let upstream = TestUpstream::start(lab)?;
        daemon.run()?;
        for family in IpVersion::BOTH {
            Pull::by_edge(lab, family).must_be_served()?;
            Pull::by_stranger(lab, family).must_meet_silence()?;
        }
        let before = daemon.status()?;
        ensure!(before.enforcing("eth0")? && before.dropped_on("eth0")? > 0);
        let (guard, terminator) = (daemon.process()?, daemon.terminator()?);
        let held = terminator.capabilities()?;
        // Only CAP_SETPCAP could reduce the bounding set. It gives no privilege.
        ensure!(held.iter().all(|(set, _)| *set == "CapBnd"), "it holds {held:x?}");
        ensure!(terminator.status("NoNewPrivs")? == "1" && terminator.is_hidden()?);
        ensure!(terminator.user()? == NOBODY && guard.user()? == NOBODY);
        ensure!(guard.capabilities()?.iter().any(|(set, _)| *set == "CapEff"));
        ensure!(guard.tcp_sockets()?.iter().all(|state| *state == TcpState::LISTEN));
        // The successor has the same capabilities.
        let new = daemon.upgrade()?;
        ensure!(new.user()? == NOBODY && new.capabilities()? == guard.capabilities()?);
        ensure!(daemon.wait(SOON)? == 0, "{}", daemon.log());
        new.signal(Signal::SIGKILL)?;
        wait::until("it is gone", SOON, || new.tcp_sockets().is_err().then_some(()))?;
        daemon.run()?;
        ensure!(daemon.status()?.dropped_on("eth0")? >= before.dropped_on("eth0")?);
        ensure!(upstream.count()? == 2);
        let unload = daemon.verb(&["unload"])?;
        ensure!(unload.code == 0 && !is_guarded(lab)?, "{unload:?}");
        Ok(())
    });
}

#[test]
fn each_missing_capability_is_named() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        for missing in NEEDED {
            let kept: Vec<&str> = NEEDED.into_iter().filter(|kept| *kept != missing).collect();
            // The machine may let every user bind low ports. This namespace must not.
            lab.origin()
                .inside(|| fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024"))??;
            let mut daemon = prepare(lab, &config, &kept)?;
            let (code, log) = daemon.run_to_end()?;
            let named = format!("CAP_{}", missing.to_uppercase());
            ensure!(code == 1 && log.contains(&named), "without {missing}: {code}: {log}");
            ensure!(!is_guarded(lab)?);
        }
        config.bind.clear();
        config.sites.clear();
        config.ports = vec![443];
        prepare(lab, &config, &NEEDED[..3])?.run()
    });
}
