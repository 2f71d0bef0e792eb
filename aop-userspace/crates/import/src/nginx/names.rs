//! `server_name`: which of the names can be hosts of a site.

use aop_config::HostPattern;

/// The meaning of a name of `server_name` for a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerName {
    /// These hosts.
    Hosts(Vec<String>),
    /// These hosts, and others that a site cannot have.
    Some(Vec<String>, &'static str),
    /// Every name that no other server block has.
    CatchAll,
    /// No host of a site, for this reason.
    NotTaken(String),
}

impl ServerName {
    pub(super) fn read(text: &str) -> Self {
        if text.starts_with('~') {
            return not("a regular expression: list the hosts in site.hosts");
        }
        if text.contains('$') {
            return not("a variable: list the hosts in site.hosts");
        }
        // Names that no request has, which stand in blocks for all others.
        if text.chars().all(|letter| "_-!@#*".contains(letter)) {
            return Self::CatchAll;
        }
        if text.ends_with(".*") {
            return not("a star at the end: list the hosts in site.hosts");
        }
        if let Some(domain) = text.strip_prefix('.') {
            return match host(domain) {
                Ok(domain) => Self::Some(vec![domain.clone(), format!("*.{domain}")], DEEPER),
                Err(why) => Self::NotTaken(why),
            };
        }
        match host(text) {
            Ok(host) if host.starts_with("*.") => Self::Some(vec![host], DEEPER),
            Ok(host) => Self::Hosts(vec![host]),
            Err(why) => Self::NotTaken(why),
        }
    }
}

const DEEPER: &str = "aop's star stands for one label, as in certificates. nginx takes names with \
                      more labels, too: list such hosts in site.hosts";

fn not(why: &str) -> ServerName {
    ServerName::NotTaken(why.to_owned())
}

/// `text` as a host or pattern of a site.
fn host(text: &str) -> Result<String, String> {
    if !text.trim_end_matches('.').contains('.') {
        return Err("a name without a dot, which no CDN pulls".to_owned());
    }
    text.parse::<HostPattern>().map(|host| host.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_host_or_the_reason_is_told() {
        let hosts = |hosts: &[&str]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (text, expected) in [
            ("Example.COM", ServerName::Hosts(hosts(&["example.com"]))),
            ("example.com.", ServerName::Hosts(hosts(&["example.com"]))),
            ("*.example.com", ServerName::Some(hosts(&["*.example.com"]), DEEPER)),
            (".example.com", ServerName::Some(hosts(&["example.com", "*.example.com"]), DEEPER)),
            ("_", ServerName::CatchAll),
            ("", ServerName::CatchAll),
            ("--", ServerName::CatchAll),
        ] {
            assert_eq!(ServerName::read(text), expected, "{text}");
        }
        for (text, why) in [
            (r"~^www\d+\.example\.com$", "regular expression"),
            ("$hostname", "variable"),
            ("www.example.*", "star at the end"),
            ("localhost", "without a dot"),
            ("192.0.2.1", "is an address"),
            ("bücher.example", "punycode"),
            ("w*.example.com", "a star must be the whole first label"),
            ("*.*.example.com", "not a host name"),
        ] {
            let ServerName::NotTaken(told) = ServerName::read(text) else { panic!("{text}") };
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
