//! Mistakes that the pulls of the edge and of monitors reveal.

use std::io::Write;
use std::net::TcpListener;

use anyhow::{Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, Pull, TestDaemon, TestUpstream, client};

use super::diagnose;
use crate::stage::{in_lab, on_changed_stage, on_stage};

fn observes(config: &mut AopToml, _: &Lab) {
    config.mode = "observe";
}

#[test]
fn plain_http_of_the_edge_is_named_as_ssl_mode_flexible() {
    on_changed_stage(observes, |stage| {
        let plain = Pull::by_edge(&stage.lab, IpVersion::V4).plain();
        let outcome = plain.send()?;
        ensure!(!outcome.served(), "{outcome}");
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("ssl_mode_flexible")?;
        ensure!(found["cure"].to_string().contains("Full (strict)"), "{found}");
        Ok(())
    });
}

#[test]
fn pulls_at_port_80_are_named_as_ssl_mode_flexible_until_the_edge_is_served() {
    on_changed_stage(observes, |stage| {
        let http = stage.lab.origin().inside(|| TcpListener::bind("0.0.0.0:80"))??;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let said = diagnosis.tells("ssl_mode_flexible")?["said"].to_string();
        ensure!(said.contains("no guarded port has been pulled from"), "{said}");

        let to = stage.lab.origin_at(IpVersion::V4, 80);
        let mut edge = client::connect(stage.lab.edge(), to)?;
        let (_taken, _) = http.accept()?;
        edge.write_all(b"GET / HTTP/1.1\r\n")?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        let found = diagnosis.finds_only("ssl_mode_flexible")?;
        let address = stage.lab.edge_address(IpVersion::V4).to_string();
        ensure!(found["evidence"].to_string().contains(&address), "{found}");

        // Also in Full (strict) the edge pulls at port 80 for visitors that use plain HTTP.
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
    let extra = |config: &mut AopToml, lab: &Lab| {
        config.extra = vec![lab.stranger_address(IpVersion::V4).to_string() + "/32"];
    };
    on_changed_stage(extra, |stage| {
        stage.edge_is_served()?;
        let monitor = Pull::bare(&stage.lab, stage.lab.stranger(), IpVersion::V4);
        monitor.must_be_refused()?;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("monitor_without_certificate")?;
        ensure!(found["about"] == stage.lab.stranger_address(IpVersion::V4).to_string(), "{found}");
        let cure = found["cure"].to_string();
        ensure!(cure.contains("Simulate Zone") && cure.contains("/readyz"), "{cure}");
        Ok(())
    });
}

#[test]
fn packets_that_enforcing_would_drop_are_counted() {
    on_changed_stage(observes, |stage| {
        stage.edge_is_served()?;
        let stranger = Pull::by_stranger(&stage.lab, IpVersion::V6).no_certificate();
        stranger.must_be_refused()?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        let told = diagnosis.tells("would_drop")?["evidence"].to_string();
        ensure!(told.contains("unknown_source") && told.contains("eth0"), "{told}");
        Ok(())
    });
}

#[test]
fn the_firewall_alone_does_not_enforce_before_a_packet_came_through_the_cdn() {
    in_lab(|lab| {
        let mut config = AopToml::firewall_only(lab, 443);
        config.mode = "observe";
        let server = TestUpstream::listening(lab, "0.0.0.0:443")?;
        let daemon = TestDaemon::start(lab, &config)?;
        let direct = || Pull::bare(lab, lab.stranger(), IpVersion::V4).plain();
        for _ in 0..4 {
            ensure!(direct().send()?.served(), "it observes");
        }
        // A few packets may be of scanners.
        diagnose(&daemon, &[])?.is_clean()?;
        let refused = daemon.verb(&["mode", "enforce"])?;
        ensure!(refused.code == 1 && refused.errors.contains("no packet ever came"), "{refused:?}");
        ensure!(Pull::bare(lab, lab.edge(), IpVersion::V4).plain().send()?.served());
        diagnose(&daemon, &[])?.is_clean()?;
        daemon.verb(&["mode", "enforce"])?.success()?;
        drop(server);
        Ok(())
    });
}

#[test]
fn a_host_without_pulls_so_far_is_reported_as_such() {
    on_stage(|stage| -> Result<()> {
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        diagnosis.tells("pulls")?;
        Ok(())
    });
}

/// A site in observe mode relays every peer on purpose. This is information and not a mistake, and
/// it depends on the mode in force, not only on the configuration.
#[test]
fn a_site_that_observes_is_listed_and_one_with_an_override_to_enforce_is_tested() {
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
            stage.daemon.verb(&word)?.success()?;
            let diagnosis = diagnose(&stage.daemon, &[])?;
            diagnosis.is_clean()?;
            ensure!(diagnosis.tells("site_observes").is_err(), "it refuses now");
            diagnosis.is_good("no_certificate")
        },
    );
}
