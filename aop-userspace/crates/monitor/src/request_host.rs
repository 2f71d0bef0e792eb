//! Whether a request names this host, as a browser on it does.
//!
//! A page of another site can let its own name resolve to 127.0.0.1 (DNS rebinding). Its scripts
//! then reach this monitor as their own origin, and could read everything. Their requests name the
//! other site, so the status page and its data are only for requests that name the loopback.

use std::net::{Ipv4Addr, Ipv6Addr};

use aop_http::RequestHead;

/// Whether the one authority of the request is `localhost` or an address of the loopback. Any port
/// is right: with `ssh -L`, the browser names the port at its own end.
pub(super) fn names_this_host(request: &RequestHead) -> bool {
    let mut hosts = request.fields.all(b"host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    // A target in absolute form takes precedence over Host (RFC 9112, 3.2.2): both must be right.
    let target = Some(&request.authority[..]).filter(|authority| !authority.is_empty());
    [Some(host), target].into_iter().flatten().all(is_local)
}

fn is_local(authority: &[u8]) -> bool {
    str::from_utf8(authority).ok().and_then(host_of).is_some_and(|host| {
        match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()),
            None => {
                let v4 = host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback());
                v4 || host.eq_ignore_ascii_case("localhost")
            }
        }
    })
}

/// The authority without its port; `None` if the port is no number.
fn host_of(authority: &str) -> Option<&str> {
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[end..].find(':') else { return Some(authority) };
    let (host, port) = authority.split_at(end + colon);
    port[1..].parse::<u16>().is_ok().then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(target: &str, hosts: &[&str]) -> bool {
        let mut request = RequestHead::default();
        request.authority.extend_from_slice(target.as_bytes());
        hosts.iter().for_each(|host| request.fields.push(b"host", host.as_bytes()));
        names_this_host(&request)
    }

    #[test]
    fn loopback_names_are_right_with_any_port() {
        for host in [
            "localhost",
            "LocalHost:9465",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.1.2.3:1",
            "[::1]",
            "[::1]:9465",
        ] {
            assert!(with("", &[host]), "{host}");
        }
        assert!(with("localhost:1", &["127.0.0.1:1"]));
    }

    #[test]
    fn every_other_name_is_refused() {
        for host in [
            "",
            "aop",
            "evil.example",
            "evil.example:9465",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example@localhost",
            "localhost:1:evil",
            "localhost:",
            "localhost:x",
            "localhost.",
            "192.0.2.1:9465",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::1",
            "::1",
            "[::1]evil.example",
            "[::1]]",
            "127.1",
            "2130706433",
        ] {
            assert!(!with("", &[host]), "{host}");
        }
    }

    #[test]
    fn two_hosts_none_or_another_target_are_refused() {
        assert!(!with("", &[]));
        assert!(!with("", &["localhost", "localhost"]));
        assert!(!with("evil.example", &["localhost"]));
        assert!(!with("localhost", &["evil.example"]));
        assert!(!with("localhost", &[]));
    }
}
