//! Ways around the firewall.

use std::fs;
use std::net::UdpSocket;

use anyhow::{Result, ensure};
use aop_tests::{AopToml, Child, Lab, TestUpstream, child, wait};

use super::diagnose;
use crate::interfaces::other_programs::another_program_takes_eth0;
use crate::stage::{SOON, is_guarded, on_changed_stage, on_stage};

/// Adds a second interface with these addresses.
fn second_interface(lab: &Lab, addresses: &[&str]) -> Result<()> {
    lab.origin().ip("link add eth1 type veth peer name far1")?;
    lab.origin().ip("link set eth1 up")?;
    for address in addresses {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        lab.origin().ip(&format!("address add {address} dev eth1{nodad}"))?;
    }
    Ok(())
}

#[test]
fn an_ipv6_address_on_an_unguarded_interface_is_named() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        second_interface(&stage.lab, &["2001:db8:77::1/64"])?;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("exposed")?;
        ensure!(found["about"] == "eth1", "{found}");
        ensure!(found["evidence"].to_string().contains("2001:db8:77::1"), "{found}");
        ensure!(found["cure"].to_string().contains("firewall.interfaces"), "{found}");
        stage.lab.origin().ip("link set eth1 down")?;
        diagnose(&stage.daemon, &[])?.is_clean()
    });
}

#[test]
fn a_private_address_on_an_unguarded_interface_is_only_information() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        second_interface(&stage.lab, &["172.17.0.1/16"])?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        ensure!(diagnosis.tells("exposed")?["about"] == "eth1");
        Ok(())
    });
}

#[test]
fn a_tunnel_that_is_up_is_named_with_or_without_an_address() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let tunnel = "link add vxlan0 type vxlan id 7 dev eth0 dstport 4789";
        stage.lab.origin().ip(tunnel)?;
        diagnose(&stage.daemon, &[])?.is_good("exposed")?;
        stage.lab.origin().ip("link set vxlan0 up")?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        let found = diagnosis.finds_only("unfiltered")?;
        ensure!(found["about"] == "vxlan0", "{found}");
        let cure = found["cure"].to_string();
        ensure!(cure.contains("ip link set vxlan0 down") && cure.contains("interfaces"), "{cure}");
        ensure!(diagnosis.is_good("exposed").is_err(), "there is a way around");
        stage.daemon.write(&stage.config.text().replace("[\"eth0\"]", "[\"eth0\", \"vxlan0\"]"))?;
        stage.daemon.reload()?;
        diagnose(&stage.daemon, &[])?.is_good("exposed")
    });
}

#[test]
fn a_spare_interface_without_an_address_is_named_while_it_is_up() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        second_interface(&stage.lab, &[])?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let told = diagnosis.tells("unfiltered")?;
        ensure!(told["evidence"].to_string().contains("eth1: "), "{told}");
        ensure!(told["evidence"].to_string().contains("without an address"), "{told}");
        ensure!(diagnosis.is_good("exposed").is_err(), "there is a way around");
        stage.lab.origin().ip("link set eth1 down")?;
        diagnose(&stage.daemon, &[])?.is_good("exposed")
    });
}

#[test]
fn a_udp_socket_on_a_guarded_port_is_named_while_udp_passes() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let udp = stage.lab.origin().inside(|| UdpSocket::bind("[::]:443"))??;
        let found = diagnose(&stage.daemon, &[])?;
        ensure!(found.finds_only("udp")?["cure"].to_string().contains("udp = \\\"drop\\\""));
        let text = stage.config.text().replace("[firewall]\n", "[firewall]\nudp = \"drop\"\n");
        stage.daemon.write(&text)?;
        stage.daemon.reload()?;
        diagnose(&stage.daemon, &[])?.is_clean()?;
        drop(udp);
        Ok(())
    });
}

