//! Tests that each key reaches its field, and that its default is the documented one.

use std::{fs, path::Path, time::Duration};

use aop_common::{Mode, layout::Ports};

use super::{LISTENER, SITE, read, site_with};
use crate::{
    AttachPreference, ClientCa, ClientCertForwarding, CrlScope, FirewallConfig, ForwardedHeaders,
    HeaderNames, HttpConfig, Interfaces, Limits, MonitorAddress, MonitorConfig, OnExpiry,
    OnRefusal, PrefixSource, ProxyProtocol, RequiredKey, RequiredSan, Resumption, SpkiPin,
    StatusPage, UdpPolicy, Upstream, UpstreamCheck, WatchedFiles,
};

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn ports(all: &[u16]) -> Ports {
    let mut ports = Ports::NONE;
    all.iter().for_each(|port| ports.insert(*port));
    ports
}

#[test]
fn the_keys_of_firewall_and_admission_reach_their_fields() {
    let config = read(
        "[firewall]\nmode = \"enforce\"\ninterfaces = [\"eth0\", \"eth1\"]\nattach = \"native\"\n\
         extra = [\"192.0.2.0/24\", \"2001:db8::/48\"]\nports = [443, 8443]\nudp = \"drop\"\n\
         [admission]\ndrain = \"2h\"\nprobation_syn = 7\ntrust = \"3h\"\nbudget_syn = 8\n",
    )
    .expect("a configuration");
    assert_eq!(config.fixed.firewall, Some(FirewallConfig { attach: AttachPreference::Native }));
    assert!(config.fixed.listeners.is_empty());
    let live = config.live;
    assert_eq!(live.mode, Mode::Enforce);
    assert_eq!(live.interfaces.named(), Some(&["eth0".to_owned(), "eth1".to_owned()][..]));
    let extra = ["192.0.2.0/24", "2001:db8::/48"].map(|text| text.parse().expect("a network"));
    assert_eq!(live.extra, extra);
    assert_eq!(live.ports, ports(&[443, 8443]));
    assert_eq!(live.udp, UdpPolicy::Drop);
    assert_eq!((live.drain, live.trust), (seconds(2 * 3600), seconds(3 * 3600)));
    assert_eq!((live.probation, live.budget), (7, 8));
}

#[test]
fn a_firewall_observes_all_interfaces_and_guards_the_listeners_unless_told_otherwise() {
    let two = "[[listener]]\nbind = [\"0.0.0.0:443\", \"[::]:8443\"]\n";
    let config = read(&format!("{two}{SITE}")).expect("a configuration");
    assert_eq!(config.fixed.firewall, Some(FirewallConfig { attach: AttachPreference::Auto }));
    let bound = ["0.0.0.0:443", "[::]:8443"].map(|text| text.parse().expect("an address"));
    assert_eq!(config.fixed.listeners, bound);
    assert_eq!(config.live.mode, Mode::Observe);
    assert_eq!(config.live.interfaces, Interfaces::Auto);
    assert_eq!(config.live.interfaces.named(), None);
    assert_eq!(config.live.ports, ports(&[443, 8443]));
    let auto = read("[firewall]\ninterfaces = [\"auto\"]\nports = [1]\n").expect("a configuration");
    assert_eq!(auto.live.interfaces, Interfaces::Auto);
    let one = read("[firewall]\ninterfaces = [\"eth0\"]\nports = [1]\n").expect("a configuration");
    assert_eq!(one.live.interfaces, Interfaces::Named(vec!["eth0".to_owned()]));
    let off = read(&format!("[firewall]\nmode = \"off\"\n{LISTENER}{SITE}")).expect("no firewall");
    assert_eq!(off.fixed.firewall, None);
}

