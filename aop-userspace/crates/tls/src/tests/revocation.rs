//! Tests of the revocation of peers, at chosen times.

use std::{sync::Arc, time::Duration};

use aop_config::{CertificateRules, CrlScope, OnExpiry, Revocation};
use rcgen::{
    CertificateParams, CrlDistributionPoint, CrlIssuingDistributionPoint, KeyPair, SerialNumber,
};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime},
};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder,
};

use super::rules::{NOW, YEAR, anchor, judged, verifier};
use crate::{
    Refusal,
    revocation::SignedList,
    revocation_list::RevocationList,
    signed_der::{SEQUENCE, element},
    testing::{Authority, INTERMEDIATE, Leaf},
};

fn signed(authority: &Authority, der: &[u8]) -> SignedList {
    let list = RevocationList::parse(der).unwrap();
    SignedList { list: Arc::new(list), key: anchor(authority, 0).signer().key }
}

pub(super) fn crl(authority: &Authority, serials: &[u64], year: i32) -> SignedList {
    signed(authority, &authority.crl(serials, year))
}

fn numbered(serial: u64) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from(serial))
}

fn revocation(scope: CrlScope, expired: OnExpiry) -> CertificateRules {
    CertificateRules {
        revocation: Revocation { files: vec![], scope, expired },
        ..CertificateRules::default()
    }
}

#[test]
fn a_certificate_is_refused_if_it_is_revoked_or_no_list_covers_it() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let anchors = [anchor(&ca, u64::MAX), anchor(&other, u64::MAX)];
    let rules = revocation(CrlScope::Chain, OnExpiry::Refuse);
    let with = verifier(&anchors, &rules, &[crl(&ca, &[7, 9], 2100)]);
    assert_eq!(judged(&with, &ca.leaf(numbered(8)), NOW), Ok(()));
    assert_eq!(judged(&with, &ca.leaf(numbered(7)), NOW), Err(Refusal::Revoked));
    assert_eq!(judged(&with, &ca.leaf(numbered(9)), NOW), Err(Refusal::Revoked));
    assert_eq!(judged(&with, &other.leaf(numbered(8)), NOW), Err(Refusal::UnknownRevocation));
}

#[test]
fn with_a_list_that_another_key_signed_every_certificate_of_its_issuer_is_refused() {
    let (ca, namesake) = (Authority::new("ca"), Authority::new("ca"));
    let rules = revocation(CrlScope::Chain, OnExpiry::Refuse);
    let with = verifier(&[anchor(&ca, u64::MAX)], &rules, &[crl(&namesake, &[], 2100)]);
    assert_eq!(judged(&with, &ca.leaf(numbered(8)), NOW), Err(Refusal::UnknownRevocation));
}

#[test]
fn peers_of_an_expired_list_are_refused_or_served_as_configured() {
    let ca = Authority::new("ca");
    let (good, revoked) = (ca.leaf(numbered(8)), ca.leaf(numbered(7)));
    let under = |expired| {
        verifier(
            &[anchor(&ca, u64::MAX)],
            &revocation(CrlScope::Chain, expired),
            &[crl(&ca, &[7], 2025)],
        )
    };
    let strict = under(OnExpiry::Refuse);
    assert_eq!(judged(&strict, &good, NOW), Ok(()));
    assert_eq!(judged(&strict, &good, NOW + YEAR), Err(Refusal::CrlExpired));
    let tolerant = under(OnExpiry::Warn);
    assert_eq!(judged(&tolerant, &good, NOW + YEAR), Ok(()));
    assert_eq!(judged(&tolerant, &revoked, NOW + YEAR), Err(Refusal::Revoked));
}

