//! The server name (SNI) selects the site. Without a name there is no site.

use anyhow::{Result, ensure};
use aop_tests::{IpVersion, Pull, child};

use crate::stage::{SOON, Stage, on_stage};

#[test]
fn a_name_that_belongs_to_no_site_is_refused() {
    on_stage(|stage| {
        for name in ["unknown.example", "example.com.unknown.example", "xample.com"] {
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).host(name).option("--insecure");
            stage.refuses(&pull, "unknown_name")?;
        }
        Ok(())
    });
}

#[test]
fn a_handshake_without_a_name_is_refused() {
    on_stage(|stage| {
        for family in IpVersion::BOTH {
            stage.refuses(&Pull::by_edge(&stage.lab, family).no_name(), "no_name")?;
        }
        Ok(())
    });
}

#[test]
fn a_wildcard_matches_one_label() {
    on_stage(|stage| {
        let below = Pull::by_edge(&stage.lab, IpVersion::V4).host("shop.example.com");
        below.must_be_served()?;
        let deeper = below.host("a.shop.example.com").option("--insecure");
        stage.refuses(&deeper, "unknown_name").map(drop)
    });
}

#[test]
fn case_and_a_trailing_dot_of_a_name_are_ignored() {
    on_stage(|stage| {
        // curl and rustls normalize the name, openssl does not.
        for name in ["EXAMPLE.com", "Shop.Example.Com", "example.com."] {
            let answer = by_openssl(stage, name)?;
            ensure!(answer.contains("the upstream answers /"), "{name}: {answer}");
        }
        let before = stage.snapshot()?;
        let answer = by_openssl(stage, "EXAMPLE.org")?;
        ensure!(!answer.contains("the upstream answers"), "{answer}");
        stage.counts_refused(&before, "unknown_name", 1)
    });
}

/// Sends a pull with exactly this server name, and returns everything that openssl prints.
fn by_openssl(stage: &Stage, name: &str) -> Result<String> {
    let pki = &stage.lab.pki;
    let mut command = stage.lab.edge().command("openssl");
    command.args(["s_client", "-quiet", "-ign_eof", "-servername", name, "-connect"]);
    command.arg(stage.lab.origin_at(IpVersion::V4, 443).to_string());
    command.arg("-cert").arg(&pki.edge.certificate).arg("-key").arg(&pki.edge.key);
    command.arg("-CAfile").arg(&pki.server_ca);
    let request = b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    let finished = child::finish(command, request, SOON)?;
    Ok(finished.text() + &finished.errors)
}
