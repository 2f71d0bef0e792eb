//! PROXY headers: those that aop sends to upstreams, read by a decoder that is not ours, and those
//! that load balancers send before TLS.

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self, TlsClient};
use aop_tests::pull::TlsVersion;
use aop_tests::reference_decoder::DecodedHeader;
use aop_tests::{AopToml, IpVersion, Lab, Pull, ReferenceDecoder, wait};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::stage::{SOON, Stage, on_changed_stage, skip};

/// Client flags of the specification: TLS, a certificate in this connection, in this session.
const PRESENTED: u64 = 7;
const RESUMED: u64 = 5;

/// The decoder. Without it the test is skipped, because it cannot be installed without PyPI.
fn decoder() -> Option<ReferenceDecoder> {
    let decoder = ReferenceDecoder::installed();
    if decoder.is_none() {
        skip("no decoder of PROXY headers: cargo xtask setup");
    }
    decoder
}

/// The first bytes of the last connection to the upstream.
fn first_bytes(stage: &Stage) -> Result<Vec<u8>> {
    let last = stage.upstream.connections()?.pop();
    last.and_then(|last| last.first_bytes).context("the upstream got nothing")
}

fn decoded(stage: &Stage, decoder: &ReferenceDecoder, pull: &Pull) -> Result<DecodedHeader> {
    pull.must_be_served()?;
    decoder.read(&first_bytes(stage)?)
}

fn with_header(version: &'static str) -> impl Fn(&mut AopToml, &Lab) {
    move |config, _| config.site().proxy = Some(version)
}

#[test]
fn a_header_of_either_version_names_the_peer() {
    let Some(decoder) = decoder() else { return };
    for (version, number) in [("v1", 1), ("v2", 2)] {
        on_changed_stage(with_header(version), |stage| {
            for family in IpVersion::BOTH {
                let decoded = decoded(stage, &decoder, &Pull::by_edge(&stage.lab, family))?;
                ensure!(decoded.number("version")? == number, "{decoded:?}");
                ensure!(
                    decoded.address("source")?.ip() == stage.lab.edge_address(family),
                    "{decoded:?}"
                );
                let to = stage.lab.origin_at(family, 443);
                ensure!(decoded.address("destination")? == to, "{decoded:?}");
            }
            Ok(())
        });
    }
}

#[test]
fn a_version_2_header_describes_tls_and_has_a_correct_checksum() {
    let Some(decoder) = decoder() else { return };
    on_changed_stage(with_header("v2"), |stage| {
        for (tls, version, cipher) in [
            (TlsVersion::V12, "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            (TlsVersion::V13, "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        ] {
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).host("www.example.com").tls(tls);
            let decoded = decoded(stage, &decoder, &pull)?;
            ensure!(decoded.text("authority") == Some("www.example.com"), "{decoded:?}");
            ensure!(
                decoded.number("client")? == PRESENTED && decoded.holds("verified"),
                "{decoded:?}"
            );
            ensure!(decoded.text("tls") == Some(version), "{decoded:?}");
            ensure!(decoded.text("cipher") == Some(cipher), "{decoded:?}");
            ensure!(decoded.text("common_name") == Some("edge.example.com"), "{decoded:?}");
            ensure!(
                decoded.text("certificate").is_none() && decoded.text("alpn").is_none(),
                "{decoded:?}"
            );
            ensure!(decoded.holds("has_sum"), "{decoded:?}");
            let mut bent = first_bytes(stage)?;
            bent[20] ^= 1;
            ensure!(decoder.read(&bent).is_err(), "the checksum is not verified");
        }
        Ok(())
    });
}

#[test]
fn a_version_2_header_contains_the_certificate_if_configured() {
    let Some(decoder) = decoder() else { return };
    let change = |config: &mut AopToml, lab: &Lab| {
        with_header("v2")(config, lab);
        config.site().rules.push("proxy_certificate = true".into());
    };
    on_changed_stage(change, |stage| {
        for identity in [&stage.lab.pki.edge, &stage.lab.pki.post_quantum] {
            let client = TlsClient::new(&stage.lab.pki, identity)?;
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            let mut session = client.open(stage.lab.edge(), to, "example.com")?;
            client::get(&mut session, "/")?;
            let decoded = decoder.read(&first_bytes(stage)?)?;
            let leaf = CertificateDer::from_pem_file(&identity.certificate)?;
            let hex: String = leaf.iter().map(|byte| format!("{byte:02x}")).collect();
            ensure!(decoded.text("certificate") == Some(&*hex), "{decoded:?}");
            ensure!(decoded.number("length")? > 536, "{decoded:?}");
        }
        Ok(())
    });
}

