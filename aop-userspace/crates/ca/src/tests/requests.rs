use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};

use super::*;
use crate::{RequestError, SigningRequest, authority, make_request};

/// A request of `key`, after `change`.
fn request(key: &PrivateKey, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = authority::leaf(&hosts(&["a.test"])).expect("a leaf");
    change(&mut params);
    params.serialize_request(key).and_then(|it| it.pem()).expect("a request")
}

fn read(text: &str) -> Result<SigningRequest, RequestError> {
    SigningRequest::read(text.as_bytes())
}

#[test]
fn a_request_of_each_kind_of_key_becomes_a_leaf_for_that_key() {
    let (ca, _) = ca(&["a.test"], 10);
    for algorithm in KeyAlgorithm::ALL {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let text = make_request(&hosts(&["a.test", "*.a.test"]), &key).expect("a request");
        let request = read(&text).expect("read");
        let names = request.names_or(Vec::new()).expect("DNS names");
        assert_eq!(names, hosts(&["a.test", "*.a.test"]));
        assert_eq!(request.names_or(hosts(&["b.test"])).expect("given"), hosts(&["b.test"]));
        let order = LeafOrder { hosts: names, days: 1 };
        let leaf = ca.issue(&order, &request.public_key, now()).expect("a leaf");
        let leaf = &described(&leaf.pem).certificates[0];
        assert_eq!(leaf.inspected.identity.spki_sha256, key.spki_sha256());
        assert!(leaf.upload.is_fit(), "{:?}", leaf.upload);
        let shown = &described(&text).requests[0];
        assert_eq!((shown.error.as_ref(), shown.spki_sha256.clone()), (None, key.spki_sha256()));
    }
}

#[test]
fn a_change_of_any_byte_never_changes_the_names_or_the_key_of_a_request() {
    let text = request(&key(), |_| {});
    let unchanged = read(&text).expect("unchanged");
    let body: String = text.lines().filter(|line| !line.contains('-')).collect();
    let der = BASE64.decode(body.as_bytes()).expect("base64");
    let mut bad_signatures = 0;
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let body = BASE64.encode(&changed);
        let text = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"
        );
        match read(&text) {
            Err(RequestError::BadSignature) => bad_signatures += 1,
            Err(_) => {}
            // The name of the algorithm is not signed, and its tag is read with tolerance.
            Ok(read) => {
                assert_eq!(read.names, unchanged.names, "{at}");
                assert_eq!(read.public_key.bytes, unchanged.public_key.bytes, "{at}");
            }
        }
    }
    assert!(bad_signatures > 100, "{bad_signatures}");
}

#[test]
fn a_request_for_a_ca_is_refused() {
    let key = key();
    read(&request(&key, |_| {})).expect("a leaf");
    let ca = request(&key, |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(matches!(read(&ca), Err(RequestError::WantsCa)));
    let signer = request(&key, |it| it.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    assert!(matches!(read(&signer), Err(RequestError::WantsCa)));
    let shown = &described(&ca).requests[0];
    assert!(shown.error.as_ref().is_some_and(|it| it.contains("CA certificate")), "{shown:?}");
}

#[test]
fn names_come_from_a_request_only_if_all_are_dns_names() {
    let key = key();
    for name in [
        SanType::IpAddress("192.0.2.1".parse().expect("it")),
        SanType::URI("spiffe://a.test/x".try_into().expect("it")),
        SanType::Rfc822Name("a@a.test".try_into().expect("it")),
        SanType::DnsName("a..test".try_into().expect("it")),
    ] {
        let request = read(&request(&key, |it| it.subject_alt_names.push(name))).expect("read");
        assert!(matches!(request.names_or(Vec::new()), Err(RequestError::Name(_))));
        assert_eq!(request.names_or(hosts(&["b.test"])).expect("given"), hosts(&["b.test"]));
    }
    // Without alternative names the common name counts, if it is a host.
    let named = |name: &str| {
        let request = request(&key, |it| {
            it.subject_alt_names.clear();
            it.distinguished_name = crate::names::subject(name);
        });
        read(&request).expect("read").names
    };
    assert_eq!(named("b.test"), hosts(&["b.test"]));
    assert_eq!(named("B Ltd."), hosts(&[]));
}

#[test]
fn the_extensions_of_a_leaf_are_ours_whatever_the_request_asks_for() {
    let (ca, _) = ca(&[], 10);
    let request = request(&key(), |it| {
        it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        it.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    });
    let request = read(&request).expect("read");
    let order = LeafOrder { hosts: request.names.clone(), days: 1 };
    let leaf = ca.issue(&order, &request.public_key, now()).expect("a leaf");
    let leaf = &described(&leaf.pem).certificates[0];
    assert_eq!(leaf.extended_key_usage, ["clientAuth"]);
    assert_eq!(leaf.key_usage, ["digitalSignature"]);
}

#[test]
fn a_key_that_cloudflare_would_not_take_is_refused_by_kind() {
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let params = authority::leaf(&hosts(&["a.test"])).expect("a leaf");
    let text = params.serialize_request(&ed25519).and_then(|it| it.pem()).expect("a request");
    let error = read(&text).expect_err("Ed25519").to_string();
    assert!(error.contains("of the kind Ed25519, 1.3.101.112"), "{error}");
    assert!(matches!(read("nothing"), Err(RequestError::Missing)));
}
