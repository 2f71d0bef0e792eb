//! Refused certificates: each has its reason and its TLS alert, in TLS 1.2 and 1.3.

use aop_tls::{
    Refusal,
    testing::{Authority, Leaf, far_ahead, long_ago},
};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use rustls::AlertDescription as Alert;

use super::rig::{OTHER_SITE, Rig, SITE};

#[tokio::test]
async fn without_a_certificate_a_peer_is_refused() {
    let rig = Rig::new().await;
    rig.refuses(None, SITE, Refusal::CertificateRequired, Alert::CertificateRequired).await;
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let rig = Rig::new().await;
    let leaf = Authority::new("somebody's CA").edge();
    rig.refuses(Some(&leaf), SITE, Refusal::UnknownCa, Alert::UnknownCA).await;
}

#[tokio::test]
async fn a_certificate_of_another_sites_ca_is_refused() {
    let rig = Rig::new().await;
    let other = rig.other_ca.edge();
    rig.serve(&rig.client(Some(&other)), OTHER_SITE).await;
    let leaf = rig.client_ca.edge();
    let client = rig.client(Some(&leaf));
    assert_eq!(rig.alert(&client, OTHER_SITE).await, Alert::UnknownCA);
    rig.refusals_counted(OTHER_SITE, Refusal::UnknownCa, 1).await;
}

#[tokio::test]
async fn a_certificate_for_servers_is_refused() {
    let rig = Rig::new().await;
    let leaf = rig.client_ca.leaf(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    rig.refuses(Some(&leaf), SITE, Refusal::WrongUsage, Alert::UnsupportedCertificate).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let rig = Rig::new().await;
    let leaf = rig.client_ca.leaf(long_ago);
    rig.refuses(Some(&leaf), SITE, Refusal::Expired, Alert::CertificateExpired).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused() {
    let rig = Rig::new().await;
    let leaf = rig.client_ca.leaf(far_ahead);
    rig.refuses(Some(&leaf), SITE, Refusal::NotYetValid, Alert::CertificateExpired).await;
}

#[tokio::test]
async fn a_certificate_of_version_1_is_refused_with_the_remedy() {
    let rig = Rig::new().await;
    let leaf = rig.client_ca.version_1();
    rig.refuses(Some(&leaf), SITE, Refusal::CertificateVersion, Alert::CertificateUnknown).await;
    assert!(
        Refusal::CertificateVersion
            .help()
            .unwrap()
            .contains("aop ca issue --ca ca.pem --csr leaf.csr")
    );
}

#[tokio::test]
async fn a_ca_certificate_is_refused_with_the_remedy() {
    let rig = Rig::new().await;
    let leaf = rig.client_ca.leaf(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    rig.refuses(Some(&leaf), SITE, Refusal::CaAsLeaf, Alert::CertificateUnknown).await;
    assert!(Refusal::CaAsLeaf.help().unwrap().contains("aop ca issue --ca ca.pem --host HOST"));
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused() {
    let rig = Rig::new().await;
    let leaf = Leaf::self_signed();
    rig.refuses(Some(&leaf), SITE, Refusal::CaAsLeaf, Alert::CertificateUnknown).await;
}

#[tokio::test]
async fn a_certificate_with_a_broken_signature_is_refused() {
    let rig = Rig::new().await;
    let mut leaf = rig.client_ca.edge();
    let mut der = leaf.chain[0].to_vec();
    *der.last_mut().unwrap() ^= 1;
    leaf.chain[0] = der.into();
    rig.refuses(Some(&leaf), SITE, Refusal::BadCertificate, Alert::DecryptError).await;
}

#[tokio::test]
async fn a_certificate_of_another_ca_with_the_same_name_is_refused() {
    let rig = Rig::new().await;
    let leaf = Authority::new("client CA").edge();
    rig.refuses(Some(&leaf), SITE, Refusal::BadCertificate, Alert::DecryptError).await;
}

#[tokio::test]
async fn bytes_that_are_no_certificate_are_refused() {
    let rig = Rig::new().await;
    let mut leaf = rig.client_ca.edge();
    leaf.chain[0] = b"nonsense".to_vec().into();
    rig.refuses(Some(&leaf), SITE, Refusal::BadCertificate, Alert::BadCertificate).await;
}

#[tokio::test]
async fn a_certificate_without_a_stated_usage_is_served() {
    let rig = Rig::new().await;
    let leaf = rig.client_ca.leaf(|params| params.extended_key_usages.clear());
    rig.serve(&rig.client(Some(&leaf)), SITE).await;
}

#[tokio::test]
async fn a_chain_is_served_with_its_intermediate_and_refused_without_it() {
    let rig = Rig::new().await;
    let between = rig.client_ca.intermediate("between");
    let mut leaf = between.edge();
    rig.refuses(Some(&leaf), SITE, Refusal::UnknownCa, Alert::UnknownCA).await;
    leaf.chain.push(between.certificate.clone());
    rig.serve(&rig.client(Some(&leaf)), SITE).await;
}