#[test]
fn a_resumed_session_is_marked_as_without_a_certificate_in_this_connection() {
    let Some(decoder) = decoder() else { return };
    let change = |config: &mut AopToml, lab: &Lab| {
        with_header("v2")(config, lab);
        config.site().rules.push("resumption = \"verified\"".into());
    };
    on_changed_stage(change, |stage| {
        let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        for flags in [PRESENTED, RESUMED] {
            let mut session = client.open(stage.lab.edge(), to, "example.com")?;
            client::get(&mut session, "/")?;
            let decoded = decoder.read(&first_bytes(stage)?)?;
            ensure!(decoded.number("client")? == flags && decoded.holds("verified"), "{decoded:?}");
        }
        Ok(())
    });
}

#[test]
fn with_an_http_upstream_the_header_names_visitor_and_protocol() {
    let Some(decoder) = decoder() else { return };
    let change = |config: &mut AopToml, lab: &Lab| {
        with_header("v2")(config, lab);
        config.site().upstream = String::from("http://127.0.0.1:8080");
    };
    on_changed_stage(change, |stage| {
        for version in ["--http1.1", "--http2"] {
            for visitor in ["203.0.113.7", "2001:db8::7"] {
                let pull = Pull::by_edge(&stage.lab, IpVersion::V4).option(version);
                let pull = pull.option("--header").option(&format!("CF-Connecting-IP: {visitor}"));
                let before = stage.upstream.count()?;
                let decoded = decoded(stage, &decoder, &pull)?;
                ensure!(decoded.address("source")?.ip().to_string() == visitor, "{decoded:?}");
                ensure!(decoded.text("alpn") == Some("http/1.1"), "{decoded:?}");
                ensure!(decoded.text("authority") == Some("example.com"), "{decoded:?}");
                ensure!(stage.upstream.count()? == before + 1);
            }
        }
        Ok(())
    });
}

/// The edge sends PROXY headers for its visitors.
fn edge_sends(config: &mut AopToml, lab: &Lab) {
    let edge = IpVersion::BOTH.map(|family| lab.edge_address(family).to_string());
    config.proxy_from.extend(edge);
    config.site().proxy = Some("v1");
}

const VISITOR: &str = "PROXY TCP4 203.0.113.7 203.0.113.1 4711 443\r\n";

#[test]
fn a_visitor_named_by_a_configured_sender_reaches_the_upstream_and_the_log() {
    on_changed_stage(edge_sends, |stage| {
        let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
        for family in IpVersion::BOTH {
            let to = stage.lab.origin_at(family, 443);
            let mut session =
                client.open_behind(VISITOR.as_bytes(), stage.lab.edge(), to, "example.com")?;
            client::get(&mut session, "/")?;
            ensure!(first_bytes(stage)?.starts_with(VISITOR.as_bytes()));
            drop(session);
        }
        // curl sends a header with its own address.
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4).option("--haproxy-protocol");
        pull.must_be_served()?;
        wait::until("the log names the visitor", SOON, || {
            stage.daemon.log().contains("visitor=203.0.113.7:4711").then_some(())
        })
    });
}

#[test]
fn a_configured_sender_without_a_header_and_another_sender_with_one_are_refused() {
    on_changed_stage(edge_sends, |stage| {
        let served = Pull::by_edge(&stage.lab, IpVersion::V4).option("--haproxy-protocol");
        served.must_be_served()?;
        let before = stage.snapshot()?;
        let bare = Pull::by_edge(&stage.lab, IpVersion::V4).send()?;
        ensure!(bare.refused(), "{bare}");
        stage.counts_refused(&before, "proxy_header", 1)?;
        let from = stage.lab.neighbour_address(IpVersion::V4);
        let neighbour = Pull::by_edge(&stage.lab, IpVersion::V4).source(from);
        neighbour.must_be_served()?;
        let before = stage.snapshot()?;
        neighbour.option("--haproxy-protocol").must_be_refused()?;
        stage.counts_refused(&before, "proxy_header", 1)
    });
}
