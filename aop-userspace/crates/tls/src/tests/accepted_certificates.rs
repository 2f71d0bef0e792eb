//! Tests of which reloads reduce trust.

use aop_config::{ClientCa, CrlScope, OnExpiry, RequiredKey, SiteConfig, SpkiPin};

use super::{TestSite, revocation_files::list};
use crate::{Sites, testing::Authority};

/// Whether the sites after `change` keep the trust of those before it, and vice versa.
fn kept(
    begin: impl FnOnce(&TestSite, &mut SiteConfig),
    change: impl FnOnce(&TestSite, &mut SiteConfig),
) -> (bool, bool) {
    let files = TestSite::good();
    let mut config = files.config.clone();
    begin(&files, &mut config);
    let (before, _) =
        Sites::build(std::slice::from_ref(&config), &crate::SiteFiles::on_disk()).unwrap();
    change(&files, &mut config);
    let (after, _) =
        Sites::build(std::slice::from_ref(&config), &crate::SiteFiles::on_disk()).unwrap();
    (after.keeps_trust_of(&before), before.keeps_trust_of(&after))
}

#[test]
fn an_unchanged_site_keeps_trust() {
    assert_eq!(kept(|_, _| {}, |_, _| {}), (true, true));
}

#[test]
fn adding_a_rule_reduces_trust_and_removing_it_does_not() {
    type Change = fn(&TestSite, &mut SiteConfig);
    let cases: [Change; 6] = [
        |_, site| site.rules.san = vec!["dns:edge.example.com".parse().unwrap()],
        |_, site| site.rules.cn = Some("edge".into()),
        |_, site| site.rules.pins = vec![SpkiPin([1; 32])],
        |_, site| site.rules.key = Some(RequiredKey::MlDsa),
        |files, site| {
            site.rules.revocation.files = vec![list(files, "a.crl", &files.authority, &[])]
        },
        |files, site| {
            site.client_ca =
                vec![ClientCa::File(files.write("other.pem", &Authority::new("other").pem()))];
        },
    ];
    for change in cases.into_iter().take(5) {
        assert_eq!(kept(|_, _| {}, change), (false, true));
    }
    assert_eq!(kept(|_, _| {}, cases[5]), (false, false));
    assert_eq!(
        kept(
            |_, site| site.rules.expired_ca = OnExpiry::Warn,
            |_, site| site.rules.expired_ca = OnExpiry::Refuse
        ),
        (false, true)
    );
}

#[test]
fn a_host_that_moves_from_a_star_to_its_own_site_keeps_trust_if_the_client_cas_are_kept() {
    let files = TestSite::good();
    let other = ClientCa::File(files.write("other.pem", &Authority::new("other").pem()));
    let mut star = files.config.clone();
    star.hosts = vec!["*.example.com".parse().unwrap()];
    let named = |host: &str, client_ca: &[ClientCa]| {
        let hosts = vec![host.parse().unwrap()];
        let client_ca = client_ca.to_vec();
        SiteConfig { name: host.into(), hosts, client_ca, ..files.config.clone() }
    };
    let build =
        |configs: &[SiteConfig]| Sites::build(configs, &crate::SiteFiles::on_disk()).unwrap().0;
    let before = build(std::slice::from_ref(&star));
    let both = [star.client_ca.clone(), vec![other.clone()]].concat();
    for (host, client_ca, keeps) in [
        ("x.example.com", &star.client_ca, true),
        ("x.example.com", &both, true),
        ("x.example.com", &vec![other.clone()], false),
        // No star covered these.
        ("x.y.example.com", &vec![other.clone()], true),
        ("example.com", &vec![other.clone()], true),
    ] {
        let after = build(&[star.clone(), named(host, client_ca)]);
        assert_eq!(after.keeps_trust_of(&before), keeps, "{host}");
    }
}

#[test]
fn adding_an_alternative_keeps_trust_and_removing_one_does_not() {
    let san = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
    let (one, two) = (san(&["dns:a.test"]), san(&["dns:a.test", "uri:spiffe://b"]));
    assert_eq!(kept(|_, site| site.rules.san = one, |_, site| site.rules.san = two), (true, false));
    let (one, two) = (vec![SpkiPin([1; 32])], vec![SpkiPin([1; 32]), SpkiPin([2; 32])]);
    assert_eq!(
        kept(|_, site| site.rules.pins = one, |_, site| site.rules.pins = two),
        (true, false)
    );
}

#[test]
fn a_longer_revocation_list_reduces_trust_and_a_new_file_with_the_same_entries_does_not() {
    let with = |name: &'static str, serials: &'static [u64]| {
        move |files: &TestSite, site: &mut SiteConfig| {
            site.rules.revocation.files = vec![list(files, name, &files.authority, serials)];
        }
    };
    assert_eq!(kept(with("a.crl", &[7]), with("a.crl", &[7, 8])), (false, true));
    assert_eq!(kept(with("a.crl", &[7]), with("b.crl", &[7])), (true, true));
    // A list of a second issuer accepts peers whose revocation status was unknown.
    let other = Authority::new("other");
    let lists = |count: usize| {
        let other = &other;
        move |files: &TestSite, site: &mut SiteConfig| {
            let cas = files.authority.pem() + &other.pem();
            site.client_ca = vec![ClientCa::File(files.write("both.pem", &cas))];
            let own = list(files, "a.crl", &files.authority, &[7]);
            let of_other = list(files, "o.crl", other, &[8]);
            site.rules.revocation.files = [own, of_other].into_iter().take(count).collect();
        }
    };
    assert_eq!(kept(lists(1), lists(2)), (true, false));
    let scope = |scope| {
        move |files: &TestSite, site: &mut SiteConfig| {
            with("a.crl", &[7])(files, site);
            site.rules.revocation.scope = scope;
        }
    };
    assert_eq!(kept(scope(CrlScope::Leaf), scope(CrlScope::Chain)), (false, true));
    let expired = |expired| {
        move |files: &TestSite, site: &mut SiteConfig| {
            with("a.crl", &[7])(files, site);
            site.rules.revocation.expired = expired;
        }
    };
    assert_eq!(kept(expired(OnExpiry::Warn), expired(OnExpiry::Refuse)), (false, true));
}
