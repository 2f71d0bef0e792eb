//! aop without a terminator: the firewall in front of a port of another server.

use anyhow::{Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, Pull, StatusJson, TestDaemon, TestUpstream};

use crate::stage::{in_lab, is_guarded};

fn guard(lab: &Lab) -> Result<TestDaemon> {
    let config = AopToml::firewall_only(lab, 443);
    TestDaemon::start(lab, &config)
}

#[test]
fn the_port_of_another_server_is_guarded() {
    in_lab(|lab| {
        let server = TestUpstream::listening(lab, "[::]:443")?;
        let pulls = |family| {
            [lab.edge(), lab.stranger()].map(|netns| Pull::bare(lab, netns, family).plain().brief())
        };
        for family in IpVersion::BOTH {
            for pull in pulls(family) {
                ensure!(pull.send()?.served(), "without aop everybody is");
            }
        }
        let mut daemon = guard(lab)?;
        for family in IpVersion::BOTH {
            let [edge, stranger] = pulls(family);
            edge.must_be_served()?;
            let (seen, before) = (server.count()?, daemon.status()?);
            stranger.must_meet_silence()?;
            ensure!(server.count()? == seen);
            let drops = |status: &StatusJson| status.packets("drop", "unknown_source");
            ensure!(drops(&daemon.status()?)? > drops(&before)?);
        }
        ensure!(daemon.status()?.peers()?.is_empty());
        daemon.stop()?;
        ensure!(is_guarded(lab)?);
        daemon.verb(&["unload"])?.success()?;
        ensure!(pulls(IpVersion::V4)[1].send()?.served(), "after unload");
        Ok(())
    });
}

/// Container engines translate packets to a published port before the packet filter of the host.
#[test]
fn a_published_port_that_bypasses_the_packet_filter_of_the_host_is_guarded() {
    in_lab(|lab| {
        let container = lab.publish_a_port(8443)?;
        let server = TestUpstream::listening_in(lab, &container, "0.0.0.0:80")?;
        let pulls = || {
            [lab.edge(), lab.stranger()]
                .map(|netns| Pull::bare(lab, netns, IpVersion::V4).plain().port(8443).brief())
        };
        for pull in pulls() {
            ensure!(pull.send()?.served(), "without aop everybody is, whatever the filter says");
        }
        let config = AopToml::firewall_only(lab, 8443);
        let mut daemon = TestDaemon::start(lab, &config)?;
        let [edge, stranger] = pulls();
        edge.must_be_served()?;
        let seen = server.count()?;
        let outcome = stranger.send()?;
        ensure!(outcome.silent() && server.count()? == seen, "{outcome}");
        ensure!(daemon.status()?.packets("drop", "unknown_source")? > 0);
        daemon.kill();
        ensure!(stranger.send()?.silent() && edge.send()?.served(), "filtered on, and no more");
        Ok(())
    });
}
