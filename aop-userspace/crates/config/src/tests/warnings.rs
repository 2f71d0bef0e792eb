//! Tests of the warnings about a whole configuration.

use super::{LISTENER, SITE, read};
use crate::warnings;

fn warned(text: &str) -> Vec<String> {
    let config = read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    warnings(&config).iter().map(ToString::to_string).collect()
}

/// An enforcing firewall, listeners of both families, and a site: nothing to be warned of.
fn flawless() -> String {
    let six = LISTENER.replace("0.0.0.0", "[::]");
    format!("[firewall]\nmode = \"enforce\"\n{LISTENER}{six}{SITE}")
}

/// Expects that `text` is warned of once, in words that contain all of `words`.
fn warned_once(text: &str, words: &[&str]) {
    let warned = warned(text);
    assert_eq!(warned.len(), 1, "{text}{warned:#?}");
    for word in words {
        assert!(warned[0].contains(word), "{word} is not in: {}", warned[0]);
    }
}

#[test]
fn a_flawless_configuration_is_not_warned_of() {
    let none: [&str; 0] = [];
    assert_eq!(warned(&flawless()), none);
    for more in [
        "upstream_check = true\n",
        "[limits]\nlinger = \"24h\"\n",
        "[prefixes]\nrefresh = \"5m\"\n",
        "[prefixes]\nsource = \"list.txt\"\nrefresh = \"off\"\n",
        "[prefixes]\nsource = [\"192.0.2.0/24\"]\n",
    ] {
        assert_eq!(warned(&(flawless() + more)), none, "{more}");
    }
    assert_eq!(warned("[firewall]\nmode = \"enforce\"\nports = [443]\n"), none);
    let extra = "mode = \"enforce\"\nextra = [\"192.0.2.7\"]\n";
    let text = flawless().replace("mode = \"enforce\"\n", extra);
    assert_eq!(warned(&(text + "[prefixes]\nsource = []\n")), none);
}

#[test]
fn a_firewall_that_is_off_or_observes_is_warned_of() {
    let mode = |mode: &str| flawless().replace("enforce", mode);
    warned_once(&mode("off"), &["the firewall is off"]);
    warned_once(&mode("observe"), &["the firewall observes", "`would_drop`"]);
}

#[test]
fn a_list_of_prefixes_that_is_empty_or_never_fetched_again_is_warned_of() {
    let with = |prefixes: &str| format!("{}[prefixes]\n{prefixes}\n", flawless());
    warned_once(&with("source = []"), &["no prefix is admitted"]);
    let fetch = ["prefixes.refresh is off", "`aop prefixes refresh`"];
    warned_once(&with("refresh = \"off\""), &fetch);
    warned_once(&with("source = \"https://a.test/list\"\nrefresh = \"off\""), &fetch);
}

#[test]
fn a_listener_that_the_firewall_leaves_open_is_warned_of() {
    let ports =
        |mode: &str| flawless().replace("enforce\"\n", &format!("{mode}\"\nports = [80]\n"));
    let open = warned(&ports("enforce"));
    let cure = "add 443 to firewall.ports";
    assert_eq!(open.len(), 2, "{open:#?}");
    assert!(open[0].contains("does not guard 0.0.0.0:443") && open[0].contains(cure), "{open:#?}");
    assert!(open[1].contains("does not guard [::]:443") && open[1].contains(cure), "{open:#?}");
    warned_once(&ports("off"), &["the firewall is off"]);
}

#[test]
fn the_family_without_a_listener_is_named() {
    let six = LISTENER.replace("0.0.0.0", "[::]");
    let both = flawless();
    warned_once(&both.replace(&six, ""), &["no listener for IPv6"]);
    warned_once(&both.replace(LISTENER, ""), &["no listener for IPv4"]);
}

#[test]
fn a_listener_where_everybody_may_send_proxy_headers_is_named() {
    let from = |senders: &str| {
        flawless().replace(SITE, &format!("proxy_from = [\"192.0.2.1\", {senders}]\n{SITE}"))
    };
    let cure = "Name only the senders of PROXY headers";
    warned_once(&from("\"0.0.0.0/0\""), &["[::]:443: proxy_from names everybody", cure]);
    warned_once(&from("\"::/0\""), &["[::]:443: proxy_from names everybody", cure]);
    assert!(warned(&from("\"2001:db8::/32\"")).is_empty());
}

#[test]
fn a_site_that_accepts_more_peers_than_it_seems_is_named() {
    let global = flawless().replace("client_ca = [\"", "client_ca = [\"cloudflare-global\", \"");
    let customer = ["site example.org", "any other Cloudflare customer", "docs/certificates.md"];
    warned_once(&global, &customer);
    let refusal = |value: &str| format!("{}on_refusal = \"{value}\"\n", flawless());
    warned_once(&refusal("explain"), &["site example.org", "\"explain\"", "during a cut-over"]);
    let observes = ["site example.org", "everybody is let in", "`aop mode enforce --site"];
    warned_once(&refusal("observe"), &observes);
    assert!(warned(&refusal("close")).is_empty());
}

#[test]
fn a_long_life_of_a_replaced_process_is_warned_of() {
    let linger = format!("{}[limits]\nlinger = \"86401s\"\n", flawless());
    warned_once(&linger, &["limits.linger is longer than a day"]);
}

#[test]
fn the_port_of_ssh_is_warned_of_if_the_firewall_guards_it() {
    let ports = |mode: &str, ports: &str| {
        warned(&format!("[firewall]\nmode = \"{mode}\"\nports = {ports}\n"))
    };
    assert!(ports("enforce", "[443, 2222]").is_empty());
    let ssh = ports("enforce", "[22, 443]");
    assert!(ssh.len() == 1 && ssh[0].contains("the port of SSH"), "{ssh:#?}");
    let off = format!("[firewall]\nmode = \"off\"\nports = [22, 443]\n{LISTENER}{SITE}");
    assert!(!warned(&off).iter().any(|warning| warning.contains("SSH")));
}
