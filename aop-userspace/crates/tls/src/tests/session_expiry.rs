//! Tests of the time until which a session may be resumed.

use aop_config::{CertificateRules, CrlScope, OnExpiry, Revocation};
use rcgen::{CertificateParams, date_time_ymd};
use rustls::pki_types::CertificateDer;

use super::{
    revocation::crl,
    rules::{NOW, YEAR, anchor, verifier},
};
use crate::testing::Authority;

/// 2026-01-01 and 2027-01-01.
const END: [u64; 2] = [1_767_225_600, 1_798_761_600];
/// 2025-12-31: a list is no longer valid in the second of its nextUpdate.
const LIST_END: u64 = 1_767_139_200;

fn until(year: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
    }
}

#[test]
fn a_session_ends_with_the_first_certificate_of_its_chain() {
    let ca = Authority::new("ca");
    let verifier = verifier(&[anchor(&ca, u64::MAX)], &CertificateRules::default(), &[]);
    let key = || rcgen::KeyPair::generate().unwrap();
    let between = |year| ca.intermediate_of(key(), "between", until(year)).certificate;
    let leaf = |year| ca.leaf(until(year)).chain[0].clone();
    let end = |chain: &[CertificateDer<'_>]| verifier.session_expiry(chain, NOW);
    assert_eq!(end(&[leaf(2026)]), END[0]);
    assert_eq!(end(&[leaf(2027)]), END[1]);
    assert_eq!(end(&[leaf(2026), between(2027)]), END[0]);
    assert_eq!(end(&[leaf(2027), between(2026)]), END[0]);
    // One that cannot be read may end at any time.
    assert_eq!(end(&[leaf(2027), b"no DER".to_vec().into()]), NOW);
}

#[test]
fn a_session_ends_before_a_client_ca_or_a_list_expires_unless_that_is_tolerated() {
    let ca = Authority::new("ca");
    let chain = [ca.leaf(until(2027)).chain[0].clone()];
    let end = |ends: &[u64], expired_ca, crl_expired, lists: &[_]| {
        let revocation = Revocation { files: vec![], scope: CrlScope::Chain, expired: crl_expired };
        let rules = CertificateRules { expired_ca, revocation, ..CertificateRules::default() };
        let anchors: Vec<_> = ends.iter().map(|end| anchor(&ca, *end)).collect();
        verifier(&anchors, &rules, lists).session_expiry(&chain, NOW)
    };
    let (refuse, warn) = (OnExpiry::Refuse, OnExpiry::Warn);
    let list = [crl(&ca, &[7], 2025)];
    assert_eq!(end(&[NOW + 100], refuse, refuse, &[]), NOW + 99);
    assert_eq!(end(&[NOW + YEAR, NOW + 100], refuse, refuse, &[]), NOW + 99);
    assert_eq!(end(&[NOW + 100], warn, refuse, &[]), END[1]);
    assert_eq!(end(&[u64::MAX], refuse, refuse, &list), LIST_END - 1);
    assert_eq!(end(&[u64::MAX], refuse, warn, &list), END[1]);
    // An end that is past changes nothing any more; one that is now does.
    assert_eq!(end(&[NOW - 1, u64::MAX], refuse, refuse, &[]), END[1]);
    assert_eq!(end(&[NOW, u64::MAX], refuse, refuse, &[]), NOW - 1);
}
