//! `aop mode`: mode overrides for all packets, a port, an interface or a site, set at run time.

mod confirmed;
mod persisted;
mod preflight;
mod refused;
mod sites;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_packets::Scene;
use aop_packets::build::{Ip, Ipv4, Tcp};
use aop_tests::client::{self, TlsClient};
use aop_tests::packet_socket::{PacketSocket, hardware_address};
use aop_tests::{AopToml, IpVersion, Lab, Pull, StatusJson, TestDaemon, wait};

use crate::interfaces::{becomes, second_uplink};
use crate::stage::{SOON, Stage, in_lab, on_changed_stage};

/// Runs `aop mode` with these arguments and returns its output. Adds `--force` to `enforce`,
/// because strangers authenticate in these tests, and the preflight would refuse.
fn mode(daemon: &TestDaemon, arguments: &str) -> Result<String> {
    let force = if arguments.starts_with("enforce") { "--force" } else { "" };
    daemon.must_run(&format!("mode {arguments} {force}"))
}

/// Observe mode, with the ports 443 and 8443.
fn two_ports(config: &mut AopToml, _: &Lab) {
    config.mode = "observe";
    config.bind =
        ["0.0.0.0:443", "[::]:443", "0.0.0.0:8443", "[::]:8443"].map(str::to_owned).to_vec();
}

fn stranger_is_served(lab: &Lab, port: u16) -> Result<()> {
    IpVersion::BOTH.into_iter().try_for_each(|family| {
        let outcome = Pull::by_stranger(lab, family).port(port).send()?;
        ensure!(outcome.served(), "port {port}: {outcome}");
        Ok(())
    })
}

fn stranger_meets_silence(lab: &Lab, port: u16) -> Result<()> {
    IpVersion::BOTH.into_iter().try_for_each(|family| {
        let outcome = Pull::by_stranger(lab, family).port(port).send()?;
        ensure!(outcome.silent(), "port {port}: {outcome}");
        Ok(())
    })
}

#[test]
fn an_override_takes_effect_at_once_and_cuts_no_connection() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            let Stage { daemon, lab, .. } = &*stage;
            let client = TlsClient::new(&lab.pki, &lab.pki.edge)?;
            let to = lab.origin_at(IpVersion::V4, 443);
            let mut session = client.open(lab.edge(), to, "example.com")?;
            client::get(&mut session, "/before")?;
            let pid = daemon.pid();

            stranger_is_served(lab, 443)?;
            let observed = daemon.status()?;
            ensure!(observed.packets("would_drop", "unknown_source")? > 0);
            ensure!(observed.packets("drop", "unknown_source")? == 0);

            let said = mode(daemon, "enforce")?;
            ensure!(said.starts_with("enforce\nset by `aop mode` "), "{said}");
            for family in IpVersion::BOTH {
                stage.silences(&Pull::by_stranger(lab, family), "unknown_source")?;
            }
            let enforced = daemon.status()?;
            ensure!(enforced.json()["mode"] == "enforce" && enforced.enforcing("eth0")?);
            let warnings = enforced.warnings()?.join("\n");
            ensure!(warnings.contains("write firewall.mode = \"enforce\""), "{warnings}");
            ensure!(!warnings.contains("the firewall observes"), "{warnings}");
            let would = |status: &StatusJson| status.packets("would_drop", "unknown_source");
            ensure!(would(&enforced)? == would(&observed)?, "would_drop increased in enforce mode");

            let said = mode(daemon, "observe")?;
            ensure!(said == "observe\nas the configuration says\n", "{said}");
            stranger_is_served(lab, 443)?;
            ensure!(!daemon.status()?.enforcing("eth0")?);
            ensure!(client::get(&mut session, "/after")? == b"the upstream answers /after\n");
            ensure!(daemon.pid() == pid && daemon.log().matches(" ready").count() == 1);
            for change in ["general mode: observe → enforce", "general mode: enforce → observe"]
            {
                ensure!(daemon.log().contains(change), "{}", daemon.log());
            }
            Ok(())
        },
    );
}

/// Sends a fragment of a stranger's SYN to port 8443 on the link of the origin.
fn send_fragment(lab: &Lab) -> Result<()> {
    let scene = Scene::FIXED;
    let ends = [hardware_address(lab.origin(), "eth0")?, hardware_address(lab.router(), "origin")?];
    let fragment = Ipv4::between(scene.v4.stranger, scene.v4.origin).fragment(0, true);
    let frame = fragment.tcp(&Tcp::syn(8443));
    let behind = frame.get(12..).context("no Ethernet header")?;
    PacketSocket::open(lab.router(), "origin")?.send(&[ends.as_flattened(), behind].concat())
}

