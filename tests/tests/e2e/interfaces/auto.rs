//! `auto`: the interfaces with a default route.

use std::time::Duration;

use anyhow::ensure;
use aop_tests::wait;

use super::{ADDRESSES, becomes, pinned, second_uplink};
use crate::stage::on_changed_stage;

#[test]
fn auto_follows_the_default_route_and_renamed_interfaces() {
    on_changed_stage(
        |config, _| config.interfaces = vec!["auto".into()],
        |stage| {
            stage.silences_strangers()?;
            second_uplink(&stage.lab, "wan.1")?;
            ensure!(stage.daemon.status()?.interface("wan.1")?.is_none(), "it has no route");
            stage.lab.origin().ip("route add default via 203.0.114.1 metric 7\n")?;
            becomes(&stage.daemon, "wan.1", "attached")?;
            stage.edge_is_served()?;
            stage
                .lab
                .origin()
                .ip("link set wan.1 down\nlink set wan.1 name wan2\nlink set wan2 up\n\
                 route add default via 203.0.114.1 metric 7\n")?;
            becomes(&stage.daemon, "wan2", "attached")?;
            // An interface that is up without a default route is detached after a while.
            stage.lab.origin().ip("route delete default via 203.0.114.1\n")?;
            wait::until("wan2 is detached", Duration::from_secs(20), || {
                let status = stage.daemon.status().ok()?;
                (status.interface("wan2").ok()?.is_none()).then_some(())
            })?;
            ensure!(pinned(stage, "wan2")?.is_empty());
            becomes(&stage.daemon, "eth0", "attached").map(drop)
        },
    );
}

#[test]
fn auto_keeps_its_interface_when_no_interface_has_a_default_route() {
    on_changed_stage(
        |config, _| config.interfaces = vec!["auto".into()],
        |stage| {
            stage.silences_strangers()?;
            let lines = "route delete default via 203.0.113.1\n\
                         route delete default via 2001:db8:0:10::1\n";
            stage.lab.origin().ip(lines)?;
            std::thread::sleep(Duration::from_millis(1500));
            ensure!(stage.daemon.status()?.enforcing("eth0")?);
            // A restart does not detach it either.
            stage.daemon.kill();
            stage.daemon.run()?;
            ensure!(stage.daemon.status()?.enforcing("eth0")?);
            stage.lab.origin().ip(ADDRESSES)?;
            stage.silences_strangers()
        },
    );
}
