//! Valid files that will not do what the operator expects.

use aop_config::{ClientCa, RequiredKey};
use rcgen::{DnType, KeyPair};

use super::TestSite;
use crate::{
    FileRole, inspect,
    testing::{Authority, Leaf, pem, shared_data},
};

/// With `chain` as the server certificate file, a warning contains `words`.
#[track_caller]
fn server_warns(chain: &[&Leaf], key: &Leaf, words: &str) {
    let files = TestSite::good();
    files.write("server.pem", &chain.iter().map(|leaf| leaf.pem()).collect::<String>());
    files.write("server.key", &key.key_pem());
    says(&files, &["server.pem", words]);
}

#[track_caller]
fn says(files: &TestSite, words: &[&str]) {
    let warnings = files.build().unwrap();
    let matches = |warning: &String| words.iter().all(|word| warning.contains(word));
    assert!(warnings.iter().any(matches), "no warning has {words:?}: {warnings:#?}");
}

#[test]
fn a_server_certificate_without_the_hosts_of_its_site_is_warned_of() {
    let ca = Authority::new("server CA");
    let other = ca.server(&["example.com", "www.example.com"]);
    server_warns(&[&other], &other, "has no name for *.example.com:");
    let edge = ca.edge();
    server_warns(&[&edge], &edge, "has no serverAuth");
}

#[test]
fn a_chain_that_is_out_of_order_is_warned_of() {
    let (ca, stranger) = (Authority::new("server CA"), Authority::new("stranger"));
    let between = ca.intermediate("between");
    let leaf = between.server(&["example.com", "*.example.com"]);
    let alone = |certificate| Leaf { chain: vec![certificate], key: Vec::new() };
    server_warns(&[&leaf, &alone(stranger.certificate)], &leaf, "certificate 2 (CN=stranger");
    let files = TestSite::good();
    files.write("server.pem", &(leaf.pem() + &alone(between.certificate.clone()).pem()));
    files.write("server.key", &leaf.key_pem());
    assert_eq!(files.build(), Ok(vec![]));
}

/// The policy that a public CA writes into a certificate for which it validated a domain
/// (2.23.140.1.2.1).
fn public(params: &mut rcgen::CertificateParams) {
    let policies = b"\x30\x0a\x30\x08\x06\x06\x67\x81\x0c\x01\x02\x01".to_vec();
    let policies = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 32], policies);
    params.custom_extensions.push(policies);
}

/// The warnings that are mistakes.
fn mistakes(files: &TestSite) -> Vec<String> {
    let site = std::slice::from_ref(&files.config);
    let (_, warnings) = crate::Sites::build(site, &crate::SiteFiles::on_disk()).unwrap();
    warnings.mistakes(aop_types::unix_seconds())
}

/// A site with a server certificate of a public CA, of which the chain is complete.
fn public_site() -> (TestSite, Authority) {
    let between = Authority::new("public root").intermediate("public intermediate");
    let leaf = between.leaf(|params| {
        let names = vec!["example.com".to_owned(), "*.example.com".to_owned()];
        params.subject_alt_names = rcgen::CertificateParams::new(names).unwrap().subject_alt_names;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        public(params);
    });
    let files = TestSite::good();
    files.write("cert.pem", &leaf.pem());
    files.write("server.pem", &(leaf.pem() + &between.pem()));
    files.write("server.key", &leaf.key_pem());
    assert_eq!(files.build(), Ok(vec![]));
    (files, between)
}

#[test]
fn a_public_server_certificate_without_its_chain_is_a_mistake() {
    let (mut files, _) = public_site();
    files.config.certificate = files.config.certificate.with_file_name("cert.pem");
    let found = mistakes(&files);
    let [found] = &found[..] else { panic!("{found:?}") };
    for words in ["server certificate ", "cert.pem has no", "CN=public inter", "fullchain.pem"] {
        assert!(found.contains(words), "{found}");
    }
}