/// A fragment increases the counter of this action by one.
fn fragment_is(stage: &Stage, action: &str) -> Result<()> {
    let before = stage.daemon.status()?.packets(action, "fragment")?;
    send_fragment(&stage.lab)?;
    wait::until(&format!("the fragment is counted as {action}"), SOON, || {
        let now = stage.daemon.status().ok()?.packets(action, "fragment").ok()?;
        (now == before + 1).then_some(())
    })
}

#[test]
fn one_port_enforces_while_the_other_observes_and_fragments_are_dropped() {
    on_changed_stage(two_ports, |stage| {
        stranger_is_served(&stage.lab, 443)?;
        stranger_is_served(&stage.lab, 8443)?;
        fragment_is(stage, "would_drop")?;

        let said = mode(&stage.daemon, "enforce --port 443")?;
        ensure!(said.starts_with("observe; port 443: enforce\n"), "{said}");
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        let before = stage.snapshot()?;
        stranger_is_served(&stage.lab, 8443)?;
        let would = |status: &StatusJson| -> Result<(u64, Option<u64>)> {
            let refused = status.json()["handshakes"]["would_refuse"].as_u64();
            Ok((status.packets("would_drop", "unknown_source")?, refused))
        };
        let (was, is) = (would(before.status())?, would(&stage.daemon.status()?)?);
        ensure!(is.0 > was.0 && is.1 == was.1.map(|count| count + 2), "{was:?}, then {is:?}");
        // The fragment may belong to either port.
        fragment_is(stage, "drop")?;
        for port in [443, 8443] {
            let outcome = Pull::by_edge(&stage.lab, IpVersion::V4).port(port).send()?;
            ensure!(outcome.served(), "the edge on {port}: {outcome}");
        }

        let status = stage.daemon.status()?;
        ensure!(status.json()["mode"] == "observe" && !status.enforcing("eth0")?);
        let own = serde_json::json!([{"port": 443, "mode": "enforce"}]);
        ensure!(status.json()["modes"]["ports"] == own, "{}", status.json()["modes"]);
        let shown = stage.daemon.verb(&["status"])?.output;
        let shown = String::from_utf8(shown)?;
        for line in
            ["in general", "attached, enforcing for some ports", "mode of port 443: enforce"]
        {
            ensure!(shown.contains(line), "nothing of {line}:\n{shown}");
        }

        mode(&stage.daemon, "default --port 443")?;
        stranger_is_served(&stage.lab, 443)
    });
}

#[test]
fn one_interface_enforces_while_the_other_observes_until_it_is_no_longer_guarded() {
    in_lab(|lab| {
        second_uplink(lab, "eth1")?;
        // Answers to packets from eth1 leave by the default route.
        lab.origin().inside(|| {
            ["all", "eth1"].into_iter().try_for_each(|name| {
                fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "0")
            })
        })??;
        let mut config = AopToml::new(lab);
        (config.mode, config.interfaces) = ("observe", vec!["eth0".into(), "eth1".into()]);
        let daemon = TestDaemon::start(lab, &config)?;
        for name in ["eth0", "eth1"] {
            becomes(&daemon, name, "attached")?;
        }
        let first = lab.origin_at(IpVersion::V4, 443);
        let second = "203.0.114.10:443".parse()?;
        let knock = |to| lab.stranger().connect(to, Duration::from_millis(500));
        ensure!(knock(first).is_ok() && knock(second).is_ok(), "both observe");

        mode(&daemon, "enforce --interface eth1")?;
        let before = daemon.status()?;
        ensure!(before.enforcing("eth1")? && !before.enforcing("eth0")?);
        ensure!(knock(first).is_ok() && knock(second).is_err());
        let after = daemon.status()?;
        ensure!(after.dropped_on("eth1")? > before.dropped_on("eth1")?);
        ensure!(after.dropped_on("eth0")? == before.dropped_on("eth0")?);

        config.interfaces = vec!["eth0".into()];
        daemon.write(&config.text())?;
        let said = daemon.reload()?;
        ensure!(said.contains("interface eth1 is not guarded any more"), "{said}");
        let modes = daemon.status()?.json()["modes"].clone();
        ensure!(modes["interfaces"] == serde_json::json!([]) && modes["set_at"].is_null());
        Ok(())
    });
}
