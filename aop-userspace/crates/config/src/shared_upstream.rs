//! Finds sites that share an upstream which takes bytes, and do not accept the same peers.
//!
//! aop does not parse relayed bytes, so it cannot check the host in them: a peer that the laxer
//! site accepts could request pages of the stricter one. This is refused, unless each of the sites
//! allows it with `shared_upstream`. In relayed requests the host is checked, so such sites may
//! share an upstream freely.
//!
//! Upstreams are compared as written, in all spellings that mean the same on every host. Two names
//! of one machine, or two links to one socket, are not recognized.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Component, Path, PathBuf},
};

use crate::{
    CertificateRules, ClientCa, ConfigError, CrlScope, OnExpiry, OnRefusal, RequiredKey,
    RequiredSan, Revocation, SiteConfig, SpkiPin, Upstream, UpstreamAddress, parse::SourceFile,
    toml_schema::RawSite,
};

/// The destination of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Destination {
    Ip(IpAddr, u16),
    Name(String, u16),
    Socket(PathBuf),
}

/// The peers that a site accepts, as configured. The order of the values does not matter.
#[derive(PartialEq, Eq, Hash)]
struct AcceptedPeers<'a> {
    /// Whether every peer is let in.
    observes: bool,
    client_ca: Vec<&'a Path>,
    global: bool,
    san: Vec<String>,
    cn: Option<&'a str>,
    pins: Vec<SpkiPin>,
    key: Option<RequiredKey>,
    expired_ca: OnExpiry,
    lists: Vec<&'a Path>,
    scope: CrlScope,
    crl_expired: OnExpiry,
}

/// Two sites that share an upstream in this way without allowing it.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamConflict<'a> {
    /// The first one in the file.
    pub one: &'a SiteConfig,
    /// The other.
    pub other: &'a SiteConfig,
}

/// Refuses `sites`, which were read from `raw`, if two of them are in conflict.
pub(crate) fn check(
    sites: &[SiteConfig],
    raw: &[RawSite],
    src: &SourceFile<'_>,
) -> Result<(), ConfigError> {
    let Some((one, other)) = find_conflict(sites) else { return Ok(()) };
    let conflict = UpstreamConflict { one: &sites[one], other: &sites[other] };
    Err(src.error(raw[other].upstream.span(), conflict.to_string()))
}

/// The first conflict among `sites`.
#[must_use]
pub fn conflict(sites: &[SiteConfig]) -> Option<UpstreamConflict<'_>> {
    let (one, other) = find_conflict(sites)?;
    Some(UpstreamConflict { one: &sites[one], other: &sites[other] })
}

impl fmt::Display for UpstreamConflict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one, other } = self;
        write!(
            f,
            "sites {} and {} share the upstream {}, at least one of them relays bytes, and they do \
             not accept the same peers (client_ca, require_san, require_cn, require_key, \
             spki_pins, crl…, or one observes). aop cannot check the host in bytes, so a peer of \
             one site can request pages of the other. Write http:// or h2c:// in both, or give \
             each its own upstream, or the same rules; if this is intended, write \
             shared_upstream = true in both",
            one.name, other.name, other.upstream
        )
    }
}

fn find_conflict(sites: &[SiteConfig]) -> Option<(usize, usize)> {
    let mut sharing: HashMap<Destination, Vec<usize>> = HashMap::new();
    for (at, site) in sites.iter().enumerate() {
        for destination in destinations(address(site)) {
            sharing.entry(destination).or_default().push(at);
        }
    }
    let mut groups: Vec<Vec<usize>> = sharing.into_values().collect();
    // Of several conflicts always report the same one.
    groups.sort_unstable();
    groups.iter().find_map(|group| conflict_in(group, sites))
}

/// The first two of `group` of which one relays bytes, one does not allow sharing, and which accept
/// different peers.
fn conflict_in(group: &[usize], sites: &[SiteConfig]) -> Option<(usize, usize)> {
    let bytes = |at: usize| matches!(sites[at].upstream, Upstream::Bytes(_));
    if !group.iter().any(|at| bytes(*at)) {
        return None;
    }
    // There may be thousands of sites, which usually accept the same peers: number each set of
    // peers.
    let mut numbers = HashMap::new();
    let numbered = |at: &usize| {
        let next = numbers.len();
        (*at, *numbers.entry(AcceptedPeers::of_site(&sites[*at])).or_insert(next))
    };
    let group: Vec<(usize, usize)> = group.iter().map(numbered).collect();
    if numbers.len() < 2 {
        return None;
    }
    let not_allowed = group.iter().filter(|(at, _)| !sites[*at].shared_upstream);
    let mut pairs = not_allowed.flat_map(|one| group.iter().map(move |other| (one, other)));
    let (one, other) =
        pairs.find(|(one, other)| one.1 != other.1 && (bytes(one.0) || bytes(other.0)))?;
    Some((one.0.min(other.0), one.0.max(other.0)))
}

