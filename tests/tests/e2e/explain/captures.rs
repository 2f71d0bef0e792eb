//! `aop explain FILE.pcap`: the verdicts for the frames of a capture.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use aop_packets::build::{Extension, Ip, Ipv4, Ipv6, Tcp, tags};
use aop_tests::{AopToml, IpVersion, Lab, TestDaemon};
use serde_json::Value;

use crate::explain::{counters, explained, gets};
use crate::stage::{in_lab, on_changed_stage, on_stage};

#[test]
fn a_capture_is_explained_by_source_port_and_reason() {
    on_stage(|stage| {
        let frames = frames(&stage.lab);
        let path = stage.lab.dir().join("a.pcap");
        fs::write(&path, pcap(1, &frames))?;
        let file = path.to_string_lossy().into_owned();
        let before = counters(stage)?;
        let answer = explained(stage, &[&file])?;
        ensure!(counters(stage)? == before, "a live counter moved");
        let rows = answer["verdicts"].as_array().context("no rows")?;
        let row = |reason: &str| -> Result<&Value> {
            rows.iter().find(|row| row["reason"] == reason).context(format!("no {reason}"))
        };
        ensure!(answer["frames"] == 7 && rows.len() == 5, "{answer}");
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        gets(row("unknown_source")?, "drop", "unknown_source", &stranger)?;
        ensure!(row("unknown_source")?["frames"] == 3 && row("unknown_source")?["port"] == 443);
        gets(row("admitted")?, "pass", "admitted", "2400:cb00::/32")?;
        gets(row("fragment")?, "drop", "fragment", "may carry TCP")?;
        ensure!(row("fragment")?["port"].is_null());
        gets(row("too_deep")?, "drop", "too_deep", "VLAN tags")?;
        gets(row("not_guarded")?, "pass", "not_guarded", "guarded: 443")
    });
}

#[test]
fn a_stranger_on_probation_in_a_capture_stays_on_probation() {
    on_changed_stage(
        |config, _| config.probation_syn = 5,
        |stage| {
            let IpAddr::V4(stranger) = stage.lab.stranger_address(IpVersion::V4) else {
                return Ok(());
            };
            let IpAddr::V4(origin) = stage.lab.origin_at(IpVersion::V4, 443).ip() else {
                return Ok(());
            };
            let ip = Ipv4::between(stranger.octets(), origin.octets());
            let ack = Tcp::syn(443).flags(0x10);
            let path = stage.lab.dir().join("a.pcap");
            let file = path.to_string_lossy().into_owned();
            let reasons = |frames: &[Vec<u8>]| -> Result<Vec<Value>> {
                fs::write(&path, pcap(1, frames))?;
                let answer = explained(stage, &[&file])?;
                let rows = answer["verdicts"].as_array().context("no rows")?;
                Ok(rows.iter().map(|row| row["reason"].clone()).collect())
            };
            ensure!(reasons(&[ip.tcp(&ack)])? == ["unknown_source"]);
            ensure!(reasons(&[ip.tcp(&Tcp::syn(443)), ip.tcp(&ack)])? == ["probation"]);
            Ok(())
        },
    );
}

#[test]
fn a_file_that_is_no_ethernet_capture_is_refused_with_a_remedy() {
    in_lab(|lab| {
        let config = AopToml::firewall_only(lab, 443);
        let daemon = TestDaemon::start(lab, &config)?;
        let refused = |name: &str, bytes: &[u8], way: &str| -> Result<()> {
            let path = lab.dir().join(name);
            fs::write(&path, bytes)?;
            let told = daemon.verb(&["explain", &path.to_string_lossy()])?;
            ensure!(told.code == 1 && told.errors.contains(way), "{name}: {told:?}");
            Ok(())
        };
        refused("cooked.pcap", &pcap(113, &[]), "guarded interface itself")?;
        refused("new.pcap", &[0x0a, 0x0d, 0x0d, 0x0a].repeat(6), "tcpdump -r")?;
        refused("text.pcap", b"no capture at all, but a text", "not a capture")?;
        let told = daemon.verb(&["explain", "missing.pcap"])?;
        ensure!(told.code == 1 && told.errors.contains("is no file that exists"), "{told:?}");
        Ok(())
    });
}

/// Seven frames with five different verdicts.
fn frames(lab: &Lab) -> Vec<Vec<u8>> {
    let to = |family| lab.origin_at(family, 443).ip();
    let syn = Tcp::syn(443);
    let (IpAddr::V4(origin), IpAddr::V6(origin_v6)) = (to(IpVersion::V4), to(IpVersion::V6)) else {
        return Vec::new();
    };
    let IpAddr::V4(stranger) = lab.stranger_address(IpVersion::V4) else { return Vec::new() };
    let IpAddr::V6(edge) = lab.edge_address(IpVersion::V6) else { return Vec::new() };
    let from_stranger = Ipv4::between(stranger.octets(), origin.octets());
    let from_edge = Ipv6::between(edge.octets(), origin_v6.octets());
    vec![
        from_stranger.tcp(&syn),
        from_stranger.tcp(&syn),
        from_edge.clone().with(Extension::destination(0)).tcp(&syn),
        from_stranger.clone().fragment(0, true).tcp(&syn),
        tags(from_edge.tcp(&syn), 6, 0x8100, 0),
        from_stranger.udp(443),
        from_stranger.clone().no_operations(3).tcp(&syn),
    ]
}

/// A capture in the classic pcap format, with this link type.
fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let mut bytes: Vec<u8> = words(&[0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, link]);
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap_or(0);
        bytes.extend::<Vec<u8>>(words(&[0, 0, length, length]));
        bytes.extend(frame);
    }
    bytes
}
