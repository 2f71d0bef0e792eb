//! Valid files that will not do what the operator expects.

use aop_config::{CertificateRules, RequiredKey, SpkiPin};
use rcgen::{DnType, KeyPair};

use super::TestSite;
use crate::{
    signed_der::{SEQUENCE, element},
    testing::{Authority, Leaf, long_ago, shared_data},
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
    let words = "certificate 2 (CN=stranger, O=\"Acme, \\\"Quoted\\\" Inc.\") did not sign \
                 certificate 1, whose issuer is CN=between";
    server_warns(&[&leaf, &alone(stranger.certificate)], &leaf, words);
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
fn a_public_ca_is_no_mistake_if_any_rule_names_the_peer() {
    let (mut files, between) = public_site();
    files.write("ca.pem", &between.pem());
    let none = files.config.rules.clone();
    assert_eq!(mistakes(&files).len(), 1);
    let rules = [
        CertificateRules { san: vec!["dns:edge.test".parse().unwrap()], ..none.clone() },
        CertificateRules { cn: Some("edge".into()), ..none.clone() },
        CertificateRules { pins: vec![SpkiPin([1; 32])], ..none },
    ];
    for rules in rules {
        files.config.rules = rules;
        assert_eq!(mistakes(&files), Vec::<String>::new(), "{:?}", files.config.rules);
    }
}

#[test]
fn a_certificate_of_a_public_ca_that_is_no_ca_is_warned_of_as_such_alone() {
    let files = TestSite::good();
    files.write("ca.pem", &Authority::new("private").leaf(public).pem());
    let found = mistakes(&files);
    let [found] = &found[..] else { panic!("{found:?}") };
    assert!(found.contains("not a CA"), "{found}");
}

#[test]
fn only_the_policies_that_browsers_demand_make_a_ca_public() {
    let files = TestSite::good();
    // The ends of the object identifiers 2.23.140.1.1 (extended validation), 2.23.140.1.2.3
    // (individual) and 2.23.140.1.3 (code signing).
    for (end, is_public) in [(&[1][..], true), (&[2, 3], true), (&[3], false)] {
        let oid = [&[0x67, 0x81, 0x0c, 1], end].concat();
        let content = element(SEQUENCE, &element(SEQUENCE, &element(6, &oid)));
        let ca = Authority::with("ca", |params| {
            let policies = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 32], content);
            params.custom_extensions.push(policies);
        });
        files.write("ca.pem", &ca.pem());
        assert_eq!(mistakes(&files).len(), usize::from(is_public), "{end:?}");
    }
}

#[test]
fn a_server_certificate_file_that_begins_with_a_ca_is_warned_of() {
    let first = Authority::new("server CA").leaf(|params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    server_warns(&[&first], &first, "begins with a CA");
}

#[test]
fn a_host_is_covered_by_its_name_or_by_a_star_one_label_up() {
    let ca = Authority::new("server CA");
    for (names, hosts, missing) in [
        (&["Example.com", "*.EXAMPLE.com"][..], &["example.com", "*.example.com"][..], None),
        (&["*.example.com"], &["www.example.com"], None),
        (&["*.example.com"], &["example.com"], Some("no name for example.com:")),
        (&["*.example.com"], &["a.b.example.com"], Some("no name for a.b.example.com:")),
        (&["www.example.com"], &["*.example.com"], Some("no name for *.example.com:")),
        (&["a.test"], &["b.test", "a.test", "*.a.test"], Some("no name for b.test, *.a.test:")),
    ] {
        let mut files = TestSite::good();
        files.config.hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let server = ca.server(names);
        files.write("server.pem", &server.pem());
        files.write("server.key", &server.key_pem());
        match missing {
            None => assert_eq!(files.build(), Ok(vec![]), "{names:?} {hosts:?}"),
            Some(words) => says(&files, &["server.pem", words]),
        }
    }
}

#[test]
fn files_that_sites_share_are_warned_of_once() {
    let files = TestSite::good();
    let server = files.authority.leaf(long_ago);
    files.write("server.pem", &server.pem());
    files.write("server.key", &server.key_pem());
    let alone = files.build().unwrap();
    let second = aop_config::SiteConfig { name: "second".into(), ..files.config.clone() };
    let sites = [files.config.clone(), second];
    let (_, warnings) = crate::Sites::build(&sites, &crate::SiteFiles::on_disk()).unwrap();
    assert_eq!(warnings.texts(aop_types::unix_seconds()), alone);
    assert!(alone.len() > 1, "{alone:?}");
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
