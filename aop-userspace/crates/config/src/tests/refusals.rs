//! Tests that a mistake is refused with its line, its key or value, and what to do.

use super::{LISTENER, SITE, read};

const BYTES: &str = "[[site]]\nhosts = [\"a.test\"]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n\
                     client_ca = [\"a.pem\"]\nupstream = \"tcp://127.0.0.1:1\"\n";

/// Expects that `good` is read, and that with `bad` as its further lines it is refused at the last
/// of them, by a message with all of `words`.
fn refused(good: &str, bad: &str, words: &[&str]) {
    assert_eq!(read(good).map(drop), Ok(()), "without {bad}");
    let text = format!("{good}{bad}\n");
    let Err(error) = read(&text) else { panic!("{bad} was read") };
    let place = format!("aop.toml:{}: ", text.lines().count());
    assert!(error.starts_with(&place), "{bad}: {place} does not begin: {error}");
    for word in words {
        assert!(error.contains(word), "{bad}: {word} is not in: {error}");
    }
}

#[test]
fn a_mistake_in_the_table_of_the_firewall_is_named() {
    let good = format!("{LISTENER}{SITE}");
    for (key, words) in [
        ("interfaces = []", ["firewall.interfaces is empty", "[\"auto\"]"]),
        ("interfaces = [\"auto\", \"eth0\"]", ["\"auto\" beside", "write [\"auto\"], or names"]),
        ("interfaces = [\"a\", \"b\", \"a\"]", ["\"a\" twice", "name it once"]),
        ("interfaces = [\"a\", \"\"]", ["firewall.interfaces has \"\"", "`ip link`"]),
        ("interfaces = [\".\"]", ["firewall.interfaces has \".\"", "`ip link`"]),
        ("interfaces = [\"..\"]", ["firewall.interfaces has \"..\"", "`ip link`"]),
        ("interfaces = [\"a/b\"]", ["firewall.interfaces has \"a/b\"", "`ip link`"]),
        ("interfaces = [\"a:1\"]", ["firewall.interfaces has \"a:1\"", "`ip link`"]),
        ("interfaces = [\"a b\"]", ["firewall.interfaces has \"a b\"", "`ip link`"]),
        ("interfaces = [\"sixteen-letters-\"]", ["has \"sixteen-letters-\"", "`ip link`"]),
        ("ports = []", ["firewall.ports", "at least one port, from 1 to 65535"]),
        ("ports = [443, 0]", ["firewall.ports", "from 1 to 65535"]),
        ("ports = 443", ["has a list", "write [443], with brackets"]),
        ("extra = [\"192.0.2.0/33\"]", ["\"192.0.2.0/33\"", "CIDR such as 192.0.2.0/24"]),
        ("extra = [\"192.0.2.1/24\"]", ["\"192.0.2.1/24\"", "did you mean 192.0.2.0/24?"]),
        ("mode = \"enforced\"", ["enforced", "`enforce`"]),
        ("mood = \"observe\"", ["unknown key `mood`", "Correct or remove it"]),
    ] {
        refused(&good, &format!("[firewall]\n{key}"), &words);
    }
    let longest = "[firewall]\ninterfaces = [\"fifteen-letters\", \"eth0.7@x\"]\n";
    assert_eq!(read(&(good + longest)).map(drop), Ok(()));
}

#[test]
fn a_mistake_in_the_source_of_the_prefixes_is_named() {
    let good = format!("{LISTENER}{SITE}");
    for (lines, words) in [
        ("source = 1", ["prefixes.source must be", "a URL, a path, or a list of CIDRs"]),
        ("source = [1]", ["integer", "not a CIDR in quotes"]),
        ("source = [\"192.0.2.0/33\"]", ["\"192.0.2.0/33\"", "CIDR such as 192.0.2.0/24"]),
        ("source = \"ftp://a.test/list\"", ["\"ftp://a.test/list\"", "begin with https://"]),
        ("source = \"http://a.test/list\"", ["\"http://a.test/list\"", "Use https://"]),
        ("url = \"http://a.test/list\"", ["\"http://a.test/list\"", "Use https://"]),
        ("networks = \"china\"", ["prefixes.networks", "\"jdcloud\""]),
        ("source = \"a\"\nurl = \"https://a.test\"", ["prefixes.url needs", "remove it"]),
        ("source = \"a\"\nnetworks = \"jdcloud\"", ["prefixes.networks needs", "remove it"]),
        ("refresh = \"299s\"", ["prefixes.refresh", "at least 5m, or \"off\""]),
        ("refresh = \"never\"", ["\"never\" is not a duration", "such as 10s, 5m or 1h"]),
    ] {
        refused(&good, &format!("[prefixes]\n{lines}"), &words);
    }
}

