//! Tests of the rules for a peer's certificate beside the client CA's signature, at chosen times.

use aop_config::{
    CertificateRules, CrlScope, OnExpiry, RequiredKey, RequiredSan, Resumption, SpkiPin,
};
use rcgen::{DistinguishedName, DnType, DnValue, KeyPair, SanType};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};

use std::{sync::Arc, time::Duration};

use crate::{
    PeerIdentity, Refusal,
    client_ca::Anchor,
    refusal_of_error::refusal_of_error,
    revocation::SignedList,
    testing::{Authority, Leaf},
    verifier::{BrokenRule, SiteVerifier},
};

/// 2025-06-01.
pub(super) const NOW: u64 = 1_748_736_000;
pub(super) const YEAR: u64 = 365 * 24 * 3600;

pub(super) fn anchor(authority: &Authority, not_after: u64) -> Anchor {
    let trust = webpki::anchor_from_trusted_cert(&authority.certificate).unwrap().to_owned();
    Anchor { trust, name: "ca.pem".into(), not_after }
}

pub(super) fn verifier(
    anchors: &[Anchor],
    rules: &CertificateRules,
    lists: &[SignedList],
) -> SiteVerifier {
    let provider = Arc::new(aws_lc_rs::default_provider());
    SiteVerifier::new(anchors, rules, lists, &provider).unwrap()
}

pub(super) fn judged(verifier: &SiteVerifier, leaf: &Leaf, now: u64) -> Result<(), Refusal> {
    let (leaf, between): (&CertificateDer<'_>, _) = leaf.chain.split_first().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    match verifier.verify_client_cert(leaf, between, now) {
        Ok(_) => Ok(()),
        Err(error) => {
            let refused = refusal_of_error(&error);
            assert!(!refused.detail.is_empty() && refused.refusal.help().is_some());
            Err(refused.refusal)
        }
    }
}

/// Asserts that `good` passes under `rules`, and that `bad`, which passes without them, is refused.
#[track_caller]
fn tells_apart(
    rules: &CertificateRules,
    ca: &Authority,
    good: &Leaf,
    bad: &Leaf,
    refusal: Refusal,
) {
    let anchors = [anchor(ca, u64::MAX)];
    let with = verifier(&anchors, rules, &[]);
    assert_eq!(judged(&with, good, NOW), Ok(()));
    assert_eq!(judged(&with, bad, NOW), Err(refusal));
    assert_eq!(judged(&verifier(&anchors, &CertificateRules::default(), &[]), bad, NOW), Ok(()));
}

fn with_names(ca: &Authority, names: &[SanType]) -> Leaf {
    ca.leaf(|params| params.subject_alt_names = names.to_vec())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn one_of_the_required_names_must_be_in_the_certificate() {
    let ca = Authority::new("ca");
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let ip = |text: &str| SanType::IpAddress(text.parse().unwrap());
    let cases = [
        ("dns:edge.example.com", dns("EDGE.example.com"), dns("edge.example.org")),
        ("dns:edge.example.com", dns("edge.example.com"), dns("*.example.com")),
        ("dns:edge.example.com", dns("edge.example.com"), uri("dns:edge.example.com")),
        (
            "uri:spiffe://example.com/edge",
            uri("spiffe://example.com/edge"),
            uri("spiffe://example.com/edge/"),
        ),
        ("ip:192.0.2.1", ip("192.0.2.1"), ip("192.0.2.2")),
        ("ip:192.0.2.1", ip("192.0.2.1"), dns("192.0.2.1")),
        ("ip:2001:db8::1", ip("2001:db8::1"), ip("2001:db8::2")),
    ];
    for (required, good, bad) in cases {
        let rules = CertificateRules {
            san: vec![required.parse().unwrap()],
            ..CertificateRules::default()
        };
        let good = with_names(&ca, &[dns("other.test"), good]);
        tells_apart(&rules, &ca, &good, &with_names(&ca, &[bad]), Refusal::SanMissing);
        tells_apart(&rules, &ca, &good, &ca.edge(), Refusal::SanMissing);
        let either = CertificateRules {
            san: vec!["dns:x.test".parse().unwrap(), required.parse().unwrap()],
            ..CertificateRules::default()
        };
        tells_apart(&either, &ca, &good, &ca.edge(), Refusal::SanMissing);
    }
}

#[test]
fn the_common_name_must_be_the_required_one_and_the_only_one() {
    let ca = Authority::new("ca");
    let rules = CertificateRules { cn: Some("edge".into()), ..CertificateRules::default() };
    let named =
        |name: &str| ca.leaf(|params| params.distinguished_name.push(DnType::CommonName, name));
    let nameless = ca.leaf(|params| params.distinguished_name = rcgen::DistinguishedName::new());
    let twice = ca.leaf(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "edge");
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "other");
    });
    for bad in [named("EDGE"), named("edge2"), nameless, twice] {
        tells_apart(&rules, &ca, &ca.edge(), &bad, Refusal::CnMismatch);
    }
}

#[test]
fn the_key_must_be_one_that_is_pinned() {
    let ca = Authority::new("ca");
    let pin = |leaf: &Leaf| {
        PeerIdentity::read(&leaf.chain[0]).unwrap().spki_sha256.parse::<SpkiPin>().unwrap()
    };
    let (old, new, stranger) = (ca.edge(), ca.edge(), ca.edge());
    let rules =
        CertificateRules { pins: vec![pin(&old), pin(&new)], ..CertificateRules::default() };
    tells_apart(&rules, &ca, &old, &stranger, Refusal::PinMismatch);
    tells_apart(&rules, &ca, &new, &stranger, Refusal::PinMismatch);
    // A pin of the CA's key does not accept the leaf.
    let of_ca = CertificateRules {
        pins: vec![pin(&Leaf { chain: vec![ca.certificate.clone()], key: vec![] })],
        ..CertificateRules::default()
    };
    assert_eq!(
        judged(&verifier(&[anchor(&ca, u64::MAX)], &of_ca, &[]), &old, NOW),
        Err(Refusal::PinMismatch)
    );
}