#[test]
fn the_keys_of_the_process_reach_their_fields() {
    let config = read(&format!(
        "{LISTENER}proxy_from = [\"192.0.2.0/24\"]\n{SITE}\
         [terminator]\nuser = \"web\"\n[control]\nreaders = \"staff\"\n\
         [monitor]\nlisten = \"127.0.0.1:9465\"\npage = true\n[reload]\nwatch = \"all\"\n\
         [limits]\nconnections = 1\nhandshakes = 2\nper_peer = 1000000\nworkers = 1024\n\
         deadline = \"1s\"\ndrain = \"720h\"\nlinger = \"0s\"\n"
    ))
    .expect("a configuration");
    let fixed = config.fixed;
    assert_eq!((fixed.user.as_deref(), fixed.readers.as_deref()), (Some("web"), Some("staff")));
    let address = MonitorAddress::Loopback("127.0.0.1:9465".parse().expect("an address"));
    assert_eq!(fixed.monitor, Some(MonitorConfig { address, page: StatusPage::Served }));
    let limits = Limits { connections: 1, handshakes: 2, per_peer: 1_000_000, workers: Some(1024) };
    assert_eq!(fixed.limits, limits);
    let live = config.live;
    assert_eq!(live.watch, WatchedFiles::All);
    assert_eq!((live.deadline, live.shutdown), (seconds(1), seconds(30 * 24 * 3600)));
    assert_eq!(live.linger, Duration::ZERO);
    let local = "198.51.100.1:443".parse().expect("an address");
    assert!(live.senders.expects_header("192.0.2.7".parse().expect("an address"), local));
    assert!(!live.senders.expects_header("192.0.3.7".parse().expect("an address"), local));
}

#[test]
fn the_status_page_is_off_unless_it_is_asked_for() {
    for lines in ["", "page = false\n"] {
        let text = format!("{LISTENER}{SITE}[monitor]\nlisten = \"unix:/a\"\n{lines}");
        let monitor = read(&text).expect(lines).fixed.monitor;
        assert_eq!(monitor.map(|it| it.page), Some(StatusPage::Off));
    }
    let without = read(&format!("{LISTENER}{SITE}[monitor]\npage = false\n"));
    assert_eq!(without.expect("no monitor").fixed.monitor, None);
}

#[test]
fn a_prefix_list_comes_from_cloudflare_a_url_a_file_or_the_configuration() {
    let prefixes = |lines: &str| {
        let text = format!("[firewall]\nports = [443]\n[prefixes]\n{lines}\n");
        read(&text).expect(lines).live
    };
    let api = "https://api.cloudflare.com/client/v4/ips";
    let cloudflare = |url: &str| PrefixSource::Cloudflare(url.parse().expect("a URL"));
    let mirror = "https://mirror.example/list";
    for (lines, source, name) in [
        ("", cloudflare(api), "cloudflare"),
        ("source = \"cloudflare\"", cloudflare(api), "cloudflare"),
        (&format!("url = \"{mirror}\""), cloudflare(mirror), "cloudflare"),
        ("networks = \"jdcloud\"", cloudflare(&format!("{api}?networks=jdcloud")), "cloudflare"),
        (
            &format!("source = \"{mirror}\""),
            PrefixSource::Url(mirror.parse().expect("a URL")),
            mirror,
        ),
        ("source = \"list.txt\"", PrefixSource::File("list.txt".into()), "list.txt"),
        (
            "source = [\"192.0.2.0/24\"]",
            PrefixSource::Inline(vec!["192.0.2.0/24".parse().expect("a network")]),
            "inline",
        ),
        ("source = []", PrefixSource::Inline(Vec::new()), "inline"),
    ] {
        let found = prefixes(lines).prefixes;
        assert_eq!(found, source, "{lines}");
        assert_eq!(found.to_string(), name, "{lines}");
    }
    for (refresh, interval) in
        [("12h", Some(seconds(12 * 3600))), ("5m", Some(seconds(300))), ("off", None)]
    {
        assert_eq!(prefixes(&format!("refresh = \"{refresh}\"")).refresh, interval, "{refresh}");
    }
}

