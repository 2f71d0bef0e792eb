//! Tests of the files of revocation lists.

use std::{fs, path::PathBuf};

use aop_config::{ClientCa, CrlScope, SiteConfig};
use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint, IsCa, KeyPair, KeyUsagePurpose};

use super::TestSite;
use crate::{
    Sites,
    testing::{Authority, pem},
};

#[test]
fn an_unusable_revocation_list_is_refused_and_named() {
    let refuses = |bytes: &[u8], words: &str| {
        let mut files = TestSite::good();
        let file = files.directory.path().join("bad.crl");
        fs::write(&file, bytes).unwrap();
        files.config.rules.revocation.files = vec![file];
        let error = files.build().unwrap_err();
        assert!(error.contains("bad.crl") && error.contains(words), "{error}");
    };
    let good = Authority::new("ca").crl(&[7], 2100);
    refuses(b"", "is empty");
    refuses(b"not PEM", "holds no revocation list");
    refuses(Authority::new("ca").pem().as_bytes(), "holds no revocation list");
    refuses(&good[..good.len() / 2], "is malformed");
    refuses(pem("X509 CRL", &good[..good.len() / 2]).as_bytes(), "is malformed");
}

#[test]
fn two_revocation_lists_of_one_issuer_are_refused() {
    let mut files = TestSite::good();
    let lists = [
        list(&files, "a.crl", &files.authority, &[7]),
        list(&files, "b.crl", &files.authority, &[8]),
    ];
    files.config.rules.revocation.files = lists.to_vec();
    let error = files.build().unwrap_err();
    assert!(
        error.contains("a.crl") && error.contains("b.crl") && error.contains("only the newer one"),
        "{error}"
    );
}

#[test]
fn the_expiry_of_a_list_is_warned_of_one_day_before_and_after() {
    let mut files = TestSite::good();
    files.config.rules.revocation.files = vec![list(&files, "a.crl", &files.authority, &[7])];
    let (_, warnings) =
        Sites::build(std::slice::from_ref(&files.config), &crate::SiteFiles::on_disk()).unwrap();
    // 2100-12-31.
    let end = 4_133_894_400;
    let warning = |now| warnings.texts(now).into_iter().find(|text| text.contains("a.crl"));
    assert_eq!(warning(end - 2 * 24 * 3600), None);
    assert!(warning(end - 24 * 3600).is_some_and(|text| text.contains("expires in 1 days")));
    assert!(
        warning(end + 1).is_some_and(
            |text| text.contains("expired on 2100-12-31") && text.contains("are refused")
        )
    );
}

/// A site with these client CAs, whose file `a.crl` has this text.
fn site_with_list(client_cas: &[&Authority], text: &str) -> TestSite {
    let mut files = TestSite::good();
    let cas: String = client_cas.iter().map(|ca| ca.pem()).collect();
    files.config.client_ca = vec![ClientCa::File(files.write("ca.pem", &cas))];
    files.config.rules.revocation.files = vec![files.write("a.crl", text)];
    files
}

fn crl(authority: &Authority) -> String {
    pem("X509 CRL", &authority.crl(&[7], 2100))
}

#[test]
fn a_list_that_no_client_ca_signed_is_refused_and_named() {
    let (ca, other, namesake) =
        (Authority::new("ca"), Authority::new("other"), Authority::new("ca"));
    assert_eq!(site_with_list(&[&ca], &crl(&ca)).build(), Ok(vec![]));
    let mut damaged = ca.crl(&[7], 2100);
    *damaged.last_mut().unwrap() ^= 1;
    for (text, words) in [
        (crl(&other), "of CN=other, O=\"Acme, \\\"Quoted\\\" Inc.\", which is no client CA"),
        (crl(&namesake), "no CA of this name signed"),
        (pem("X509 CRL", &damaged), "no CA of this name signed"),
        (crl(&ca) + &crl(&other), "which is no client CA"),
    ] {
        let error = site_with_list(&[&ca], &text).build().unwrap_err();
        assert!(error.contains("a.crl: ") && error.contains(words), "{error}");
    }
}

#[test]
fn a_client_ca_that_was_renewed_with_another_key_has_a_list_of_each_key() {
    let (old, new) = (Authority::new("ca"), Authority::new("ca"));
    let both = crl(&old) + &crl(&new);
    assert_eq!(site_with_list(&[&old, &new], &both).build(), Ok(vec![]));
    let [warning] = &site_with_list(&[&old, &new], &crl(&old)).build().unwrap()[..] else {
        panic!("no warning")
    };
    assert!(warning.contains("ca.pem has no revocation list"), "{warning}");
    let twice = both + &crl(&new);
    let error = site_with_list(&[&old, &new], &twice).build().unwrap_err();
    assert!(error.contains("only the newer one"), "{error}");
    let error = site_with_list(&[&new], &(crl(&old) + &crl(&new))).build().unwrap_err();
    assert!(error.contains("no CA of this name signed"), "{error}");
}

