//! The host that a request names, and whether the connection may carry it.
//!
//! The certificate was verified by the rules of the site that the TLS server name selects. A
//! request for a host of another site would bypass that site's rules. So one function,
//! [`Sites::find`], looks up both names.

use std::sync::Arc;

use aop_config::{Host, HttpConfig};
use aop_tls::{Site, Sites};
use hyper::{
    Version,
    header::HOST,
    http::{HeaderValue, request::Parts},
};

use super::denial::Denial;

/// The host that a request names, with its port, as the peer wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestHost(pub(super) HeaderValue);

impl RequestHost {
    /// Reads the host of a request.
    ///
    /// # Errors
    /// There is no host, there is more than one, or the target and `Host` differ.
    pub(super) fn parse(head: &Parts) -> Result<Self, Denial> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let (host, twice) = (hosts.next(), hosts.next());
        let authority = head.uri.authority();
        match (host, authority) {
            (_, _) if twice.is_some() => Err(Denial::BadHost),
            (None, None) => Err(Denial::BadHost),
            // Only HTTP/2 may omit Host.
            (None, Some(_)) if head.version < Version::HTTP_2 => Err(Denial::BadHost),
            (None, Some(authority)) => {
                let named = HeaderValue::from_str(authority.as_str());
                named.map(Self).map_err(|_| Denial::BadHost)
            }
            (Some(host), None) => Ok(Self(host.clone())),
            (Some(host), Some(authority)) => {
                match host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) {
                    true => Ok(Self(host.clone())),
                    false => Err(Denial::BadHost),
                }
            }
        }
    }

    /// The host without its port.
    fn bare(&self) -> Result<&str, Denial> {
        let text = self.0.to_str().map_err(|_| Denial::BadHost)?;
        // An IPv6 address keeps its brackets, so it matches no host of a site.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            Some(_) | None => (text, None),
        };
        if host.is_empty() || port.is_some_and(|port| !is_port(port)) {
            return Err(Denial::BadHost);
        }
        Ok(host)
    }

    /// Checks that a connection for `server_name`, whose site is `site` of `sites`, may carry this
    /// host. Only authenticated peers may use `also_hosts` for a host of another site.
    ///
    /// # Errors
    /// The host is invalid, or belongs to another site or to none.
    pub(super) fn check_site(
        &self,
        server_name: &Host,
        site: &Arc<Site>,
        http: &HttpConfig,
        sites: &Sites,
        is_authenticated: bool,
    ) -> Result<(), Denial> {
        let bare = self.bare()?;
        if bare == server_name.as_str() {
            return Ok(());
        }
        let host: Host = bare.parse().map_err(|_| Denial::HostMismatch)?;
        let found = sites.find(&host);
        let same = found.is_some_and(|found| Arc::ptr_eq(found, site));
        let also = (is_authenticated || found.is_none())
            && http.also_hosts.iter().any(|pattern| pattern.matches(&host));
        match same || also {
            true => Ok(()),
            false => Err(Denial::HostMismatch),
        }
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|digit| digit.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn named(version: Version, target: &str, hosts: &[&str]) -> Result<String, Denial> {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let named = RequestHost::parse(&head)?;
        named.bare().map(Into::into)
    }

    #[test]
    fn a_request_names_one_host_in_one_way() {
        let one = Version::HTTP_11;
        assert_eq!(named(one, "/", &["a.test"]), Ok("a.test".into()));
        assert_eq!(named(one, "/", &["a.test:8443"]), Ok("a.test".into()));
        assert_eq!(named(one, "https://a.test/", &["A.test"]), Ok("A.test".into()));
        assert_eq!(named(Version::HTTP_2, "https://a.test/", &[]), Ok("a.test".into()));
        assert_eq!(named(Version::HTTP_2, "/", &["a.test"]), Ok("a.test".into()));
        assert_eq!(named(one, "/", &["[::1]:443"]), Ok("[::1]".into()));
    }

    #[test]
    fn missing_repeated_invalid_and_differing_hosts_are_refused() {
        let one = Version::HTTP_11;
        for (version, target, hosts) in [
            (one, "/", &[][..]),
            (one, "https://a.test/", &[]),
            (one, "/", &["a.test", "a.test"]),
            (one, "https://b.test/", &["a.test"]),
            (Version::HTTP_2, "https://b.test/", &["a.test"]),
            (Version::HTTP_2, "https://a.test:1/", &["a.test"]),
            (one, "/", &[""]),
            (one, "/", &[":443"]),
            (one, "/", &["a.test:"]),
            (one, "/", &["a.test:x"]),
            (one, "/", &["a.test:99999"]),
        ] {
            assert_eq!(named(version, target, hosts), Err(Denial::BadHost), "{target} {hosts:?}");
        }
    }
}
