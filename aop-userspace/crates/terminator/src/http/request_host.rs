//! The host that a request names, and whether the connection may carry it.
//!
//! The certificate was verified by the rules of the site that the TLS server name selects. A
//! request for a host of another site would bypass that site's rules. So one function,
//! [`Sites::find`], looks up both names.

use std::sync::Arc;

use aop_config::{Host, HttpConfig};
use aop_http::{RequestHead, Version};
use aop_tls::{Site, Sites};

use super::denial::Denial;

/// The host that a request names, in its canonical spelling: lower case, without a final dot, and
/// with its port if it has one (RFC 9110, 4.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestHost {
    text: String,
    /// The length of the host without its port.
    bare: usize,
}

impl RequestHost {
    /// Reads the host of a request.
    ///
    /// # Errors
    /// There is no host, there is more than one, it is invalid, or the target and `Host` differ.
    pub(super) fn parse(request: &RequestHead) -> Result<Self, Denial> {
        let mut hosts = request.fields.all(b"host");
        let (host, twice) = (hosts.next(), hosts.next());
        let authority = Some(&request.authority[..]).filter(|authority| !authority.is_empty());
        let spelled = match (host, authority) {
            (_, _) if twice.is_some() => return Err(Denial::BadHost),
            (None, None) => return Err(Denial::BadHost),
            // Only HTTP/2 may omit Host.
            (None, Some(_)) if request.version != Version::Http2 => return Err(Denial::BadHost),
            (None, Some(authority)) => authority,
            (Some(host), None) => host,
            (Some(host), Some(authority)) if host.eq_ignore_ascii_case(authority) => host,
            (Some(_), Some(_)) => return Err(Denial::BadHost),
        };
        let spelled = std::str::from_utf8(spelled).map_err(|_| Denial::BadHost)?;
        Self::canonical(spelled)
    }

    fn canonical(spelled: &str) -> Result<Self, Denial> {
        // An IPv6 address keeps its brackets, so it matches no host of a site.
        let (host, port) = match spelled.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            Some(_) | None => (spelled, ""),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        // An empty port is valid (RFC 3986, 3.2.3), and the same as none.
        if host.is_empty() || !is_port(port) {
            return Err(Denial::BadHost);
        }
        let mut text = host.to_ascii_lowercase();
        let bare = text.len();
        if !port.is_empty() {
            text.push(':');
            text.push_str(port);
        }
        Ok(Self { text, bare })
    }

    /// The host with its port.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The host without its port.
    fn bare(&self) -> &str {
        &self.text[..self.bare]
    }

    /// Checks that a connection for `server_name`, whose site is `site` of `sites`, may carry this
    /// host. Only authenticated peers may use `also_hosts` for a host of another site.
    ///
    /// # Errors
    /// The host belongs to another site or to none.
    pub(super) fn check_site(
        &self,
        server_name: &Host,
        site: &Arc<Site>,
        http: &HttpConfig,
        sites: &Sites,
        is_authenticated: bool,
    ) -> Result<(), Denial> {
        if self.bare() == server_name.as_str() {
            return Ok(());
        }
        let host: Host = self.bare().parse().map_err(|_| Denial::HostMismatch)?;
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
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    text.is_empty() || (digits && text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(version: Version, authority: &str, hosts: &[&str]) -> Result<String, Denial> {
        let mut request = RequestHead { version, ..RequestHead::default() };
        request.authority.extend_from_slice(authority.as_bytes());
        for host in hosts {
            request.fields.push(b"host", host.as_bytes());
        }
        let named = RequestHost::parse(&request)?;
        Ok(format!("{} {}", named.bare(), named.text()))
    }

    #[test]
    fn a_request_names_one_host_in_one_way_and_its_canonical_spelling_goes_on() {
        let one = Version::Http11;
        assert_eq!(named(one, "", &["a.test"]), Ok("a.test a.test".into()));
        assert_eq!(named(one, "", &["a.test:8443"]), Ok("a.test a.test:8443".into()));
        assert_eq!(named(one, "a.test", &["A.test"]), Ok("a.test a.test".into()));
        assert_eq!(named(Version::Http2, "a.test", &[]), Ok("a.test a.test".into()));
        assert_eq!(named(Version::Http2, "", &["a.test"]), Ok("a.test a.test".into()));
        assert_eq!(named(one, "", &["[::1]:443"]), Ok("[::1] [::1]:443".into()));
        assert_eq!(named(one, "", &["A.tEst.:1"]), Ok("a.test a.test:1".into()));
        assert_eq!(named(one, "", &["a.test."]), Ok("a.test a.test".into()));
        assert_eq!(named(one, "", &["a.test:"]), Ok("a.test a.test".into()));
    }

    #[test]
    fn missing_repeated_invalid_and_differing_hosts_are_refused() {
        let one = Version::Http11;
        for (version, authority, hosts) in [
            (one, "", &[][..]),
            (one, "a.test", &[]),
            (one, "", &["a.test", "a.test"]),
            (one, "b.test", &["a.test"]),
            (Version::Http2, "b.test", &["a.test"]),
            (Version::Http2, "a.test:1", &["a.test"]),
            (one, "", &[""]),
            (one, "", &[":443"]),
            (one, "", &["."]),
            (one, "", &["a.test:x"]),
            (one, "", &["a.test:99999"]),
        ] {
            assert_eq!(named(version, authority, hosts), Err(Denial::BadHost), "{hosts:?}");
        }
    }
}