#[test]
fn an_upstream_that_listens_on_all_addresses_is_named() {
    let elsewhere = |config: &mut AopToml, _: &Lab| {
        config.site().upstream = "tcp://127.0.0.1:8081".into();
    };
    on_changed_stage(elsewhere, |stage| {
        let mut open = TestUpstream::listening(&stage.lab, "0.0.0.0:8081")?;
        stage.edge_is_served()?;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("upstream")?;
        ensure!(found["about"] == "127.0.0.1:8081", "{found}");
        let told = found.to_string();
        ensure!(told.contains("aop-upstream") && told.contains("127.0.0.1:8081:8081"), "{told}");
        ensure!(!told.contains("firewall.ports"), "{told}");
        // If the port is guarded, all customers of the CDN still reach it.
        let text = stage.config.text().replace("[firewall]\n", "[firewall]\nports = [443, 8081]\n");
        stage.daemon.write(&text)?;
        stage.daemon.reload()?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let told = diagnosis.tells("upstream")?;
        ensure!(told["said"].to_string().contains("every customer of the CDN"), "{told}");
        ensure!(told["cure"].to_string().contains("only on 127.0.0.1:8081"), "{told}");
        open.stop();
        let _closed = TestUpstream::listening(&stage.lab, "127.0.0.1:8081")?;
        diagnose(&stage.daemon, &[])?.is_clean()
    });
}

#[test]
fn other_open_ports_are_listed_with_their_owner() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let _other = TestUpstream::listening(&stage.lab, "0.0.0.0:9090")?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let told = diagnosis.tells("other_ports")?["evidence"].to_string();
        ensure!(told.contains("9090 (aop-upstream)"), "{told}");
        Ok(())
    });
}

#[test]
fn a_port_that_docker_publishes_is_a_finding_of_its_own() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        // The doctor recognizes the proxy of Docker by its name.
        let proxy = stage.lab.dir().join("docker-proxy");
        fs::copy(child::built("aop-upstream")?, &proxy)?;
        let file = |name: &str| stage.lab.dir().join(name);
        let line = [proxy, "0.0.0.0:9091".into(), file("proxy.journal")];
        let _proxy = Child::serve(stage.lab.origin(), &line, &file("proxy.log"))?;
        wait::until("it listens", SOON, || file("proxy.journal").exists().then_some(()))?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let told = diagnosis.tells("published_port")?;
        ensure!(told["about"] == "9091", "{told}");
        ensure!(told["cure"].to_string().contains("-p 127.0.0.1:9091"), "{told}");
        Ok(())
    });
}

#[test]
fn a_guarded_port_in_the_ephemeral_range_is_named() {
    let high = |config: &mut AopToml, _: &Lab| config.bind.push("0.0.0.0:40443".into());
    on_changed_stage(high, |stage| {
        stage.edge_is_served()?;
        let set = |name: &'static str, value: &'static str| {
            let path = format!("/proc/sys/net/ipv4/{name}");
            stage.lab.origin().inside(move || fs::write(path, value))
        };
        set("ip_local_port_range", "32768 60999")??;
        set("ip_local_reserved_ports", "8080")??;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("ephemeral_port")?;
        ensure!(found["about"] == "40443", "{found}");
        ensure!(found["commands"].to_string().contains("reserved_ports=8080,40443"), "{found}");
        set("ip_local_reserved_ports", "8080,40443")??;
        diagnose(&stage.daemon, &[])?.is_clean()
    });
}

#[test]
fn a_listener_whose_port_is_not_guarded_is_named() {
    on_changed_stage(
        |config, _| config.ports = vec![8443],
        |stage| {
            let found = diagnose(&stage.daemon, &[])?;
            let found = found.finds_only("listener_port")?;
            ensure!(found["about"] == "443", "{found}");
            Ok(())
        },
    );
}

#[test]
fn a_foreign_xdp_program_is_named() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let other = another_program_takes_eth0(stage)?;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds("foreign_program")?;
        ensure!(found["about"] == "eth0", "{found}");
        ensure!(found["evidence"].to_string().contains("that of an aop"), "{found}");
        stage.daemon.verb_with(&["unload"], &other)?.success()?;
        wait::until("ours is back", SOON, || is_guarded(&stage.lab).ok().filter(|it| *it))?;
        diagnose(&stage.daemon, &[])?.is_clean()
    });
}

#[test]
fn a_firewall_that_was_unloaded_under_the_daemon_is_named() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.daemon.verb(&["unload"])?.success()?;
        diagnose(&stage.daemon, &[])?.finds("firewall")?;
        Ok(())
    });
}
