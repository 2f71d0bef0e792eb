//! Admission by address: prefixes, extra prefixes, observe mode, and the second check of the
//! address in the terminator.

use std::net::IpAddr;

use anyhow::{Context, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, IpVersion, Lab, Pull, StatusJson, TestDaemon, TestUpstream};

use crate::stage::{Stage, in_lab, on_changed_stage, on_stage};

fn host_prefix(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

fn stranger_prefixes(lab: &Lab) -> Vec<String> {
    IpVersion::BOTH.map(|family| host_prefix(lab.stranger_address(family))).to_vec()
}

#[test]
fn the_edge_with_its_certificate_is_served_and_counted_as_a_peer() {
    on_stage(|stage| {
        for family in IpVersion::BOTH {
            let before = stage.snapshot()?;
            let outcome = Pull::by_edge(&stage.lab, family).path("/hello").send()?;
            ensure!(outcome.body() == b"the upstream answers /hello\n", "{outcome}");
            let now = stage.daemon.status()?;
            ensure!(now.accepted()? == before.status().accepted()? + 1);
            ensure!(now.refusals()? == before.status().refusals()?);
            let admitted = |status: &StatusJson| status.packets("pass", "admitted");
            ensure!(admitted(&now)? > admitted(before.status())?);
            ensure!(stage.upstream.count()? == before.connections() + 1);
            let peer = stage.lab.edge_address(family);
            ensure!(now.handshakes_of(peer)? == 1, "{:?}", now.peers()?);
        }
        let status = stage.daemon.status()?;
        ensure!(status.peers()?.iter().all(|peer| peer.site.as_deref() == Some("example.com")));
        ensure!(status.enforcing("eth0")?);
        Ok(())
    });
}

#[test]
fn a_stranger_with_a_stolen_certificate_meets_silence() {
    on_stage(|stage| {
        for family in IpVersion::BOTH {
            stage.silences(&Pull::by_stranger(&stage.lab, family), "unknown_source")?;
        }
        Ok(())
    });
}

#[test]
fn refusals_from_admitted_addresses_are_counted_separately() {
    on_stage(|stage| {
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate();
        for count in 1..=2 {
            stage.refuses(&pull, "certificate_required")?;
            let admitted = stage.daemon.status()?.refusals_from_admitted()?;
            ensure!(admitted == [("certificate_required".to_owned(), count)], "{admitted:?}");
        }
        // The edge is not banned, and the operator learns the likely cause.
        stage.edge_is_served()?;
        let told = stage.daemon.verb(&["status"])?.text();
        let line = told.lines().find(|line| line.contains("from admitted addresses"));
        let line = line.context("no line")?;
        let words = ["2 of these", "certificate_required, site example.com"];
        ensure!(words.iter().all(|word| line.contains(word)), "{line}");
        ensure!(told.contains("another tenant of the CDN"), "{told}");
        Ok(())
    });
}

#[test]
fn observe_mode_passes_and_counts_packets_that_enforce_mode_would_drop() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            for family in IpVersion::BOTH {
                stage.edge_is_served()?;
                let before = stage.snapshot()?;
                Pull::by_stranger(&stage.lab, family).must_be_served()?;
                let would = |status: &StatusJson| status.packets("would_drop", "unknown_source");
                let now = stage.daemon.status()?;
                ensure!(would(&now)? > would(before.status())?);
                ensure!(now.packets("drop", "unknown_source")? == 0);
                ensure!(!now.enforcing("eth0")?);
            }
            Ok(())
        },
    );
}

#[test]
fn in_observe_mode_a_certificate_is_still_required() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            let pull = Pull::by_stranger(&stage.lab, IpVersion::V4).no_certificate();
            stage.refuses(&pull, "certificate_required")?;
            let admitted = stage.daemon.status()?.refusals_from_admitted()?;
            ensure!(admitted.is_empty(), "a stranger's: {admitted:?}");
            Ok(())
        },
    );
}

#[test]
fn an_extra_prefix_admits_but_does_not_authorize() {
    on_changed_stage(
        |config, lab| config.extra = stranger_prefixes(lab),
        |stage| {
            for family in IpVersion::BOTH {
                Pull::by_stranger(&stage.lab, family).must_be_served()?;
                let pull = Pull::by_stranger(&stage.lab, family).no_certificate();
                stage.refuses(&pull, "certificate_required")?;
            }
            Ok(())
        },
    );
}

#[test]
fn with_an_empty_list_only_the_extra_prefixes_are_admitted() {
    on_changed_stage(
        |config, lab| {
            config.prefixes = PrefixesTable::List(Vec::new());
            config.extra = stranger_prefixes(lab);
        },
        |stage| {
            for family in IpVersion::BOTH {
                let outcome = Pull::by_stranger(&stage.lab, family).send()?;
                ensure!(outcome.served(), "the good peer of this claim: {outcome}");
                let before = stage.snapshot()?;
                Pull::by_edge(&stage.lab, family).brief().must_meet_silence()?;
                stage.upstream_saw_nothing_since(&before)?;
            }
            Ok(())
        },
    );
}

#[test]
fn a_port_that_is_not_guarded_stays_open_to_everybody() {
    on_stage(|stage| {
        let _other = TestUpstream::listening(&stage.lab, "[::]:8081")?;
        for family in IpVersion::BOTH {
            stage.silences(&Pull::by_stranger(&stage.lab, family), "unknown_source")?;
            let other = Pull::by_stranger(&stage.lab, family).plain().port(8081);
            other.must_be_served()?;
        }
        ensure!(stage.daemon.status()?.packets("pass", "not_guarded")? > 0);
        Ok(())
    });
}

#[test]
fn with_the_firewall_off_the_terminator_still_checks_the_address() {
    on_changed_stage(
        |config, _| config.mode = "off",
        |stage: &mut Stage| {
            for family in IpVersion::BOTH {
                stage.refuses(&Pull::by_stranger(&stage.lab, family), "not_admitted")?;
            }
            Ok(())
        },
    );
}

#[test]
fn with_the_firewall_off_no_privilege_is_needed() {
    in_lab(|lab| {
        let _upstream = TestUpstream::start(lab)?;
        let mut config = AopToml::new(lab);
        config.mode = "off";
        config.bind = vec!["0.0.0.0:8443".into(), "[::]:8443".into()];
        let mut daemon = TestDaemon::prepare(lab)?;
        daemon.drop_privilege()?;
        daemon.write(&config.text())?;
        daemon.run()?;
        for family in IpVersion::BOTH {
            Pull::by_edge(lab, family).port(8443).must_be_served()?;
            let bare = Pull::by_edge(lab, family).port(8443).no_certificate().send()?;
            ensure!(bare.refused(), "{bare}");
        }
        Ok(())
    });
}
