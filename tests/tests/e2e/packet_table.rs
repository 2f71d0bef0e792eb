//! Every shape of the packet table, sent as raw frames to a real listener.
//!
//! The frames first go to a kernel without aop. With aop, exactly the replies of that kernel to
//! admitted sources must remain.

use anyhow::ensure;
use aop_tests::config::PrefixesTable;
use aop_tests::shapes::{OriginLink, PacketTable, VlanTags};
use aop_tests::{AopToml, Lab, TestDaemon, TestUpstream};

use crate::stage::in_lab;

#[test]
fn in_native_mode_strangers_meet_silence_and_admitted_sources_reach_the_kernel() {
    claim("native");
}

#[test]
fn in_generic_mode_strangers_meet_silence_and_admitted_sources_reach_the_kernel() {
    claim("generic");
}

fn claim(attach: &'static str) {
    in_lab(|lab| {
        let (near, far) = ("eth0", "origin");
        let table = PacketTable::without_aop(&Lab::new()?, near, far)?;
        let _listener = TestUpstream::listening(lab, "[::]:443")?;
        let daemon = TestDaemon::start(lab, &config(lab, attach))?;
        table.holds_over(&OriginLink::between(lab, near, far)?, VlanTags::Exact)?;
        let status = daemon.status()?;
        ensure!(status.json()["interfaces"][0]["attach"] == attach, "{}", status.json());
        Ok(())
    });
}

/// The firewall only, in front of a foreign listener, with the prefixes of the scene.
fn config(lab: &Lab, attach: &'static str) -> AopToml {
    let mut config = AopToml::firewall_only(lab, 443);
    config.attach = attach;
    config.prefixes = PrefixesTable::List(vec!["173.245.48.0/20".into(), "2400:cb00::/32".into()]);
    config
}
