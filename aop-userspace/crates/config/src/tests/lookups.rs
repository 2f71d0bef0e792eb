//! Tests of what a configuration answers about its sites and its prefix list.

use std::time::Duration;

use super::{LISTENER, read};
use crate::ReloadableConfig;

fn live(text: &str) -> ReloadableConfig {
    read(text).expect("a configuration").live
}

fn two_sites() -> ReloadableConfig {
    let site = |hosts: &str| {
        format!(
            "[[site]]\nhosts = [{hosts}]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = [\"a\"]\n\
             upstream = \"http://127.0.0.1:1\"\n"
        )
    };
    let wide = site("\"a.test\", \"*.a.test\"");
    live(&format!("{LISTENER}{wide}{}", site("\"www.a.test\", \"b.test\"")))
}

#[test]
fn sites_are_named_by_their_first_hosts_in_the_order_of_the_file() {
    assert_eq!(two_sites().site_names(), ["a.test", "www.a.test"]);
}

#[test]
fn a_site_is_found_by_its_name_a_pattern_or_a_host_that_it_serves() {
    let live = two_sites();
    let found = |name: &str| live.site(name).map(|site| site.name.as_str());
    for (name, site) in [
        ("a.test", Some("a.test")),
        ("*.a.test", Some("a.test")),
        ("shop.a.test", Some("a.test")),
        ("SHOP.A.test.", Some("a.test")),
        ("b.test", Some("www.a.test")),
        // A site that names the host comes before one whose pattern covers it.
        ("www.a.test", Some("www.a.test")),
        ("x.b.test", None),
        ("*.b.test", None),
        ("not a host", None),
    ] {
        assert_eq!(found(name), site, "{name}");
    }
}

#[test]
fn a_fetched_list_is_stale_after_three_intervals_without_confirmation() {
    let stale = |prefixes: &str| {
        let text = format!("[firewall]\nports = [443]\n[prefixes]\n{prefixes}\n");
        live(&text).stale_after()
    };
    assert_eq!(stale(""), Some(Duration::from_secs(36 * 3600)));
    let url = "source = \"https://mirror.example/list\"\n";
    assert_eq!(stale(&format!("{url}refresh = \"5m\"")), Some(Duration::from_secs(15 * 60)));
    assert_eq!(stale("refresh = \"off\""), None);
    assert_eq!(stale("source = \"list.txt\""), None);
    assert_eq!(stale("source = [\"192.0.2.0/24\"]"), None);
}
