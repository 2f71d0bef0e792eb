//! PROXY headers: what upstreams are told, read by a decoder that is not ours; and what becomes of
//! headers that come before TLS.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self, TlsClient};
use aop_tests::pull::TlsVersion;
use aop_tests::reference_decoder::DecodedHeader;
use aop_tests::{AopToml, IpVersion, Lab, Pull, ReferenceDecoder, wait};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::stage::{SOON, Stage, on_changed_stage};

/// Session flags of the specification: TLS, a certificate in this handshake, in this session.
const PRESENTED: u64 = 7;
const RESUMED: u64 = 5;

/// The decoder, or a skipped test: where PyPI is out of reach, it cannot be had.
fn decoder() -> Option<ReferenceDecoder> {
    let decoder = ReferenceDecoder::installed();
    if decoder.is_none() {
        writeln!(std::io::stderr(), "skipped: no decoder of PROXY headers: cargo xtask setup").ok();
    }
    decoder
}

/// What the upstream got first on its last connection.
fn opening(stage: &Stage) -> Result<Vec<u8>> {
    let last = stage.upstream.connections()?.pop();
    last.and_then(|last| last.first_bytes).context("the upstream got nothing")
}

fn told(stage: &Stage, decoder: &ReferenceDecoder, pull: &Pull) -> Result<DecodedHeader> {
    pull.must_be_served()?;
    decoder.read(&opening(stage)?)
}

fn wanting(version: &'static str) -> impl Fn(&mut AopToml, &Lab) {
    move |config, _| config.site().proxy = Some(version)
}

#[test]
fn a_proxy_header_of_either_version_names_the_peer() {
    let Some(decoder) = decoder() else { return };
    for (version, number) in [("v1", 1), ("v2", 2)] {
        on_changed_stage(wanting(version), |stage| {
            for family in IpVersion::BOTH {
                let told = told(stage, &decoder, &Pull::by_edge(&stage.lab, family))?;
                ensure!(told.number("version")? == number, "{told:?}");
                ensure!(told.address("source")?.ip() == stage.lab.edge_address(family), "{told:?}");
                let to = stage.lab.origin_at(family, 443);
                ensure!(told.address("destination")? == to, "{told:?}");
            }
            Ok(())
        });
    }
}

#[test]
fn version_2_tells_what_is_known_of_tls_and_its_sum_is_right() {
    let Some(decoder) = decoder() else { return };
    on_changed_stage(wanting("v2"), |stage| {
        for (tls, version, cipher) in [
            (TlsVersion::V12, "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            (TlsVersion::V13, "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        ] {
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).host("www.example.com").tls(tls);
            let told = told(stage, &decoder, &pull)?;
            ensure!(told.text("authority") == Some("www.example.com"), "{told:?}");
            ensure!(told.number("client")? == PRESENTED && told.holds("verified"), "{told:?}");
            ensure!(told.text("tls") == Some(version), "{told:?}");
            ensure!(told.text("cipher") == Some(cipher), "{told:?}");
            ensure!(told.text("common_name") == Some("edge.example.com"), "{told:?}");
            ensure!(told.text("certificate").is_none() && told.text("alpn").is_none(), "{told:?}");
            ensure!(told.holds("has_sum"), "{told:?}");
            let mut bent = opening(stage)?;
            bent[20] ^= 1;
            ensure!(decoder.read(&bent).is_err(), "the sum is not checked");
        }
        Ok(())
    });
}

#[test]
fn the_whole_certificate_is_told_where_that_is_wanted() {
    let Some(decoder) = decoder() else { return };
    let change = |config: &mut AopToml, lab: &Lab| {
        wanting("v2")(config, lab);
        config.site().rules.push("proxy_certificate = true".into());
    };
    on_changed_stage(change, |stage| {
        for identity in [&stage.lab.pki.edge, &stage.lab.pki.post_quantum] {
            let client = TlsClient::new(&stage.lab.pki, identity)?;
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            let mut session = client.open(stage.lab.edge(), to, "example.com")?;
            client::get(&mut session, "/")?;
            let told = decoder.read(&opening(stage)?)?;
            let leaf = CertificateDer::from_pem_file(&identity.certificate)?;
            let hex: String = leaf.iter().map(|byte| format!("{byte:02x}")).collect();
            ensure!(told.text("certificate") == Some(&*hex), "{told:?}");
            ensure!(told.number("length")? > 536, "{told:?}");
        }
        Ok(())
    });
}

#[test]
fn a_resumed_session_is_told_as_one_without_a_certificate_of_its_own() {
    let Some(decoder) = decoder() else { return };
    let change = |config: &mut AopToml, lab: &Lab| {
        wanting("v2")(config, lab);
        config.site().rules.push("resumption = \"verified\"".into());
    };
    on_changed_stage(change, |stage| {
        let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        for flags in [PRESENTED, RESUMED] {
            let mut session = client.open(stage.lab.edge(), to, "example.com")?;
            client::get(&mut session, "/")?;
            let told = decoder.read(&opening(stage)?)?;
            ensure!(told.number("client")? == flags && told.holds("verified"), "{told:?}");
        }
        Ok(())
    });
}

#[test]
fn a_request_s_header_names_its_visitor_and_what_is_spoken_behind_it() {
    let Some(decoder) = decoder() else { return };
    let change = |config: &mut AopToml, lab: &Lab| {
        wanting("v2")(config, lab);
        config.site().upstream = String::from("http://127.0.0.1:8080");
    };
    on_changed_stage(change, |stage| {
        for version in ["--http1.1", "--http2"] {
            for visitor in ["203.0.113.7", "2001:db8::7"] {
                let pull = Pull::by_edge(&stage.lab, IpVersion::V4).option(version);
                let pull = pull.option("--header").option(&format!("CF-Connecting-IP: {visitor}"));
                let before = stage.upstream.count()?;
                let told = told(stage, &decoder, &pull)?;
                ensure!(told.address("source")?.ip().to_string() == visitor, "{told:?}");
                ensure!(told.text("alpn") == Some("http/1.1"), "{told:?}");
                ensure!(told.text("authority") == Some("example.com"), "{told:?}");
                ensure!(stage.upstream.count()? == before + 1);
            }
        }
        Ok(())
    });
}

/// The edge speaks for visitors.
fn edge_sends(config: &mut AopToml, lab: &Lab) {
    let edge = IpVersion::BOTH.map(|family| lab.edge_address(family).to_string());
    config.proxy_from.extend(edge);
    config.site().proxy = Some("v1");
}

const VISITOR: &str = "PROXY TCP4 203.0.113.7 203.0.113.1 4711 443\r\n";

#[test]
fn a_visitor_behind_a_named_sender_reaches_the_upstream_and_the_log() {
    on_changed_stage(edge_sends, |stage| {
        let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
        for family in IpVersion::BOTH {
            let to = stage.lab.origin_at(family, 443);
            let mut session =
                client.open_behind(VISITOR.as_bytes(), stage.lab.edge(), to, "example.com")?;
            client::get(&mut session, "/")?;
            ensure!(opening(stage)?.starts_with(VISITOR.as_bytes()));
            drop(session);
        }
        // curl says whom it connects from itself.
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4).option("--haproxy-protocol");
        pull.must_be_served()?;
        wait::until("the log names the visitor", SOON, || {
            stage.daemon.log().contains("visitor=203.0.113.7:4711").then_some(())
        })
    });
}

#[test]
fn without_its_header_a_named_sender_is_refused_and_with_one_nobody_else_is_served() {
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
