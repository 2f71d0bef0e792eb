//! Who gets to the port at all: prefixes, extra prefixes, observe mode, and the second look at the
//! address in user space.

use std::net::IpAddr;

use anyhow::{Context, ensure};
use aop_tests::config::Prefixes;
use aop_tests::{Config, Daemon, Family, Pull, Status, Upstream, World};

use crate::stage::{Stage, in_a_world, on_changed_stage, on_stage};

fn host_prefix(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

fn stranger_prefixes(world: &World) -> Vec<String> {
    Family::BOTH.map(|family| host_prefix(world.stranger_address(family))).to_vec()
}

#[test]
fn the_edge_with_its_certificate_is_served_counted_and_remembered() {
    on_stage(|stage| {
        for family in Family::BOTH {
            let before = stage.before()?;
            let outcome = Pull::by_edge(&stage.world, family).path("/hello").send()?;
            ensure!(outcome.body() == b"the upstream answers /hello\n", "{outcome}");
            let now = stage.daemon.status()?;
            ensure!(now.accepted()? == before.status().accepted()? + 1);
            ensure!(now.refusals()? == before.status().refusals()?);
            let admitted = |status: &Status| status.packets("pass", "admitted");
            ensure!(admitted(&now)? > admitted(before.status())?);
            ensure!(stage.upstream.count()? == before.connections() + 1);
            let peer = stage.world.edge_address(family);
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
        for family in Family::BOTH {
            stage.silences(&Pull::by_stranger(&stage.world, family), "unknown_source")?;
        }
        Ok(())
    });
}

#[test]
fn what_the_cdn_s_own_addresses_are_refused_for_is_told_apart() {
    on_stage(|stage| {
        let pull = Pull::by_edge(&stage.world, Family::V4).no_certificate();
        for count in 1..=2 {
            stage.refuses(&pull, "certificate_required")?;
            let admitted = stage.daemon.status()?.refusals_from_admitted()?;
            ensure!(admitted == [("certificate_required".to_owned(), count)], "{admitted:?}");
        }
        // Nobody is banned for it, and the operator is told what it may be.
        stage.edge_is_served()?;
        let told = String::from_utf8(stage.daemon.verb(&["status"])?.output)?;
        let line = told.lines().find(|line| line.contains("from admitted addresses"));
        let line = line.context("no line")?;
        let words = ["2 of these", "certificate_required, site example.com"];
        ensure!(words.iter().all(|word| line.contains(word)), "{line}");
        ensure!(told.contains("another tenant of the CDN"), "{told}");
        Ok(())
    });
}

#[test]
fn observe_mode_counts_what_it_would_drop_and_passes_it() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| {
            for family in Family::BOTH {
                stage.edge_is_served()?;
                let before = stage.before()?;
                let outcome = Pull::by_stranger(&stage.world, family).send()?;
                ensure!(outcome.served(), "{outcome}");
                let would = |status: &Status| status.packets("would_drop", "unknown_source");
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
            let pull = Pull::by_stranger(&stage.world, Family::V4).no_certificate();
            stage.refuses(&pull, "certificate_required")?;
            let admitted = stage.daemon.status()?.refusals_from_admitted()?;
            ensure!(admitted.is_empty(), "a stranger's: {admitted:?}");
            Ok(())
        },
    );
}

#[test]
fn an_extra_prefix_admits_but_authorizes_nobody() {
    on_changed_stage(
        |config, world| config.extra = stranger_prefixes(world),
        |stage| {
            for family in Family::BOTH {
                let outcome = Pull::by_stranger(&stage.world, family).send()?;
                ensure!(outcome.served(), "{outcome}");
                let pull = Pull::by_stranger(&stage.world, family).no_certificate();
                stage.refuses(&pull, "certificate_required")?;
            }
            Ok(())
        },
    );
}

#[test]
fn an_empty_list_admits_nobody_but_the_extra_prefixes() {
    on_changed_stage(
        |config, world| {
            config.prefixes = Prefixes::List(Vec::new());
            config.extra = stranger_prefixes(world);
        },
        |stage| {
            for family in Family::BOTH {
                let outcome = Pull::by_stranger(&stage.world, family).send()?;
                ensure!(outcome.served(), "the good peer of this claim: {outcome}");
                let before = stage.before()?;
                let outcome = Pull::by_edge(&stage.world, family).brief().send()?;
                ensure!(outcome.silent(), "{outcome}");
                stage.upstream_saw_nothing_since(&before)?;
            }
            Ok(())
        },
    );
}

#[test]
fn a_port_that_is_not_guarded_stays_open_to_everybody() {
    on_stage(|stage| {
        let _other = Upstream::listening(&stage.world, "[::]:8081")?;
        for family in Family::BOTH {
            stage.silences(&Pull::by_stranger(&stage.world, family), "unknown_source")?;
            let other = Pull::by_stranger(&stage.world, family).plain().port(8081);
            ensure!(other.send()?.served());
        }
        ensure!(stage.daemon.status()?.packets("pass", "not_guarded")? > 0);
        Ok(())
    });
}

#[test]
fn with_the_firewall_off_the_terminator_still_looks_at_the_address() {
    on_changed_stage(
        |config, _| config.mode = "off",
        |stage: &mut Stage| {
            for family in Family::BOTH {
                stage.refuses(&Pull::by_stranger(&stage.world, family), "not_admitted")?;
            }
            Ok(())
        },
    );
}

#[test]
fn with_the_firewall_off_no_privilege_is_needed() {
    in_a_world(|world| {
        let _upstream = Upstream::start(world)?;
        let mut config = Config::new(world);
        config.mode = "off";
        config.bind = vec!["0.0.0.0:8443".into(), "[::]:8443".into()];
        let mut daemon = Daemon::prepare(world)?;
        daemon.drop_privilege()?;
        daemon.write(&config.text())?;
        daemon.run()?;
        for family in Family::BOTH {
            let outcome = Pull::by_edge(world, family).port(8443).send()?;
            ensure!(outcome.served(), "{outcome}");
            let bare = Pull::by_edge(world, family).port(8443).no_certificate().send()?;
            ensure!(bare.refused(), "{bare}");
        }
        Ok(())
    });
}
