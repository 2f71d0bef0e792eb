//! What the edge and monitors do wrong, told by what was observed.

use std::io::Write;
use std::net::TcpListener;

use anyhow::{Result, ensure};
use aop_tests::{Config, Family, Pull, World, hand};

use super::diagnose;
use crate::stage::{on_changed_stage, on_stage};

fn observes(config: &mut Config, _: &World) {
    config.mode = "observe";
}

#[test]
fn plain_http_of_the_edge_is_named_as_a_flexible_zone() {
    on_changed_stage(observes, |stage| {
        let plain = Pull::by_edge(&stage.world, Family::V4).plain();
        let outcome = plain.send()?;
        ensure!(!outcome.served(), "{outcome}");
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("ssl_mode_flexible")?;
        ensure!(found["cure"].to_string().contains("Full (strict)"), "{found}");
        Ok(())
    });
}

#[test]
fn pulls_at_port_80_are_named_as_a_flexible_zone_until_the_edge_is_served() {
    on_changed_stage(observes, |stage| {
        let http = stage.world.origin().inside(|| TcpListener::bind("0.0.0.0:80"))??;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let said = diagnosis.tells("ssl_mode_flexible")?["said"].to_string();
        ensure!(said.contains("no guarded port has been pulled from"), "{said}");

        let to = stage.world.origin_at(Family::V4, 80);
        let mut edge = hand::connect(stage.world.edge(), to)?;
        let (_taken, _) = http.accept()?;
        edge.write_all(b"GET / HTTP/1.1\r\n")?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        let found = diagnosis.finds_only("ssl_mode_flexible")?;
        let address = stage.world.edge_address(Family::V4).to_string();
        ensure!(found["evidence"].to_string().contains(&address), "{found}");

        // In Full (strict) too it pulls there for visitors who speak plain HTTP.
        stage.edge_is_served()?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let told = diagnosis.tells("ssl_mode_flexible")?;
        ensure!(told["evidence"].to_string().contains(&address), "{told}");
        ensure!(told["cure"].to_string().contains("Always Use HTTPS"), "{told}");

        drop(edge);
        drop(http);
        Ok(())
    });
}

#[test]
fn a_monitor_without_a_certificate_is_named() {
    let extra = |config: &mut Config, world: &World| {
        config.extra = vec![world.stranger_address(Family::V4).to_string() + "/32"];
    };
    on_changed_stage(extra, |stage| {
        stage.edge_is_served()?;
        let monitor = Pull::bare(&stage.world, stage.world.stranger(), Family::V4);
        ensure!(monitor.send()?.refused());
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("monitor_without_certificate")?;
        ensure!(found["about"] == stage.world.stranger_address(Family::V4).to_string(), "{found}");
        let cure = found["cure"].to_string();
        ensure!(cure.contains("Simulate Zone") && cure.contains("/readyz"), "{cure}");
        Ok(())
    });
}

#[test]
fn what_enforcing_would_have_dropped_is_told_in_numbers() {
    on_changed_stage(observes, |stage| {
        stage.edge_is_served()?;
        let stranger = Pull::by_stranger(&stage.world, Family::V6).no_certificate();
        ensure!(stranger.send()?.refused());
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let told = diagnosis.tells("would_drop")?["evidence"].to_string();
        ensure!(told.contains("unknown_source") && told.contains("eth0"), "{told}");
        Ok(())
    });
}

#[test]
fn a_host_where_nobody_has_pulled_yet_is_told_so() {
    on_stage(|stage| -> Result<()> {
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        diagnosis.tells("pulls")?;
        Ok(())
    });
}

/// A site that observes lets everybody in on purpose: that is told with the way on, by what is in force
/// and not by the configuration alone, and is no mistake.
#[test]
fn a_site_that_observes_is_told_and_one_that_refuses_by_word_is_attacked() {
    on_changed_stage(
        |config, _| config.site().rules.push("on_refusal = \"observe\"".into()),
        |stage| {
            stage.edge_is_served()?;
            let diagnosis = diagnose(&stage.daemon, &[])?;
            diagnosis.is_clean()?;
            let told = diagnosis.tells("site_observes")?;
            let cure = told["cure"].as_str().unwrap_or_default();
            ensure!(cure.contains("aop mode enforce --site example.com --confirm"), "{told:#}");
            let word = ["mode", "enforce", "--site", "example.com", "--force"];
            ensure!(stage.daemon.verb(&word)?.code == 0);
            let diagnosis = diagnose(&stage.daemon, &[])?;
            diagnosis.is_clean()?;
            ensure!(diagnosis.tells("site_observes").is_err(), "it refuses now");
            diagnosis.is_good("no_certificate")
        },
    );
}
