//! Tests of the sites as a whole: under the mode overrides of an operator, and beside those of an
//! earlier configuration.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use aop_common::Mode;
use aop_config::{ClientCa, HostPattern, HttpVersion, OnRefusal, Resumption, SiteConfig};
use rustls::{
    SignatureScheme, client::ResolvesClientCert, pki_types::CertificateDer, sign::CertifiedKey,
};
use webpki::EndEntityCert;

use super::{
    TestSite,
    pull::{host, pull, site, sites},
};
use crate::{
    Site, SiteFiles, Sites,
    testing::{Authority, client},
};

fn build(configs: &[SiteConfig]) -> Sites {
    Sites::build(configs, &SiteFiles::on_disk()).unwrap().0
}

/// The same site under other hosts, the first of which is its name.
fn named(config: &SiteConfig, hosts: &[&str]) -> SiteConfig {
    let hosts: Vec<HostPattern> = hosts.iter().map(|host| host.parse().unwrap()).collect();
    SiteConfig { name: hosts[0].to_string(), hosts, ..config.clone() }
}

fn find<'a>(sites: &'a Sites, name: &str) -> &'a Arc<Site> {
    sites.find(&host(name)).unwrap()
}

fn set(names: &[&str]) -> HashSet<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[test]
fn an_override_changes_its_site_under_all_hosts_and_no_other_site() {
    let mut files = TestSite::good();
    files.config.rules.resumption = Resumption::Verified;
    let sites =
        build(&[files.config.clone(), named(&files.config, &["a.test", "*.a.test", "b.test"])]);
    assert_eq!(sites.names(), set(&["example.com", "a.test"]));
    assert_eq!(sites.observing_names(), set(&[]));
    let observing = sites.with_overrides(&BTreeMap::from([("a.test".into(), Mode::Observe)]));
    assert_eq!(observing.names(), sites.names());
    assert_eq!(observing.observing_names(), set(&["a.test"]));
    assert!(Arc::ptr_eq(find(&observing, "a.test"), find(&observing, "b.test")));
    assert!(Arc::ptr_eq(find(&observing, "a.test"), find(&observing, "x.a.test")));
    // The other site keeps its sessions.
    assert!(Arc::ptr_eq(find(&observing, "example.com"), find(&sites, "example.com")));
    let again = observing.with_overrides(&BTreeMap::new());
    assert_eq!((again.names(), again.observing_names()), (sites.names(), set(&[])));
    assert!(!Arc::ptr_eq(find(&again, "a.test"), find(&sites, "a.test")));
}

#[test]
fn a_site_still_observes_if_it_observes_under_every_host_that_it_had() {
    let mut files = TestSite::good();
    files.config.on_refusal = OnRefusal::Observe;
    let one = named(&files.config, &["one.test", "*.one.test", "two.test"]);
    let other = named(&files.config, &["other.test"]);
    let enforcing = SiteConfig { on_refusal: OnRefusal::Close, ..one.clone() };
    let before = build(&[one.clone(), other.clone()]);
    for (after, still) in [
        (vec![one.clone(), other.clone()], true),
        // Another site says nothing about this one, and a new host is no change.
        (vec![one.clone()], true),
        (vec![named(&one, &["one.test", "*.one.test", "two.test", "new.test"])], true),
        (vec![one.clone(), SiteConfig { on_refusal: OnRefusal::Close, ..other.clone() }], true),
        (vec![enforcing, other.clone()], false),
        (vec![named(&one, &["one.test", "*.one.test"])], false),
        (vec![named(&one, &["one.test", "two.test"])], false),
        (vec![], false),
        // Another site took a host over, even if that site observes too.
        (vec![named(&one, &["one.test", "*.one.test"]), named(&other, &["two.test"])], false),
        (vec![one.clone(), named(&other, &["x.one.test"])], false),
    ] {
        let hosts: Vec<_> = after.iter().map(|site| &site.hosts).collect();
        assert_eq!(build(&after).still_observes(&before, "one.test"), still, "{hosts:?}");
    }
}

#[test]
fn a_lost_host_reduces_trust_and_a_new_one_does_not() {
    let files = TestSite::good();
    let one = named(&files.config, &["one.test", "*.one.test"]);
    let more = named(&files.config, &["one.test", "*.one.test", "two.test", "*.two.test"]);
    let (one, more) = (build(&[one]), build(&[more]));
    assert!(more.keeps_trust_of(&one));
    assert!(!one.keeps_trust_of(&more));
}

#[test]
fn a_site_gives_its_upstream_its_names_and_its_mode() {
    let mut files = TestSite::good();
    let bytes = site(&files.config);
    assert_eq!((bytes.upstream(), bytes.http()), (&files.config.upstream, None));
    assert!(bytes.serves(&host("www.example.com")) && !bytes.serves(&host("example.org")));
    files.config.upstream = "h2c://127.0.0.1:1".parse().unwrap();
    let http = site(&files.config);
    assert_eq!(http.upstream(), &files.config.upstream);
    assert_eq!(http.http().unwrap().upstream.version, HttpVersion::H2c);
    for (on_refusal, explains, observes) in [
        (OnRefusal::Close, false, false),
        (OnRefusal::Explain, true, false),
        (OnRefusal::Observe, false, true),
    ] {
        files.config.on_refusal = on_refusal;
        let site = site(&files.config);
        assert_eq!((site.explains(), site.observes()), (explains, observes));
        assert_eq!(site.observe_token().is_some(), observes);
    }
}

/// Presents no certificate, and records the names of CAs in the request for one.
#[derive(Debug, Default)]
struct Hints(Mutex<Vec<Vec<u8>>>);

impl ResolvesClientCert for Hints {
    fn resolve(&self, names: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock().unwrap() = names.iter().map(|name| name.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_site_asks_for_a_certificate_of_its_client_cas_in_every_mode() {
    let mut files = TestSite::good();
    let cas = ["one", "two"].map(Authority::new);
    let text = cas.iter().map(Authority::pem).collect::<String>();
    files.config.client_ca = vec![ClientCa::File(files.write("cas.pem", &text))];
    let name = |der: &CertificateDer<'_>| EndEntityCert::try_from(der).unwrap().subject().to_vec();
    let names = cas.each_ref().map(|ca| name(&ca.certificate));
    let of_site = site(&files.config);
    assert_eq!(of_site.client_ca_names().collect::<Vec<_>>(), names);
    for on_refusal in [OnRefusal::Close, OnRefusal::Explain, OnRefusal::Observe] {
        files.config.on_refusal = on_refusal;
        let hints = Arc::new(Hints::default());
        let mut config = client(&files.authority, None, &crate::testing::BOTH);
        config.client_auth_cert_resolver = hints.clone();
        let (_, peer) = pull(&sites(&files), &Arc::new(config), "example.com").await;
        peer.unwrap();
        let asked = hints.0.lock().unwrap();
        assert_eq!(asked.len(), 2, "{on_refusal:?}");
        // A name in the request has its SEQUENCE header.
        assert!(asked.iter().zip(&names).all(|(asked, name)| asked.ends_with(name)));
    }
}
