//! Before the network is up: the guard stands first, and the daemon takes it over.

use anyhow::{Result, ensure};
use aop_tests::{Config, Daemon, Family, Outcome, Pull, Upstream, World};

use crate::stage::{in_a_world, is_guarded};

fn loaded(world: &World, config: &Config) -> Result<(Daemon, String)> {
    let daemon = Daemon::prepare(world)?;
    daemon.write(&config.text())?;
    let load = daemon.verb(&["load"])?;
    ensure!(load.code == 0, "{load:?}");
    Ok((daemon, load.errors))
}

#[test]
fn a_stranger_meets_silence_after_load_and_run_takes_over() {
    in_a_world(|world| {
        let upstream = Upstream::start(world)?;
        let (mut daemon, _) = loaded(world, &Config::new(world))?;
        ensure!(is_guarded(world)?);
        for family in Family::BOTH {
            let outcome = Pull::by_stranger(world, family).send()?;
            ensure!(outcome.silent(), "{outcome}");
            // The edge's packets pass, and find nobody listening.
            let outcome = Pull::by_edge(world, family).send()?;
            ensure!(matches!(outcome, Outcome::Other(_)), "{outcome}");
        }
        ensure!(upstream.count()? == 0);
        daemon.run()?;
        let status = daemon.status()?;
        ensure!(status.enforcing("eth0")? && status.dropped_on("eth0")? >= 2, "counted from zero");
        let outcome = Pull::by_edge(world, Family::V4).send()?;
        ensure!(outcome.served(), "{outcome}");
        Ok(())
    });
}

#[test]
fn load_needs_no_certificate_no_network_and_no_interface() {
    in_a_world(|world| {
        let mut config = Config::new(world);
        config.site().certificate = world.dir().join("not-there-yet.pem");
        config.interfaces = vec!["eth0".into(), "eth7".into()];
        let mut ip = world.origin().command("ip");
        ensure!(ip.args(["link", "set", "eth0", "down"]).status()?.success());
        let (daemon, said) = loaded(world, &config)?;
        ensure!(said.contains("eth7") && said.contains("skipped"), "{said}");
        ensure!(is_guarded(world)?);
        let unload = daemon.verb(&["unload"])?;
        ensure!(unload.code == 0, "{unload:?}");
        config.interfaces = vec!["auto".into()];
        let (_, said) = loaded(world, &config)?;
        ensure!(said.contains("default route"), "{said}");
        Ok(())
    });
}

#[test]
fn load_leaves_a_running_daemon_alone() {
    in_a_world(|world| {
        let daemon = Daemon::start(world, &Config::new(world))?;
        let generation = daemon.status()?.generation()?;
        let load = daemon.verb(&["load"])?;
        ensure!(load.code == 1 && load.errors.contains("another aop"), "{load:?}");
        ensure!(daemon.status()?.generation()? == generation);
        Ok(())
    });
}