#[test]
fn the_keys_of_a_site_reach_their_fields() {
    let site = site_with(
        "require_san = [\"dns:edge.test\", \"ip:192.0.2.1\"]\nrequire_cn = \"edge\"\n\
         require_key = \"ml-dsa\"\ncrl = [\"a.crl\", \"b.crl\"]\ncrl_scope = \"leaf\"\n\
         crl_expired = \"warn\"\nexpired_ca = \"warn\"\nresumption = \"verified\"\n\
         spki_pins = [\"0000000000000000000000000000000000000000000000000000000000000000\"]\n\
         shared_upstream = true\nupstream_check = \"/up\"\nproxy = \"v2\"\n\
         proxy_certificate = true\non_refusal = \"explain\"\n",
    )
    .expect("a site");
    assert_eq!(site.name, "example.org");
    assert_eq!(site.client_ca, [ClientCa::File("a.pem".into())]);
    let edge = RequiredSan::Dns("edge.test".parse().expect("a host"));
    let address = RequiredSan::Ip("192.0.2.1".parse().expect("an address"));
    assert_eq!(site.rules.san, [edge, address]);
    assert_eq!(site.rules.cn.as_deref(), Some("edge"));
    assert_eq!(site.rules.key, Some(RequiredKey::MlDsa));
    assert_eq!(site.rules.pins, [SpkiPin([0; 32])]);
    let revocation = &site.rules.revocation;
    assert_eq!(revocation.files, ["a.crl", "b.crl"].map(|file| Path::new(file).to_owned()));
    assert_eq!((revocation.scope, revocation.expired), (CrlScope::Leaf, OnExpiry::Warn));
    assert_eq!(site.rules.expired_ca, OnExpiry::Warn);
    assert_eq!(site.rules.resumption, Resumption::Verified);
    assert!(site.shared_upstream);
    assert_eq!(site.check, Some(UpstreamCheck::Answers("/up".to_owned())));
    assert_eq!(site.proxy, ProxyProtocol::V2(ClientCertForwarding::Shown));
    assert_eq!(site.on_refusal, OnRefusal::Explain);
    for (lines, proxy) in [
        ("proxy = \"v1\"\n", ProxyProtocol::V1),
        ("proxy = \"v2\"\n", ProxyProtocol::V2(ClientCertForwarding::Withheld)),
        (
            "proxy = \"v2\"\nproxy_certificate = false\n",
            ProxyProtocol::V2(ClientCertForwarding::Withheld),
        ),
    ] {
        assert_eq!(site_with(lines).expect(lines).proxy, proxy, "{lines}");
    }
}

fn http_of(lines: &str) -> HttpConfig {
    match site_with(&format!("[site.http]\n{lines}")).expect(lines).upstream {
        Upstream::Http(http) => *http,
        Upstream::Bytes(address) => panic!("{address:?}"),
    }
}

#[test]
fn the_keys_of_a_site_that_relays_requests_reach_their_fields() {
    let http = http_of(
        "also_hosts = [\"b.test\", \"*.c.test\"]\nforwarded = \"both\"\nclient_cert = true\n\
         header_names = \"title\"\nanswer = \"1s\"\nidle = \"2s\"\nstall = \"3s\"\n\
         requests = 1\ntunnels = 100000\n",
    );
    let hosts = ["b.test", "*.c.test"].map(|text| text.parse().expect("a pattern"));
    assert_eq!(http.also_hosts, hosts);
    assert_eq!(http.forwarded, ForwardedHeaders::Both);
    assert_eq!(http.client_cert, ClientCertForwarding::Shown);
    assert_eq!(http.header_names, HeaderNames::Title);
    assert_eq!((http.answer, http.idle, http.stall), (seconds(1), seconds(2), seconds(3)));
    assert_eq!((http.requests, http.tunnels), (1, 100_000));
}

/// The key and the default in each row of the table of keys whose default is a value.
fn documented_defaults() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/configuration.md");
    let page = fs::read_to_string(page).expect("the page");
    let quoted = |cell: &str| {
        let text = cell.trim().strip_prefix('`')?.strip_suffix('`')?;
        (!text.contains('`')).then(|| text.to_owned())
    };
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.split('|');
        let key = quoted(cells.next()?)?;
        let default = quoted(cells.next()?)?;
        key.contains('.').then_some((key, default))
    };
    page.lines().filter_map(row).collect()
}

#[test]
fn the_documented_default_of_a_key_is_what_holds_without_the_key() {
    let defaults = documented_defaults();
    assert!(defaults.len() > 35, "only {} were found", defaults.len());
    for (key, default) in defaults {
        let is_text = default.parse::<u32>().is_err()
            && !default.starts_with(['[', '{'])
            && !["true", "false"].contains(&default.as_str());
        let value = if is_text { format!("{default:?}") } else { default };
        let (table, key) = key.rsplit_once('.').expect("a table");
        // Some keys are allowed only beside another.
        let beside = match key {
            "crl_scope" | "crl_expired" => "crl = [\"a.crl\"]\n",
            "proxy_certificate" => "proxy = \"v2\"\n",
            _ => "",
        };
        let head = match table {
            "site" => String::new(),
            "fleet" => "[fleet]\nendpoints = [\"http://127.0.0.1\"]\n".to_owned(),
            table => format!("[{table}]\n"),
        };
        let with = |line: &str| {
            let text = format!("{LISTENER}{SITE}{beside}{head}{line}\n");
            format!("{:?}", read(&text).unwrap_or_else(|error| panic!("{error}\n{text}")))
        };
        assert_eq!(with(&format!("{key} = {value}")), with(""), "{table}.{key} = {value}");
    }
}
