//! aop without a terminator: the firewall alone, before a port that another server serves.

use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::{Config, Daemon, Family, Pull, Status, Upstream, World};
use nix::sys::signal::Signal;

use crate::stage::{in_a_world, is_guarded};

fn guard(world: &World) -> Result<Daemon> {
    let mut config = Config::new(world);
    config.bind.clear();
    config.sites.clear();
    config.ports = vec![443];
    Daemon::start(world, &config)
}

#[test]
fn the_port_of_another_server_is_guarded() {
    in_a_world(|world| {
        let server = Upstream::listening(world, "[::]:443")?;
        let pulls = |family| {
            [world.edge(), world.stranger()]
                .map(|place| Pull::bare(world, place, family).plain().brief())
        };
        for family in Family::BOTH {
            for pull in pulls(family) {
                ensure!(pull.send()?.served(), "without aop everybody is");
            }
        }
        let mut daemon = guard(world)?;
        for family in Family::BOTH {
            let [edge, stranger] = pulls(family);
            ensure!(edge.send()?.served());
            let (seen, before) = (server.count()?, daemon.status()?);
            let outcome = stranger.send()?;
            ensure!(outcome.silent(), "{outcome}");
            ensure!(server.count()? == seen);
            let drops = |status: &Status| status.packets("drop", "unknown_source");
            ensure!(drops(&daemon.status()?)? > drops(&before)?);
        }
        ensure!(daemon.status()?.peers()?.is_empty());
        daemon.signal(Signal::SIGTERM)?;
        ensure!(daemon.wait(Duration::from_secs(5))? == 0);
        ensure!(is_guarded(world)?);
        ensure!(daemon.verb(&["unload"])?.code == 0);
        ensure!(pulls(Family::V4)[1].send()?.served(), "after unload everybody is again");
        Ok(())
    });
}

/// Container engines translate a published port's packets before the host's own filter sees them.
#[test]
fn a_port_that_is_published_around_the_hosts_filter_is_guarded() {
    in_a_world(|world| {
        let container = world.publish_a_port(8443)?;
        let server = Upstream::listening_in(world, &container, "0.0.0.0:80")?;
        let pulls = || {
            [world.edge(), world.stranger()]
                .map(|place| Pull::bare(world, place, Family::V4).plain().port(8443).brief())
        };
        for pull in pulls() {
            ensure!(pull.send()?.served(), "without aop everybody is, whatever the filter says");
        }
        let mut config = Config::new(world);
        config.bind.clear();
        config.sites.clear();
        config.ports = vec![8443];
        let mut daemon = Daemon::start(world, &config)?;
        let [edge, stranger] = pulls();
        ensure!(edge.send()?.served());
        let seen = server.count()?;
        let outcome = stranger.send()?;
        ensure!(outcome.silent() && server.count()? == seen, "{outcome}");
        ensure!(daemon.status()?.packets("drop", "unknown_source")? > 0);
        daemon.kill();
        ensure!(stranger.send()?.silent() && edge.send()?.served(), "filtered on, and no more");
        Ok(())
    });
}
