//! `auto`: the Ethernet interfaces over which the host can be reached.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{Lab, child, wait};
use serde_json::Value;

use super::{ADDRESSES, ONE_CHECK, becomes, pinned, second_uplink};
use crate::stage::{SOON, Stage, is_guarded, on_changed_stage};

/// A stage with `interfaces = ["auto"]`.
fn on_auto_stage(body: impl FnOnce(&mut Stage) -> Result<()>) {
    on_changed_stage(|config, _| config.interfaces = vec!["auto".into()], body);
}

#[test]
fn auto_follows_interfaces_that_appear_are_renamed_and_disappear() {
    on_auto_stage(|stage| {
        stage.silences_strangers()?;
        // No route leads over it.
        second_uplink(&stage.lab, "wan.1")?;
        becomes(&stage.daemon, "wan.1", "attached")?;
        stage.edge_is_served()?;
        stage
            .lab
            .origin()
            .ip("link set wan.1 down\nlink set wan.1 name wan2\nlink set wan2 up\n")?;
        becomes(&stage.daemon, "wan2", "attached")?;
        stage.lab.origin().ip("link delete wan2\n")?;
        wait::until("wan2 is forgotten", Duration::from_secs(20), || {
            let status = stage.daemon.status().ok()?;
            (status.interface("wan2").ok()?.is_none()).then_some(())
        })?;
        ensure!(pinned(stage, "wan2")?.is_empty());
        becomes(&stage.daemon, "eth0", "attached").map(drop)
    });
}

/// The modes of single interfaces.
fn own_modes(stage: &Stage) -> Result<Value> {
    Ok(stage.daemon.status()?.json()["modes"]["interfaces"].clone())
}

#[test]
fn the_mode_of_an_interface_follows_it_to_another_name_also_while_aop_is_stopped() {
    on_auto_stage(|stage| {
        stage.silences_strangers()?;
        second_uplink(&stage.lab, "wan.1")?;
        becomes(&stage.daemon, "wan.1", "attached")?;
        stage.daemon.verb(&["mode", "observe"])?.success()?;
        let enforce = ["mode", "enforce", "--interface", "wan.1", "--force"];
        stage.daemon.verb(&enforce)?.success()?;
        let modes = own_modes(stage)?;
        let under = |name: &str| {
            let text = modes.to_string().replace("wan.1", name);
            serde_json::from_str::<Value>(&text).context("JSON")
        };
        let rename = |from: &str, to: &str| {
            let lines =
                format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n");
            stage.lab.origin().ip(&lines)
        };
        rename("wan.1", "wan2")?;
        becomes(&stage.daemon, "wan2", "attached")?;
        ensure!(own_modes(stage)? == under("wan2")?, "{} was {modes}", own_modes(stage)?);
        stage.daemon.kill();
        rename("wan2", "wan3")?;
        stage.daemon.run()?;
        ensure!(own_modes(stage)? == under("wan3")?, "{} was {modes}", own_modes(stage)?);
        stage.daemon.run()?;
        ensure!(own_modes(stage)? == under("wan3")?, "it was not stored");
        Ok(())
    });
}

/// Adds the interface of a VPN, which has no Ethernet header.
fn add_tunnel(lab: &Lab) -> Result<()> {
    // A container may lack the device of a driver that its kernel has.
    let device = "mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200";
    shell(lab, device)?;
    lab.origin().ip("tuntap add tun0 mode tun\n\
         address add 172.31.0.2/24 dev tun0\n\
         link set tun0 up\n")
}

fn shell(lab: &Lab, script: &str) -> Result<()> {
    let mut shell = lab.origin().command("sh");
    shell.args(["-c", script]);
    child::finish(shell, &[], SOON)?.success().map(drop)
}

#[test]
fn a_tunnel_that_takes_the_default_route_is_named_and_takes_no_guard_away() {
    on_auto_stage(|stage| {
        stage.silences_strangers()?;
        add_tunnel(&stage.lab)?;
        let origin = stage.lab.origin();
        origin.ip("route add default dev tun0 metric 1\n")?;
        stage.daemon.wait_for_log("the interface cannot be guarded")?;
        // Longer than an interface is kept that does not qualify any more.
        std::thread::sleep(Duration::from_secs(12));
        becomes(&stage.daemon, "eth0", "attached")?;
        let screen = stage.daemon.must_run("status")?;
        ensure!(screen.contains("enforcing on 1 of 2: tun0 cannot be guarded"), "{screen}");
        ensure!(stage.daemon.status()?.json()["unguardable"] == serde_json::json!(["tun0"]));
        origin.ip("route delete default dev tun0 metric 1\n")?;
        stage.silences_strangers()
    });
}

#[test]
fn a_default_route_over_a_tunnel_in_another_table_stops_neither_start_nor_load() {
    on_auto_stage(|stage| {
        add_tunnel(&stage.lab)?;
        stage.lab.origin().ip("route add default dev tun0 table 51820\n")?;
        stage.daemon.kill();
        stage.daemon.verb(&["unload"])?.success()?;
        stage.daemon.verb(&["load"])?.success()?;
        ensure!(is_guarded(&stage.lab)?);
        stage.daemon.run()?;
        ensure!(stage.daemon.status()?.enforcing("eth0")?);
        stage.silences_strangers()
    });
}

#[test]
fn a_default_route_by_a_nexthop_object_is_followed() {
    on_auto_stage(|stage| {
        stage.silences_strangers()?;
        let origin = stage.lab.origin();
        shell(&stage.lab, "echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode")?;
        // A bridge without a card is left out unless it carries a default route.
        origin.ip("link add br0 type bridge\naddress add 198.51.100.1/24 dev br0\n\
                   link set br0 up\n")?;
        std::thread::sleep(ONE_CHECK);
        ensure!(stage.daemon.status()?.interface("br0")?.is_none());
        origin.ip("nexthop add id 5 dev br0\nroute add default nhid 5 metric 9\n")?;
        becomes(&stage.daemon, "br0", "attached").map(drop)
    });
}

#[test]
fn auto_keeps_its_interface_when_no_interface_has_a_default_route() {
    on_auto_stage(|stage| {
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
    });
}
