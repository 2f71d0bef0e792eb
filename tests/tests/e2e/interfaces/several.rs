//! Several interfaces, and the modes that their drivers support.

use std::time::Duration;

use anyhow::ensure;
use aop_tests::client::{self, TlsClient};
use aop_tests::{AopToml, IpVersion, Netns, TestDaemon};

use super::{becomes, second_uplink};
use crate::stage::{in_lab, on_changed_stage, refuses_to_start};

#[test]
fn several_interfaces_are_guarded_and_counted_separately() {
    in_lab(|lab| {
        second_uplink(lab, "eth1")?;
        let mut config = AopToml::new(lab);
        config.interfaces = vec!["eth0".into(), "eth1".into(), "lo".into()];
        let daemon = TestDaemon::start(lab, &config)?;
        // The loopback driver has no native mode.
        for (name, attach) in [("eth0", "native"), ("eth1", "native"), ("lo", "generic")] {
            let found = becomes(&daemon, name, "attached")?;
            ensure!(found.enforcing && found.attach.as_deref() == Some(attach), "{found:?}");
        }
        let second = "203.0.114.10:443".parse()?;
        for (to, on, off) in
            [(lab.origin_at(IpVersion::V4, 443), "eth0", "eth1"), (second, "eth1", "eth0")]
        {
            let before = daemon.status()?;
            let knock = lab.stranger().connect(to, Duration::from_millis(100));
            ensure!(knock.is_err());
            let after = daemon.status()?;
            ensure!(after.dropped_on(on)? > before.dropped_on(on)?, "not counted on {on}");
            ensure!(after.dropped_on(off)? == before.dropped_on(off)?, "counted on {off} too");
        }
        Ok(())
    });
}

#[test]
fn an_attach_mode_that_the_driver_refuses_is_an_error_if_it_is_configured() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        (config.interfaces, config.attach) = (vec!["eth0".into(), "lo".into()], "native");
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        refuses_to_start(lab, &mut daemon, &["lo", "native", "firewall.attach"])
    });
}

#[test]
fn jumbo_frames_are_filtered_in_native_mode() {
    on_changed_stage(
        |config, lab| {
            let big = |netns: &Netns, name: &str| netns.ip(&format!("link set {name} mtu 9000\n"));
            for (netns, name) in [
                (lab.origin(), "eth0"),
                (lab.router(), "origin"),
                (lab.router(), "edge"),
                (lab.edge(), "eth0"),
            ] {
                big(netns, name).expect("an MTU");
            }
            config.attach = "native";
        },
        |stage| {
            let eth0 = becomes(&stage.daemon, "eth0", "attached")?;
            ensure!(eth0.attach.as_deref() == Some("native"), "{eth0:?}");
            // A request in one segment of more than two pages: a frame in several buffers.
            let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            let mut session = client.open(stage.lab.edge(), to, "example.com")?;
            let path = format!("/{}", "x".repeat(8500));
            let body = client::get(&mut session, &path)?;
            ensure!(String::from_utf8_lossy(&body).contains(&path), "not the whole request");
            stage.silences_strangers()
        },
    );
}
