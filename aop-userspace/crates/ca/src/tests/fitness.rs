use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    date_time_ymd,
};

use super::*;
use crate::{Fitness, authority};

/// A certificate that signed itself, after `change`.
fn certificate(change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = authority::leaf(&hosts(&["a.test"])).expect("a leaf");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    change(&mut params);
    params.self_signed(&key()).expect("a certificate").pem()
}

fn fitness(text: &str) -> (Fitness, Fitness) {
    let certificate = &described(text).certificates[0];
    (certificate.upload.clone(), certificate.client_ca.clone())
}

fn says(fitness: &Fitness, words: &str) {
    assert!(fitness.against.iter().any(|it| it.contains(words)), "{words:?}: {fitness:?}");
}

#[test]
fn a_leaf_serves_as_upload_and_not_as_ca_and_a_ca_the_other_way_round() {
    let (ca, pem) = ca(&[], 10);
    let (upload, client_ca) = fitness(&pem);
    assert!(client_ca.is_fit() && !upload.is_fit());
    says(&upload, "is a CA");
    let leaf = issue(&ca, &["a.test"], 1).expect("a leaf").pem;
    let (upload, client_ca) = fitness(&leaf);
    assert!(upload.is_fit() && !client_ca.is_fit());
    says(&client_ca, "not a CA (no CA:TRUE)");
    says(&client_ca, "CN=test CA");
}

#[test]
fn each_reason_against_an_upload_is_named() {
    says(&fitness(&certificate(|_| {})).0, "signed itself");
    let server =
        certificate(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    says(&fitness(&server).0, "extended key usage without clientAuth");
    let usage = certificate(|it| it.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    says(&fitness(&usage).0, "key usage without digitalSignature");
    let expired = certificate(|it| it.not_after = date_time_ymd(2021, 1, 1));
    says(&fitness(&expired).0, "expired on 2021-01-01T00:00:00Z");
    let early = certificate(|it| it.not_before = date_time_ymd(2039, 1, 1));
    says(&fitness(&early).0, "is not valid before 2039-01-01T00:00:00Z");
    // rcgen writes version 3 alone: OpenSSL made these, with an RSA key of 1024 bits, and with
    // SHA-1.
    let weak = fitness(include_str!("weak.pem")).0;
    says(&weak, "X.509 version 1");
    says(&weak, "RSA key of 1024 bits");
    says(&weak, "SHA-1");
}

#[test]
fn each_reason_against_a_client_ca_is_named() {
    let ca = |change: fn(&mut CertificateParams)| {
        certificate(|it| {
            it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            it.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            change(it);
        })
    };
    assert!(fitness(&ca(|_| {})).1.is_fit());
    says(
        &fitness(&ca(|it| it.key_usages = vec![KeyUsagePurpose::CrlSign])).1,
        "without keyCertSign",
    );
    says(&fitness(&ca(|it| it.not_after = date_time_ymd(2021, 1, 1))).1, "expired on 2021");
    says(&fitness(include_str!("weak.pem")).1, "X.509 version 1");
}

#[test]
fn a_file_with_nothing_to_describe_is_refused_with_a_cure() {
    for text in ["", "nothing", "\u{30}\u{1}\u{2}"] {
        let error = describe(text.as_bytes(), now()).expect_err("nothing").to_string();
        assert!(error.contains("openssl x509 -inform DER"), "{error}");
    }
}