#[test]
fn revocation_is_checked_for_the_whole_chain_or_the_leaf_alone() {
    let ca = Authority::new("ca");
    let between = ca.intermediate("between");
    let mut leaf = between.leaf(numbered(8));
    leaf.chain.push(between.certificate.clone());
    let under = |scope, lists: &[SignedList]| {
        judged(
            &verifier(&[anchor(&ca, u64::MAX)], &revocation(scope, OnExpiry::Refuse), lists),
            &leaf,
            NOW,
        )
    };
    let (of_leaf, of_between) = (crl(&between, &[7], 2100), crl(&ca, &[7], 2100));
    assert_eq!(under(CrlScope::Leaf, std::slice::from_ref(&of_leaf)), Ok(()));
    assert_eq!(
        under(CrlScope::Chain, std::slice::from_ref(&of_leaf)),
        Err(Refusal::UnknownRevocation)
    );
    assert_eq!(under(CrlScope::Chain, &[of_leaf.clone(), of_between]), Ok(()));
    let lists = [of_leaf, crl(&ca, &[INTERMEDIATE], 2100)];
    assert_eq!(under(CrlScope::Leaf, &lists), Ok(()));
    assert_eq!(under(CrlScope::Chain, &lists), Err(Refusal::Revoked));
}

#[test]
fn two_client_cas_of_one_name_each_have_their_own_list() {
    let (old, new) = (Authority::new("ca"), Authority::new("ca"));
    let anchors = [anchor(&old, u64::MAX), anchor(&new, u64::MAX)];
    let rules = revocation(CrlScope::Chain, OnExpiry::Refuse);
    let lists = [crl(&old, &[7], 2100), crl(&new, &[8], 2100)];
    let reversed = [lists[1].clone(), lists[0].clone()];
    for lists in [&lists, &reversed] {
        let both = verifier(&anchors, &rules, lists);
        for (ca, good, revoked) in [(&old, 8, 7), (&new, 7, 8)] {
            assert_eq!(judged(&both, &ca.leaf(numbered(good)), NOW), Ok(()));
            let refused = judged(&both, &ca.leaf(numbered(revoked)), NOW);
            assert_eq!(refused, Err(Refusal::Revoked));
        }
    }
    // The list of one says nothing about peers of the other.
    let one = verifier(&anchors, &rules, &lists[..1]);
    assert_eq!(judged(&one, &old.leaf(numbered(8)), NOW), Ok(()));
    assert_eq!(judged(&one, &new.leaf(numbered(8)), NOW), Err(Refusal::UnknownRevocation));
}

#[test]
fn two_intermediate_cas_of_one_name_each_have_their_own_list() {
    let ca = Authority::new("ca");
    let [old, new] = [(); 2].map(|()| ca.intermediate("between"));
    let leaf = |between: &Authority, serial| {
        let mut leaf = between.leaf(numbered(serial));
        leaf.chain.push(between.certificate.clone());
        leaf
    };
    let lists = [crl(&ca, &[], 2100), crl(&old, &[7], 2100), crl(&new, &[8], 2100)];
    let rules = revocation(CrlScope::Chain, OnExpiry::Refuse);
    let verifier = verifier(&[anchor(&ca, u64::MAX)], &rules, &lists);
    for (between, good, revoked) in [(&old, 8, 7), (&new, 7, 8)] {
        assert_eq!(judged(&verifier, &leaf(between, good), NOW), Ok(()));
        assert_eq!(judged(&verifier, &leaf(between, revoked), NOW), Err(Refusal::Revoked));
    }
}