#[test]
fn a_limit_outside_its_range_and_a_bad_duration_are_named() {
    let good = format!("{LISTENER}{SITE}");
    for (table, line, words) in [
        ("limits", "connections = 0", ["limits.connections", "1 to 1000000"]),
        ("limits", "handshakes = 1000001", ["limits.handshakes", "1 to 1000000"]),
        ("limits", "per_peer = 0", ["limits.per_peer", "1 to 1000000"]),
        ("limits", "workers = 0", ["limits.workers", "1 to 1024"]),
        ("limits", "workers = 1025", ["limits.workers", "1 to 1024"]),
        ("limits", "deadline = \"999ms\"", ["limits.deadline", "at least 1s"]),
        ("limits", "deadline = [\"10s\"]", ["one string, not a list", "without brackets"]),
        ("limits", "drain = \"720h 1s\"", ["\"720h 1s\"", "at most 30 days"]),
        ("limits", "linger = \"-1s\"", ["\"-1s\"", "such as 10s, 5m or 1h"]),
        ("admission", "drain = \"ten\"", ["\"ten\"", "such as 10s, 5m or 1h"]),
        ("admission", "trust = \"\"", ["\"\"", "such as 10s, 5m or 1h"]),
        ("monitor", "listen = \"0.0.0.0:1\"", ["\"0.0.0.0:1\"", "127.0.0.1:9465"]),
        ("monitor", "page = true", ["monitor.page needs monitor.listen", "127.0.0.1:9465"]),
        ("monitor", "page = \"yes\"", ["\"yes\"", "expected a boolean"]),
        (
            "monitor",
            "page = true\nlisten = \"192.0.2.1:80\"",
            ["only this host may reach the monitor", "unix:/run/aop/monitor.sock"],
        ),
    ] {
        refused(&good, &format!("[{table}]\n{line}"), &words);
    }
}

#[test]
fn a_mistake_in_a_listener_is_named() {
    let good = format!("{SITE}{LISTENER}");
    for (line, words) in [
        ("proxy_from = []", ["proxy_from is empty", "or remove it"]),
        ("proxy_from = [\"lb\"]", ["\"lb\"", "CIDR such as 192.0.2.0/24"]),
        ("proxy_form = []", ["unknown key `proxy_form`", "Correct or remove it"]),
        ("[[listener]]\nbind = [\"0.0.0.0:443\"]", ["0.0.0.0:443 is bound twice", "remove one"]),
        ("[[listener]]\nbind = [\"0.0.0.0\"]", ["\"0.0.0.0\"", "such as 0.0.0.0:443"]),
        ("[[listener]]\nbind = [\"0.0.0.0:0\"]", ["\"0.0.0.0:0\"", "such as 0.0.0.0:443"]),
        ("[[listener]]\nbind = \"[::]:443\"", ["has a list", "write [\"[::]:443\"]"]),
    ] {
        refused(&good, line, &words);
    }
}

#[test]
fn two_hundred_addresses_can_be_bound_and_no_more() {
    let listener = |port: usize| format!("[[listener]]\nbind = [\"0.0.0.0:{port}\"]\n");
    let most = (1..=200).map(listener).collect::<String>();
    let cure = ["more than 200 addresses", "use [::] and 0.0.0.0"];
    refused(&format!("{SITE}{most}"), listener(201).trim_end(), &cure);
}

#[test]
fn a_mistake_in_a_site_is_named() {
    let good = format!("{LISTENER}{SITE}");
    let files = "certificate = \"b\"\nkey = \"b\"\nupstream = \"http://127.0.0.1:1\"\n";
    let site = |lines: &str| format!("[[site]]\n{files}{lines}");
    for (lines, words) in [
        (site("client_ca = [\"b\"]\nhosts = []"), ["a site needs", "at least one host"]),
        (
            site("client_ca = [\"b\"]\nhosts = [\"EXAMPLE.org.\"]"),
            ["example.org is already served by site example.org", "name it once"],
        ),
        (
            site("hosts = [\"b.test\"]\nclient_ca = []"),
            ["client_ca is empty", "Name a PEM file, or \"cloudflare-global\""],
        ),
        (
            "upstream_chek = true".to_owned(),
            ["unknown key `upstream_chek`", "Correct or remove it"],
        ),
    ] {
        refused(&good, &lines, &words);
    }
    let twice = "client_ca = [\"b\"]\nhosts = [\"b.test\", \"b.test\"]";
    refused(&good, &site(twice), &["host b.test is already served", "name it once"]);
}

