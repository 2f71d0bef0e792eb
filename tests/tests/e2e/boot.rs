//! `aop load` before the network is up: the firewall enforces first, and the daemon takes it over.

use anyhow::{Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, Pull, PullOutcome, TestDaemon, TestUpstream, wait};

use crate::{
    interfaces::ADDRESSES,
    stage::{SOON, in_lab, is_guarded},
};

fn loaded(lab: &Lab, config: &AopToml) -> Result<(TestDaemon, String)> {
    let daemon = TestDaemon::with_config(lab, config)?;
    let load = daemon.verb(&["load"])?.success()?;
    Ok((daemon, load.errors))
}

#[test]
fn after_load_a_stranger_meets_silence_and_run_takes_over() {
    in_lab(|lab| {
        let upstream = TestUpstream::start(lab)?;
        let (mut daemon, _) = loaded(lab, &AopToml::new(lab))?;
        ensure!(is_guarded(lab)?);
        for family in IpVersion::BOTH {
            Pull::by_stranger(lab, family).must_meet_silence()?;
            // The packets of the edge pass, but there is no listener yet.
            let outcome = Pull::by_edge(lab, family).send()?;
            ensure!(matches!(outcome, PullOutcome::Other(_)), "{outcome}");
        }
        ensure!(upstream.count()? == 0);
        daemon.run()?;
        let status = daemon.status()?;
        ensure!(status.enforcing("eth0")? && status.dropped_on("eth0")? >= 2, "counted from zero");
        Pull::by_edge(lab, IpVersion::V4).must_be_served()?;
        Ok(())
    });
}

#[test]
fn load_needs_no_certificate_no_network_and_no_interface() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        config.site().certificate = lab.dir().join("not-there-yet.pem");
        config.interfaces = vec!["eth0".into(), "eth7".into()];
        let mut ip = lab.origin().command("ip");
        ensure!(ip.args(["link", "set", "eth0", "down"]).status()?.success());
        let (_daemon, said) = loaded(lab, &config)?;
        ensure!(said.contains("eth7") && said.contains("does not exist"), "{said}");
        ensure!(is_guarded(lab)?);
        Ok(())
    });
}

#[test]
fn load_guards_what_auto_guarded_last_before_it_is_up() {
    in_lab(|lab| {
        let config = AopToml { interfaces: vec!["auto".into()], ..AopToml::new(lab) };
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        let before_the_network = "link set eth0 down\naddress flush dev eth0\n";
        lab.origin().ip(before_the_network)?;
        let said = daemon.verb(&["load"])?.success()?.errors;
        ensure!(said.contains("no interface can be guarded"), "{said}");
        ensure!(!is_guarded(lab)?);
        daemon.verb(&["unload"])?.success()?;
        lab.origin().ip(ADDRESSES)?;
        daemon.run()?;
        let known = lab.dir().join("state/interfaces.json");
        wait::until("the names are stored", SOON, || known.exists().then_some(()))?;
        // As a boot: the pins are gone.
        daemon.kill();
        daemon.verb(&["unload"])?.success()?;
        lab.origin().ip(before_the_network)?;
        daemon.verb(&["load"])?.success()?;
        ensure!(is_guarded(lab)?);
        lab.origin().ip(ADDRESSES)?;
        for family in IpVersion::BOTH {
            Pull::by_stranger(lab, family).must_meet_silence()?;
        }
        Ok(())
    });
}

#[test]
fn load_is_refused_while_a_daemon_runs() {
    in_lab(|lab| {
        let daemon = TestDaemon::start(lab, &AopToml::new(lab))?;
        let generation = daemon.status()?.generation()?;
        let load = daemon.verb(&["load"])?;
        ensure!(load.code == 1 && load.errors.contains("another aop"), "{load:?}");
        ensure!(daemon.status()?.generation()? == generation);
        Ok(())
    });
}