/// The judgement of webpki, which finds lists by the names of their issuers.
fn webpki_judges(ca: &Authority, leaf: &Leaf, lists: &[Vec<u8>]) -> Result<(), Refusal> {
    let lists: Vec<CertRevocationList<'_>> =
        lists.iter().map(|der| OwnedCertRevocationList::from_der(der).unwrap().into()).collect();
    let lists: Vec<_> = lists.iter().collect();
    let options = RevocationOptionsBuilder::new(&lists)
        .unwrap()
        .with_expiration_policy(webpki::ExpirationPolicy::Enforce)
        .build();
    let (leaf, between): (&CertificateDer<'_>, _) = leaf.chain.split_first().unwrap();
    let anchors = [anchor(ca, u64::MAX).trust];
    let leaf = EndEntityCert::try_from(leaf).unwrap();
    let judged = leaf.verify_for_usage(
        aws_lc_rs::default_provider().signature_verification_algorithms.all,
        &anchors,
        between,
        UnixTime::since_unix_epoch(Duration::from_secs(NOW)),
        KeyUsage::client_auth(),
        Some(options),
        None,
    );
    match judged.map(drop) {
        Ok(()) => Ok(()),
        Err(webpki::Error::CertRevoked) => Err(Refusal::Revoked),
        Err(webpki::Error::UnknownRevocationStatus) => Err(Refusal::UnknownRevocation),
        Err(webpki::Error::CrlExpired { .. }) => Err(Refusal::CrlExpired),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn lists_of_a_part_of_the_certificates_are_judged_as_webpki_judges_them() {
    use rcgen::CrlScope::{CaCertsOnly, UserCertsOnly};
    let places = |uris: &[&str]| CrlDistributionPoint {
        uris: uris.iter().map(ToString::to_string).collect(),
    };
    let part = |uris: &[&str], scope| {
        Some(CrlIssuingDistributionPoint { distribution_point: places(uris), scope })
    };
    let parts = [
        None,
        part(&["http://a/"], None),
        part(&["http://a/"], Some(UserCertsOnly)),
        part(&["http://b/", "http://a/"], Some(CaCertsOnly)),
    ];
    let named = [
        vec![],
        vec![places(&["http://a/"])],
        vec![places(&["http://c/"]), places(&["http://d/", "http://a/"])],
        vec![places(&["http://c/"])],
        vec![places(&["http://a/x"])],
    ];
    let ca = Authority::new("ca");
    let rules = revocation(CrlScope::Chain, OnExpiry::Refuse);
    let mut seen = std::collections::HashMap::new();
    for points in &named {
        let between = ca.intermediate_of(KeyPair::generate().unwrap(), "between", |params| {
            params.crl_distribution_points.clone_from(points);
        });
        let mut leaf = between.leaf(|params| {
            numbered(7)(params);
            params.crl_distribution_points.clone_from(points);
        });
        leaf.chain.push(between.certificate.clone());
        for (issuer, other, serial) in [(&between, &ca, 7), (&ca, &between, INTERMEDIATE)] {
            let other = other.crl(&[], 2100);
            for part in &parts {
                for (serials, year) in [(vec![], 2100), (vec![serial], 2100), (vec![], 2024)] {
                    let der = issuer.crl_of(part.clone(), &serials, year);
                    let expected = webpki_judges(&ca, &leaf, &[der.clone(), other.clone()]);
                    let other_issuer = if serial == 7 { &ca } else { &between };
                    let lists = [signed(issuer, &der), signed(other_issuer, &other)];
                    let judged =
                        judged(&verifier(&[anchor(&ca, u64::MAX)], &rules, &lists), &leaf, NOW);
                    assert_eq!(judged, expected, "{points:?} {part:?} {serials:?} {year}");
                    *seen.entry(format!("{expected:?}")).or_insert(0) += 1;
                }
            }
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// The extension of a certificate that names `http://a/` as the place of its list, with more
/// fields in the distribution point (RFC 5280, 4.2.1.13).
fn place(more: &[u8]) -> rcgen::CustomExtension {
    let uri = element(0x86, b"http://a/");
    let place = element(0xa0, &element(0xa0, &uri));
    let point = element(SEQUENCE, &[&place, more].concat());
    rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 31], element(SEQUENCE, &point))
}

#[test]
fn a_place_for_some_reasons_or_of_another_issuer_is_not_that_of_the_list() {
    let ca = Authority::new("ca");
    let distribution_point = CrlDistributionPoint { uris: vec!["http://a/".into()] };
    let part = CrlIssuingDistributionPoint { distribution_point, scope: None };
    let list = signed(&ca, &ca.crl_of(Some(part), &[], 2100));
    let rules = revocation(CrlScope::Chain, OnExpiry::Refuse);
    let verifier = verifier(&[anchor(&ca, u64::MAX)], &rules, &[list]);
    let reasons = element(0x81, &[0, 0x40]);
    let issuer = element(0xa2, &element(0x86, b"http://issuer/"));
    for (more, judgement) in [
        (vec![], Ok(())),
        (reasons.clone(), Err(Refusal::UnknownRevocation)),
        (issuer.clone(), Err(Refusal::UnknownRevocation)),
        ([reasons, issuer].concat(), Err(Refusal::UnknownRevocation)),
    ] {
        let leaf = ca.leaf(|params| params.custom_extensions.push(place(&more)));
        assert_eq!(judged(&verifier, &leaf, NOW), judgement, "{more:?}");
    }
}