#[test]
fn a_list_of_an_intermediate_ca_needs_a_certificate_that_leads_to_a_client_ca() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let between = ca.intermediate("between");
    let below = between.intermediate("below");
    let refused = |text: String, words: &str| {
        let error = site_with_list(&[&ca], &text).build().unwrap_err();
        assert!(error.contains("a.crl: ") && error.contains(words), "{error}");
    };
    for good in [
        between.pem() + &crl(&between),
        crl(&between) + &between.pem(),
        // The order does not matter.
        below.pem() + &between.pem() + &crl(&below) + &crl(&between),
    ] {
        assert_eq!(site_with_list(&[&ca], &(good + &crl(&ca))).build(), Ok(vec![]));
    }
    refused(crl(&between), "put its certificate into this file too");
    refused(below.pem() + &crl(&below), "which is no client CA");
    let stranger = other.intermediate("between");
    refused(stranger.pem() + &crl(&stranger), "which is no client CA");
    refused(between.pem() + &crl(&stranger), "no CA of this name signed");
    // Another CA with the name of the client CA signed its certificate.
    let namesakes = Authority::new("ca").intermediate("between");
    refused(namesakes.pem() + &crl(&namesakes), "which is no client CA");
    // RFC 5280, 6.3.3, f.
    let key = KeyPair::generate().unwrap().serialize_der();
    let with = |usage: &[KeyUsagePurpose]| {
        let key = KeyPair::try_from(key.as_slice()).unwrap();
        ca.intermediate_of(key, "between", |params| params.key_usages = usage.to_vec())
    };
    let may = with(&[KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]);
    assert_eq!(site_with_list(&[&ca], &(may.pem() + &crl(&may) + &crl(&ca))).build(), Ok(vec![]));
    refused(with(&[KeyUsagePurpose::KeyCertSign]).pem() + &crl(&may), "which is no client CA");
    let leaf = ca.intermediate_of(KeyPair::generate().unwrap(), "leaf", |params| {
        params.is_ca = IsCa::NoCa;
    });
    refused(leaf.pem() + &crl(&leaf), "which is no client CA");
}

#[test]
fn a_client_ca_may_have_a_list_for_each_part_of_its_certificates_and_one_alone_for_all() {
    let ca = Authority::new("ca");
    let of = |uri: &str| {
        let distribution_point = CrlDistributionPoint { uris: vec![uri.into()] };
        let part = CrlIssuingDistributionPoint { distribution_point, scope: None };
        pem("X509 CRL", &ca.crl_of(Some(part), &[7], 2100))
    };
    let build = |text: &str| site_with_list(&[&ca], text).build();
    assert_eq!(build(&(of("http://a/") + &of("http://b/"))), Ok(vec![]));
    let (part, all) = (of("http://a/"), crl(&ca));
    for both in [of("http://a/") + &part, all.clone() + &part, part + &all] {
        let error = build(&both).unwrap_err();
        assert!(error.contains("only the newer one"), "{error}");
    }
    // Parts of two CAs have nothing to do with each other.
    let between = ca.intermediate("between");
    let text = crl(&ca) + &between.pem() + &crl(&between);
    assert_eq!(build(&text), Ok(vec![]));
}

#[test]
fn only_where_whole_chains_are_checked_does_a_client_ca_need_a_list_of_its_own() {
    let ca = Authority::new("ca");
    let between = ca.intermediate("between");
    let mut files = site_with_list(&[&ca], &(between.pem() + &crl(&between)));
    let warnings = files.build().unwrap();
    assert!(warnings[0].contains("has no revocation list"), "{warnings:?}");
    files.config.rules.revocation.scope = CrlScope::Leaf;
    assert_eq!(files.build(), Ok(vec![]));
}

#[test]
fn sites_that_name_the_same_list_share_it() {
    let mut files = TestSite::good();
    let text = crl(&files.authority);
    let configs: Vec<SiteConfig> = (0..50)
        .map(|n| {
            let mut config = files.config.clone();
            // Half of them have a copy under another path.
            let name = if n % 2 == 0 { "a.crl".to_owned() } else { format!("{n}.crl") };
            config.rules.revocation.files = vec![files.write(&name, &text)];
            config
        })
        .collect();
    files.config = configs[0].clone();
    let disk = crate::SiteFiles::on_disk();
    Sites::build(&configs, &disk).unwrap();
    let paths = configs.iter().map(|config| &config.rules.revocation.files[0]);
    let read: Vec<_> = paths.map(|path| disk.lists(path).unwrap()).collect();
    assert!(read.iter().all(|lists| std::sync::Arc::ptr_eq(lists, &read[0])));
}

pub(super) fn list(
    files: &TestSite,
    name: &str,
    authority: &Authority,
    serials: &[u64],
) -> PathBuf {
    files.write(name, &pem("X509 CRL", &authority.crl(serials, 2100)))
}