#[test]
fn the_public_ca_of_the_server_certificate_as_client_ca_is_a_mistake() {
    let (mut files, between) = public_site();
    files.write("ca.pem", &between.pem());
    let found = mistakes(&files);
    let [found] = &found[..] else { panic!("{found:?}") };
    for words in ["client CA ", "ca.pem is a public CA", "everybody can get one"] {
        assert!(found.contains(words), "{found}");
    }
    // Another public CA is known by its policy; a rule that names the peer makes either safe.
    files.write("ca.pem", &Authority::with("another", public).pem());
    assert_eq!(mistakes(&files).len(), 1);
    files.config.rules.cn = Some("pull.example.com".into());
    assert_eq!(files.build(), Ok(vec![]));
}

#[test]
fn a_private_ca_that_also_signs_the_server_certificate_is_no_mistake() {
    // The server certificate of the good files is of their client CA.
    assert_eq!(TestSite::good().build(), Ok(vec![]));
}

#[test]
fn cloudflares_origin_ca_as_a_client_ca_is_warned_of() {
    // Made here with the published name: the real certificate is not ours to commit.
    let origin_ca = Authority::with("ignored", |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "CloudFlare, Inc."),
            (DnType::OrganizationalUnitName, "CloudFlare Origin SSL ECC Certificate Authority"),
        ] {
            params.distinguished_name.push(kind, value);
        }
    });
    let files = TestSite::good();
    files.write("ca.pem", &origin_ca.pem());
    says(&files, &["ca.pem", "Origin CA", "every Cloudflare customer can get one"]);
    files.write("ca.pem", &origin_ca.edge().pem());
    says(&files, &["ca.pem", "Origin CA"]);
}

#[test]
fn shared_data_a_file_with_either_issue_of_the_global_ca_is_warned_of() {
    let Some(shared) = shared_data() else { return };
    for (name, also) in [
        ("authenticated_origin_pull_ca.pem", "any other Cloudflare customer can pass this check"),
        ("authenticated_origin_pull_ca_2015.pem", "expired on 2020-01-12"),
    ] {
        let files = TestSite::good();
        let text = std::fs::read_to_string(shared.join(name)).unwrap();
        files.write("ca.pem", &text);
        says(&files, &["ca.pem", "write cloudflare-global"]);
        says(&files, &["ca.pem", also]);
    }
}

#[test]
fn a_classical_ca_where_ml_dsa_is_required_is_warned_of() {
    let mut files = TestSite::good();
    files.config.rules.key = Some(RequiredKey::MlDsa);
    says(&files, &["ca.pem", "require_key gains nothing"]);
    let key = KeyPair::generate_for(&rcgen::PKCS_ML_DSA_65).unwrap();
    files.write("ca.pem", &Authority::of(key, "pq", |_| {}).pem());
    assert_eq!(files.build(), Ok(vec![]));
}

#[test]
fn each_file_is_inspected_even_if_another_one_cannot_be_used() {
    let mut files = TestSite::good();
    let key = KeyPair::generate_for(&rcgen::PKCS_ML_DSA_44).unwrap();
    files.write("ca.pem", &(files.authority.pem() + &Authority::of(key, "pq", |_| {}).pem()));
    files.write("server.key", "nonsense");
    let list = files.write("a.crl", &pem("X509 CRL", &files.authority.crl(&[7, 8], 2100)));
    files.config.rules.revocation.files = vec![list];
    files.config.client_ca.push(ClientCa::CloudflareGlobal);
    let [server, key, ca, global, crl] = &inspect(&files.config, &crate::SiteFiles::on_disk())[..]
    else {
        panic!("five files")
    };
    assert_eq!(server.role, FileRole::Certificate);
    assert_eq!(server.certificates[0].names, ["dns:example.com", "dns:*.example.com"]);
    assert!(!server.certificates[0].is_ca);
    assert!(key.error.as_ref().is_some_and(|error| error.contains("no private key")), "{key:?}");
    let keys: Vec<_> = ca.certificates.iter().map(|ca| (ca.key.as_str(), ca.is_ca)).collect();
    assert_eq!(keys, [("ECDSA P-256", true), ("ML-DSA-44", true)]);
    assert_eq!(
        (global.file.as_str(), &*global.certificates[0].key),
        ("cloudflare-global", "RSA 4096")
    );
    assert_eq!((crl.lists[0].entries, crl.error.as_ref()), (2, None));
}