#[test]
fn a_rule_for_certificates_that_is_empty_unknown_or_without_effect_is_named() {
    let good = format!("{LISTENER}{SITE}");
    let remove = "or remove it to require nothing";
    for (rule, words) in [
        ("require_san = []", ["require_san is empty", remove]),
        ("require_san = [\"edge.test\"]", ["\"edge.test\"", "write dns:edge.example.com"]),
        ("require_cn = \"\"", ["require_cn is empty", remove]),
        ("require_key = \"falcon\"", ["\"falcon\"", "require_key must be \"ml-dsa\""]),
        ("spki_pins = []", ["spki_pins is empty", remove]),
        ("spki_pins = [\"abcd\"]", ["\"abcd\"", "openssl x509 -in edge.pem"]),
        ("crl = []", ["crl is empty", remove]),
        ("crl_scope = \"leaf\"", ["crl_scope has no effect", "Name a list, or remove it"]),
        ("crl_expired = \"warn\"", ["crl_expired has no effect", "Name a list, or remove it"]),
        ("crl = [\"a\"]\ncrl_scope = \"all\"", ["\"all\"", "must be \"chain\" or \"leaf\""]),
        ("crl = [\"a\"]\ncrl_expired = \"no\"", ["\"no\"", "must be \"refuse\" or \"warn\""]),
        ("expired_ca = \"no\"", ["\"no\"", "must be \"refuse\" or \"warn\""]),
        ("resumption = \"on\"", ["\"on\"", "must be \"off\" or \"verified\""]),
    ] {
        refused(&good, rule, &words);
    }
}

#[test]
fn a_key_that_the_kind_of_upstream_cannot_obey_is_named_with_what_fits() {
    let bytes = format!("{LISTENER}{BYTES}");
    refused(&bytes, "on_refusal = \"explain\"", &["\"explain\" needs HTTP", "http:// or h2c://"]);
    refused(&bytes, "upstream_check = \"/up\"", &["a path needs HTTP", "upstream_check = true"]);
    refused(&bytes, "[site.http]", &["[site.http] needs an upstream that takes requests"]);
    refused(&bytes, "proxy_certificate = true", &["proxy_certificate needs", "proxy = \"v2\""]);
    let v1 = format!("{bytes}proxy = \"v1\"\n");
    refused(&v1, "proxy_certificate = true", &["proxy_certificate needs", "proxy = \"v2\""]);
    let http = format!("{LISTENER}{SITE}");
    refused(&http, "proxy = \"v3\"", &["\"v3\"", "must be \"off\", \"v1\" or \"v2\""]);
    refused(&http, "on_refusal = \"deny\"", &["\"close\", \"explain\" or \"observe\""]);
    for allowed in ["on_refusal = \"observe\"", "upstream_check = true", "proxy = \"v2\""] {
        assert_eq!(read(&format!("{bytes}{allowed}\n")).map(drop), Ok(()), "{allowed}");
    }
}

#[test]
fn an_h2c_upstream_takes_no_proxy_header_and_an_http_upstream_takes_one() {
    let site = |scheme: &str, proxy: &str| {
        let upstream = format!("{proxy}upstream = \"{scheme}://127.0.0.1:1\"");
        format!("{LISTENER}{}", SITE.replace("upstream = \"http://127.0.0.1:1\"", &upstream))
    };
    let proxy = "proxy = \"v1\"\n";
    for (scheme, proxy) in
        [("http", ""), ("h2c", ""), ("http", proxy), ("h2c", "proxy = \"off\"\n")]
    {
        assert_eq!(read(&site(scheme, proxy)).map(drop), Ok(()), "{scheme} {proxy}");
    }
    let error = read(&site("h2c", proxy)).expect_err("refused");
    for word in ["aop.toml:9: ", "h2c upstream", "Remove proxy, or write http://"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_mistake_in_the_settings_for_requests_is_named() {
    let good = format!("{LISTENER}{SITE}");
    for (line, words) in [
        ("also_hosts = [\"a b\"]", ["\"a b\"", "is not a host name"]),
        ("forwarded = \"all\"", ["\"all\"", "must be \"x\", \"rfc7239\" or \"both\""]),
        ("header_names = \"upper\"", ["\"upper\"", "must be \"lower\" or \"title\""]),
        ("answer = \"999ms\"", ["site.http.answer", "at least 1s"]),
        ("idle = \"0s\"", ["site.http.idle", "at least 1s"]),
        ("stall = \"ten\"", ["\"ten\" is not a duration", "such as 10s"]),
        ("requests = 0", ["site.http.requests", "1 to 100000"]),
        ("tunnels = 100001", ["site.http.tunnels", "1 to 100000"]),
    ] {
        refused(&good, &format!("[site.http]\n{line}"), &words);
    }
}

#[test]
fn a_configuration_with_nothing_to_do_is_refused() {
    let ports = "[firewall]\nports = [443]\n";
    let off = "[firewall]\nmode = \"off\"\n";
    let complete = format!("{LISTENER}{SITE}");
    for good in [ports, &complete, &format!("{off}{complete}")] {
        assert_eq!(read(good).map(drop), Ok(()), "{good}");
    }
    for (text, words) in [
        (LISTENER, ["no [[site]]", "Add a site"]),
        (SITE, ["no [[listener]]", "Add a listener"]),
        ("", ["nothing to do", "or set firewall.ports"]),
        (off, ["nothing to do", "Add a listener and a site"]),
        (&format!("{off}ports = [443]\n"), ["nothing to do", "Add a listener and a site"]),
    ] {
        let error = read(text).expect_err(text);
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
