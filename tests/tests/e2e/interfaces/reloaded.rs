//! A reload that changes the interfaces.

use anyhow::{Result, ensure};
use aop_tests::{IpVersion, Pull};

use super::{becomes, pinned, second_uplink};
use crate::stage::{Stage, on_stage};

fn reloads(stage: &mut Stage, interfaces: &[&str]) -> Result<String> {
    stage.config.interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
    stage.daemon.write(&stage.config.text())?;
    stage.daemon.reload()
}

#[test]
fn a_reload_attaches_new_interfaces_and_detaches_removed_ones() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        second_uplink(&stage.lab, "eth1")?;
        let before = pinned(stage, "eth0")?;
        let said = reloads(stage, &["eth0", "eth1"])?;
        ensure!(!said.contains("not reloaded"), "{said}");
        for name in ["eth0", "eth1"] {
            becomes(&stage.daemon, name, "attached")?;
        }
        ensure!(pinned(stage, "eth0")? == before);
        stage.silences_strangers()?;
        let said = reloads(stage, &["eth1"])?;
        ensure!(!said.contains("not reloaded"), "{said}");
        ensure!(stage.daemon.status()?.interface("eth0")?.is_none());
        ensure!(pinned(stage, "eth0")?.is_empty());
        becomes(&stage.daemon, "eth1", "attached").map(drop)
    });
}

#[test]
fn a_reload_with_an_interface_that_cannot_be_guarded_changes_nothing() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        second_uplink(&stage.lab, "eth1")?;
        let generation = stage.daemon.status()?.generation()?;
        stage.config.extra = vec![stage.lab.stranger_address(IpVersion::V4).to_string() + "/32"];
        let said = reloads(stage, &["eth1", "eth7"])?;
        ensure!(said.contains("not reloaded") && said.contains("eth7"), "{said}");
        let status = stage.daemon.status()?;
        ensure!(status.generation()? == generation && status.interface("eth1")?.is_none());
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")
    });
}
