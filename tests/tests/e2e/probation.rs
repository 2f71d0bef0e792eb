//! Probation: addresses outside the list may try a handshake, and are admitted after they
//! authenticate.

use anyhow::{Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{IpVersion, Pull};

use crate::stage::{Stage, on_changed_stage};

/// A list without any edge.
fn list_without_edges() -> PrefixesTable {
    PrefixesTable::List(vec!["192.0.2.0/24".into()])
}

fn packets(stage: &Stage, action: &str, reason: &str) -> Result<u64> {
    stage.daemon.status()?.packets(action, reason)
}

#[test]
fn an_unlisted_edge_on_probation_is_admitted_after_it_authenticates() {
    on_changed_stage(
        |config, _| {
            config.prefixes = list_without_edges();
            config.probation_syn = 5;
        },
        |stage| {
            for family in IpVersion::BOTH {
                stage.edge_is_served()?;
                let tries = packets(stage, "pass", "probation")?;
                ensure!(tries > 0, "no try was counted");
                Pull::by_edge(&stage.lab, family).must_be_served()?;
                ensure!(packets(stage, "pass", "proven")? > 0, "no packet of a peer was counted");
            }
            Ok(())
        },
    );
}

#[test]
fn a_stranger_on_probation_without_a_certificate_is_refused_in_the_handshake() {
    on_changed_stage(
        |config, _| config.probation_syn = 5,
        |stage| {
            let pull = Pull::by_stranger(&stage.lab, IpVersion::V4).no_certificate();
            stage.refuses(&pull, "certificate_required").map(drop)
        },
    );
}

#[test]
fn without_probation_an_unlisted_edge_meets_silence() {
    on_changed_stage(
        |config, _| config.extra = vec!["2400:cb00::/32".into()],
        |stage| {
            stage.config.prefixes = list_without_edges();
            stage.config.admission_drain = "0s";
            stage.reload()?;
            Pull::by_edge(&stage.lab, IpVersion::V4).must_meet_silence()?;
            Ok(())
        },
    );
}