fn address(site: &SiteConfig) -> &UpstreamAddress {
    match &site.upstream {
        Upstream::Bytes(address) => address,
        Upstream::Http(http) => &http.upstream.address,
    }
}

fn destinations(address: &UpstreamAddress) -> Vec<Destination> {
    match address {
        UpstreamAddress::Unix(path) => vec![Destination::Socket(normalize(path))],
        UpstreamAddress::Tcp(authority) => {
            let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
            let port = port.parse().unwrap_or(0);
            let host =
                host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
            let addresses: Vec<IpAddr> = match name.parse::<IpAddr>().map(|it| it.to_canonical()) {
                // Connecting to the unspecified address reaches this host.
                Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => vec![v4],
                Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => vec![v6],
                Ok(address) => vec![address],
                // RFC 6761: this name and all names below it are loopback, of either family.
                Err(_) if name == "localhost" || name.ends_with(".localhost") => vec![v4, v6],
                Err(_) => return vec![Destination::Name(name, port)],
            };
            addresses.into_iter().map(|address| Destination::Ip(address, port)).collect()
        }
    }
}

/// The path without `.` and `..`. `/var/run` is `/run` on every current Linux.
fn normalize(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                plain.push(component);
            }
        }
    }
    match plain.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest),
        Err(_) => plain,
    }
}

