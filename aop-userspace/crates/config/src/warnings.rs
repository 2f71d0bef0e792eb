//! Warnings about valid configurations.

use std::{fmt, time::Duration};

use aop_common::Mode;

use crate::{ClientCa, Config, HostPattern, OnRefusal, PrefixSource, SiteConfig, Upstream};

/// Something an operator should know about a valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The warning of a firewall in observe mode. A mode override of `aop mode` may make it untrue.
pub const FIREWALL_OBSERVES: &str = "the firewall observes: nothing is blocked. `would_drop` counts what \
                            `enforce` would block";

/// The warning of a site that observes. A mode override of `aop mode` may make it untrue, or true
/// of another site.
#[must_use]
pub fn site_observes(site: &str) -> String {
    format!(
        "site {site} does not enforce certificates yet (observe): everybody is let in. \
         `aop mode enforce --site {site}` refuses peers without the right certificate at once"
    )
}

const SSH: u16 = 22;
/// A longer `limits.linger` is warned of.
const LONG_LINGER: Duration = Duration::from_secs(24 * 3600);

/// Returns the warnings about `config`. Reads no file.
#[must_use]
pub fn warnings(config: &Config) -> Vec<Warning> {
    let Config { fixed, live, .. } = config;
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(Warning(text));

    if fixed.firewall.is_none() {
        warn(
            "the firewall is off: packets from anywhere reach the port, and only the terminator \
             checks the address and the certificate"
                .into(),
        );
    } else if live.mode == Mode::Observe {
        warn(FIREWALL_OBSERVES.into());
    }
    if live.prefixes == PrefixSource::Inline(Vec::new()) && live.extra.is_empty() {
        warn("no prefix is admitted: nobody can reach a guarded port".into());
    }
    if live.prefixes.url().is_some() && live.refresh.is_none() {
        warn(
            "prefixes.refresh is off: a prefix that the source adds is dropped until you run \
             `aop prefixes refresh`"
                .into(),
        );
    }
    if fixed.firewall.is_some() {
        for listener in &fixed.listeners {
            if !live.ports.contains(listener.port()) {
                warn(format!(
                    "the firewall does not guard {listener}: add {} to firewall.ports, or remove \
                     firewall.ports",
                    listener.port()
                ));
            }
        }
    }
    if !fixed.listeners.is_empty() {
        let v4 = fixed.listeners.iter().any(|listener| listener.is_ipv4());
        let v6 = fixed.listeners.iter().any(|listener| listener.is_ipv6());
        if !(v4 && v6) {
            let missing = if v4 { "IPv6" } else { "IPv4" };
            warn(format!("no listener for {missing}: pulls over {missing} cannot connect"));
        }
    }
    for listener in live.senders.open_to_all() {
        warn(format!(
            "{listener}: proxy_from names everybody, so any peer can forge the visitor's address. \
             Name only the senders of PROXY headers"
        ));
    }
    for site in &live.sites {
        if site.client_ca.contains(&ClientCa::CloudflareGlobal) {
            warn(format!(
                "site {}: with cloudflare-global, any other Cloudflare customer can pass the \
                 certificate check. Upload a certificate of your own: docs/certificates.md",
                site.name
            ));
        }
    }
    for SharedHost { site, host, other } in hosts_of_other_sites(&live.sites) {
        warn(format!(
            "site {site}: also_hosts names {host}, which site {other} serves: a peer that may pull \
             {site} reaches it under the rules of {site}. Remove it unless this is intended"
        ));
    }
    for site in live.sites.iter().filter(|site| site.on_refusal == OnRefusal::Explain) {
        warn(format!(
            "site {}: on_refusal = \"explain\" finishes the handshake of every peer, to give it \
             the reason for a refusal. Use it only during a cut-over: remove it once the edge is \
             served",
            site.name
        ));
    }
    for site in live.sites.iter().filter(|site| site.on_refusal == OnRefusal::Observe) {
        warn(site_observes(&site.name));
    }
    if live.linger > LONG_LINGER {
        warn(
            "limits.linger is longer than a day: a process that an upgrade replaced may run for \
             that long, with the bugs of the old version"
                .into(),
        );
    }
    if fixed.firewall.is_some() && live.ports.contains(SSH) {
        warn(format!(
            "firewall.ports has {SSH}, the port of SSH: enforce drops your own login unless its \
             address is in firewall.extra. Remove {SSH} unless that is intended"
        ));
    }
    warnings
}

/// A host in `also_hosts` of one site that another site serves.
struct SharedHost<'a> {
    site: &'a str,
    host: &'a HostPattern,
    other: &'a str,
}

fn hosts_of_other_sites(sites: &[SiteConfig]) -> Vec<SharedHost<'_>> {
    let overlap = |one: &HostPattern, other: &HostPattern| match (one, other) {
        (pattern, HostPattern::Exact(host)) | (HostPattern::Exact(host), pattern) => {
            pattern.matches(host)
        }
        (HostPattern::Below(one), HostPattern::Below(other)) => one == other,
    };
    let mut found = Vec::new();
    for site in sites {
        let Upstream::Http(http) = &site.upstream else { continue };
        for other in sites.iter().filter(|other| other.name != site.name) {
            let shared = http
                .also_hosts
                .iter()
                .filter(|also| other.hosts.iter().any(|served| overlap(also, served)));
            found.extend(shared.map(|host| SharedHost {
                site: &site.name,
                host,
                other: &other.name,
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn also_hosts_with_a_host_of_another_site_is_warned_of() {
        let site = |host: &str, also: &str| {
            format!(
                "[[site]]\nhosts = [{host:?}]\ncertificate = \"a\"\nkey = \"a\"\n\
                 client_ca = [\"a\"]\nupstream = \"http://127.0.0.1:1\"\n\
                 [site.http]\nalso_hosts = [{also:?}]\n"
            )
        };
        for (one, also, expected) in [
            ("b.test", "b.test", true),
            ("*.b.test", "x.b.test", true),
            ("x.b.test", "*.b.test", true),
            ("*.b.test", "*.b.test", true),
            ("*.b.test", "b.test", false),
            ("b.test", "c.test", false),
        ] {
            let listener = "[[listener]]\nbind = [\"127.0.0.1:443\"]\n".to_owned();
            let text = listener + &site("a.test", also) + &site(one, "d.test");
            let config = Config::parse(Path::new("aop.toml"), &text).unwrap();
            let warned =
                warnings(&config).iter().any(|warning| warning.0.contains("also_hosts names"));
            assert_eq!(warned, expected, "{one} {also}");
        }
    }
}