#[test]
fn where_ml_dsa_is_required_a_classical_key_is_refused() {
    let ca = Authority::new("ca");
    let rules = CertificateRules { key: Some(RequiredKey::MlDsa), ..CertificateRules::default() };
    for algorithm in [&rcgen::PKCS_ML_DSA_44, &rcgen::PKCS_ML_DSA_65, &rcgen::PKCS_ML_DSA_87] {
        let good = ca.leaf_of(KeyPair::generate_for(algorithm).unwrap(), |_| {});
        tells_apart(&rules, &ca, &good, &ca.edge(), Refusal::NotPostQuantum);
    }
    let post_quantum =
        Authority::of(KeyPair::generate_for(&rcgen::PKCS_ML_DSA_65).unwrap(), "pq", |_| {});
    let good = post_quantum.leaf_of(KeyPair::generate_for(&rcgen::PKCS_ML_DSA_44).unwrap(), |_| {});
    tells_apart(&rules, &post_quantum, &good, &post_quantum.edge(), Refusal::NotPostQuantum);
}

#[test]
fn peers_of_an_expired_client_ca_are_refused_unless_that_is_tolerated() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let anchors = [anchor(&old, NOW + YEAR), anchor(&new, NOW + 2 * YEAR)];
    let strict = verifier(&anchors, &CertificateRules::default(), &[]);
    let (of_old, of_new) = (old.edge(), new.edge());
    for now in [NOW, NOW + YEAR] {
        assert_eq!(judged(&strict, &of_old, now), Ok(()));
        assert_eq!(judged(&strict, &of_new, now), Ok(()));
    }
    assert_eq!(judged(&strict, &of_old, NOW + YEAR + 1), Err(Refusal::CaExpired));
    assert_eq!(judged(&strict, &of_new, NOW + YEAR + 1), Ok(()));
    assert_eq!(judged(&strict, &of_new, NOW + 2 * YEAR + 1), Err(Refusal::CaExpired));
    // A peer that no anchor ever accepted gets the other refusal.
    let stranger = Authority::new("stranger").edge();
    assert_eq!(judged(&strict, &stranger, NOW + 3 * YEAR), Err(Refusal::UnknownCa));
    let tolerant = CertificateRules { expired_ca: OnExpiry::Warn, ..CertificateRules::default() };
    assert_eq!(judged(&verifier(&anchors, &tolerant, &[]), &of_old, NOW + 3 * YEAR), Ok(()));
}

#[test]
fn a_client_ca_reissued_with_the_same_key_still_works() {
    let ca = Authority::new("ca");
    let anchors = [anchor(&ca, NOW - YEAR), anchor(&ca, NOW + YEAR)];
    assert_eq!(
        judged(&verifier(&anchors, &CertificateRules::default(), &[]), &ca.edge(), NOW),
        Ok(())
    );
}

#[test]
fn an_issuer_whose_name_is_spelled_in_another_way_is_refused_with_that_reason() {
    let key = KeyPair::generate().unwrap().serialize_der();
    let named = |name: DnValue| {
        let key = KeyPair::try_from(key.as_slice()).unwrap();
        Authority::of(key, "ca", |params| {
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
        })
    };
    let printable = |text: &str| DnValue::PrintableString(text.try_into().unwrap());
    let trusted = named(DnValue::Utf8String("Edge CA".into()));
    let verifier = verifier(&[anchor(&trusted, u64::MAX)], &CertificateRules::default(), &[]);
    let detail = |name| {
        let leaf = named(name).edge();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        let error = verifier.verify_client_cert(&leaf.chain[0], &[], now).unwrap_err();
        let refused = refusal_of_error(&error);
        assert_eq!(refused.refusal, Refusal::UnknownCa);
        refused.detail
    };
    assert_eq!(judged(&verifier, &trusted.edge(), NOW), Ok(()));
    for other in [
        printable("Edge CA"),
        printable("EDGE  ca "),
        DnValue::BmpString("Edge CA".try_into().unwrap()),
        DnValue::TeletexString("edge ca".try_into().unwrap()),
        DnValue::Utf8String("edge ca".into()),
    ] {
        let detail = detail(other.clone());
        assert!(detail.contains("RFC 5280") && !detail.contains(".pem"), "{other:?}: {detail}");
    }
    for other in [printable("Edge CA 2"), printable("EdgeCA")] {
        assert!(!detail(other).contains("RFC 5280"));
    }
}

#[test]
fn a_broken_rule_is_printed_as_its_detail() {
    let broken = BrokenRule { refusal: Refusal::PinMismatch, detail: "another key".into() };
    assert_eq!(broken.to_string(), "another key");
}

#[test]
fn default_rules_demand_nothing_and_tolerate_nothing() {
    let CertificateRules { san, cn, pins, key, revocation, expired_ca, resumption } =
        CertificateRules::default();
    assert_eq!((san, cn, pins, key), (Vec::<RequiredSan>::new(), None, vec![], None));
    assert_eq!((revocation.scope, revocation.expired), (CrlScope::Chain, OnExpiry::Refuse));
    assert_eq!((expired_ca, resumption), (OnExpiry::Refuse, Resumption::Off));
}