impl<'a> AcceptedPeers<'a> {
    /// Names every field, so that a new rule does not compile until it is compared, or listed here
    /// as one that does not decide who is accepted.
    fn of_site(site: &'a SiteConfig) -> Self {
        let SiteConfig {
            client_ca,
            rules:
                CertificateRules {
                    san,
                    cn,
                    pins,
                    key,
                    revocation: Revocation { files, scope, expired },
                    expired_ca,
                    resumption: _,
                },
            on_refusal,
            name: _,
            hosts: _,
            certificate: _,
            key: _,
            upstream: _,
            check: _,
            proxy: _,
            shared_upstream: _,
        } = site;
        let observes = match on_refusal {
            OnRefusal::Observe => true,
            OnRefusal::Close | OnRefusal::Explain => false,
        };
        let file = |client_ca: &'a ClientCa| match client_ca {
            ClientCa::CloudflareGlobal => None,
            ClientCa::File(path) => Some(path.as_path()),
        };
        Self {
            observes,
            client_ca: sorted(client_ca.iter().filter_map(file)),
            global: client_ca.contains(&ClientCa::CloudflareGlobal),
            san: sorted(san.iter().map(RequiredSan::to_string)),
            cn: cn.as_deref(),
            pins: sorted(pins.iter().copied()),
            key: *key,
            expired_ca: *expired_ca,
            lists: sorted(files.iter().map(PathBuf::as_path)),
            scope: *scope,
            crl_expired: *expired,
        }
    }
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Config, SiteConfig};

    /// Reads two sites with these upstreams and these further lines.
    fn read(upstreams: [&str; 2], more: [&str; 2]) -> Result<Config, String> {
        let site = |host: &str, upstream: &str, more: &str| {
            let client_ca =
                if more.contains("client_ca") { "" } else { "client_ca = [\"a.pem\"]\n" };
            format!(
                "[[site]]\nhosts = [\"{host}\"]\ncertificate = \"c\"\nkey = \"k\"\n{client_ca}\
                 upstream = \"{upstream}\"\n{more}\n"
            )
        };
        let text = String::from("[[listener]]\nbind = [\"[::]:443\"]\n")
            + &site("lax.test", upstreams[0], more[0])
            + &site("strict.test", upstreams[1], more[1]);
        Config::parse(Path::new("aop.toml"), &text).map_err(|error| error.to_string())
    }

    const RULES: [&str; 9] = [
        "on_refusal = \"observe\"",
        "client_ca = [\"b.pem\"]",
        "client_ca = [\"a.pem\", \"cloudflare-global\"]",
        "require_san = [\"dns:edge.test\"]",
        "require_cn = \"edge\"",
        "require_key = \"ml-dsa\"",
        "crl = [\"a.crl\"]",
        "expired_ca = \"warn\"",
        "spki_pins = [\"0000000000000000000000000000000000000000000000000000000000000000\"]",
    ];

    #[test]
    fn sites_that_accept_different_peers_cannot_share_bytes_unless_both_allow_it() {
        let tcp = ["tcp://127.0.0.1:80"; 2];
        assert!(read(tcp, ["", ""]).is_ok());
        for rule in RULES {
            let refused = read(tcp, ["", rule]).expect_err(rule);
            for named in ["aop.toml:1", "lax.test", "strict.test", tcp[0], "shared_upstream"] {
                assert!(refused.contains(named), "{named}: {refused}");
            }
            let allowed = format!("{rule}\nshared_upstream = true");
            read(tcp, ["", &allowed]).expect_err("one of both is not enough");
            assert!(read(tcp, ["shared_upstream = true", &allowed]).is_ok(), "{rule}");
            assert!(read([tcp[0], "tcp://127.0.0.1:81"], ["", rule]).is_ok(), "{rule}");
        }
        let order = ["client_ca = [\"a.pem\", \"b.pem\"]", "client_ca = [\"b.pem\", \"a.pem\"]"];
        assert!(read(tcp, order).is_ok());
    }

    #[test]
    fn sites_that_relay_requests_can_share_an_upstream_but_not_with_one_that_relays_bytes() {
        let rule = ["", RULES[0]];
        assert!(read(["http://127.0.0.1:80"; 2], rule).is_ok());
        assert!(read(["unix+h2c:///a"; 2], rule).is_ok());
        read(["tcp://127.0.0.1:80", "http://127.0.0.1:80"], rule).expect_err("bytes to requests");
        read(["unix+http:///a", "unix:///a"], rule).expect_err("requests to bytes");
    }

    #[test]
    fn an_upstream_is_recognized_in_every_spelling() {
        let same = [
            ["tcp://localhost:80", "tcp://127.0.0.1:80"],
            ["tcp://LOCALHOST.:80", "tcp://[::1]:80"],
            ["tcp://app.localhost:80", "tcp://localhost:080"],
            ["tcp://0.0.0.0:80", "tcp://[::ffff:127.0.0.1]:80"],
            ["tcp://[::]:80", "tcp://[0:0::1]:80"],
            ["tcp://App.test.:80", "tcp://app.test:80"],
            ["unix:///run/app.sock", "unix:////run/./x/../app.sock"],
            ["unix:///var/run/app.sock", "unix:///run/app.sock"],
        ];
        for upstreams in same {
            read(upstreams, ["", RULES[0]]).expect_err(upstreams[1]);
        }
        let others = [
            ["tcp://127.0.0.1:80", "tcp://127.0.0.2:80"],
            ["tcp://a.test:80", "tcp://b.test:80"],
            ["unix:///run/a.sock", "unix:///run/b.sock"],
            ["tcp://127.0.0.1:80", "unix:///127.0.0.1:80"],
        ];
        for upstreams in others {
            assert!(read(upstreams, ["", RULES[0]]).is_ok(), "{upstreams:?}");
        }
    }

    #[test]
    fn ten_thousand_sites_with_one_upstream_can_be_read() {
        let site = |at: usize| {
            format!(
                "[[site]]\nhosts = [\"{at}.test\"]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \
                 [\"a.pem\"]\nupstream = \"tcp://localhost:80\"\n"
            )
        };
        let text: String = (0..10_000).map(site).collect();
        let text = format!("[[listener]]\nbind = [\"[::]:443\"]\n{text}");
        assert!(Config::parse(Path::new("aop.toml"), &text).is_ok());
        let last = "require_cn = \"edge\"\n";
        let error = Config::parse(Path::new("aop.toml"), &(text + last)).expect_err("refused");
        assert!(error.to_string().contains("9999.test"), "{error}");
    }

    fn sites(all: &[(&str, &str, &str)]) -> Vec<SiteConfig> {
        let site = |(host, upstream, more): &(&str, &str, &str)| {
            format!(
                "[[site]]\nhosts = [\"{host}\"]\ncertificate = \"c\"\nkey = \"k\"\n\
                 client_ca = [\"a.pem\"]\nupstream = \"{upstream}\"\nshared_upstream = true\n\
                 {more}\n"
            )
        };
        let text: String = all.iter().map(site).collect();
        let text = format!("[[listener]]\nbind = [\"[::]:443\"]\n{text}");
        let mut sites = Config::parse(Path::new("aop.toml"), &text).expect("allowed").live.sites;
        sites.iter_mut().for_each(|site| site.shared_upstream = false);
        sites
    }

    #[test]
    fn the_first_conflict_of_several_is_reported_in_the_order_of_the_file() {
        let (tcp, http) = ("tcp://127.0.0.1:80", "http://127.0.0.1:80");
        let conflict = |all: &[(&str, &str, &str)]| {
            let sites = sites(all);
            let found = super::conflict(&sites);
            found.map(|found| (found.one.name.clone(), found.other.name.clone()))
        };
        let (cn, key) = ("require_cn = \"a\"", "require_key = \"ml-dsa\"");
        let named = |one: &str, other: &str| Some((one.to_owned(), other.to_owned()));
        let same = [("a.test", tcp, cn), ("b.test", tcp, cn), ("c.test", "tcp://a.test:1", key)];
        assert_eq!(conflict(&same), None);
        let three = [("a.test", tcp, ""), ("b.test", tcp, cn), ("c.test", tcp, key)];
        assert_eq!(conflict(&three), named("a.test", "b.test"));
        let last = [("a.test", http, ""), ("b.test", http, cn), ("c.test", tcp, "")];
        assert_eq!(conflict(&last), named("b.test", "c.test"));
        let two = [
            ("a.test", "tcp://z.test:1", ""),
            ("b.test", tcp, ""),
            ("c.test", tcp, cn),
            ("d.test", "tcp://z.test:1", cn),
        ];
        assert_eq!(conflict(&two), named("a.test", "d.test"));
    }
}
