//! `[[listener]]`: the addresses to listen on, and the senders of PROXY headers there.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::Spanned;

use crate::{ConfigError, parse::SourceFile, toml_schema::RawListener};

/// The sockets that fit into one message to the terminator process (253 descriptors), beside the
/// maps.
const MAX_ADDRESSES: usize = 200;

/// The senders of PROXY headers, by listener. A sender begins every connection with a PROXY header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySenders(Vec<(SocketAddr, Vec<IpNet>)>);

impl ProxySenders {
    /// The senders at each address of a listener.
    #[must_use]
    pub fn new(senders: Vec<(SocketAddr, Vec<IpNet>)>) -> Self {
        Self(senders)
    }

    /// Whether a connection from `peer`, never IPv6-mapped, to our address `local` begins with a
    /// PROXY header.
    #[must_use]
    pub fn expects_header(&self, peer: IpAddr, local: SocketAddr) -> bool {
        let accepts = |listener: SocketAddr| {
            listener == local
                || (listener.ip().is_unspecified()
                    && listener.is_ipv4() == local.is_ipv4()
                    && listener.port() == local.port())
        };
        self.0.iter().any(|(listener, senders)| {
            accepts(*listener) && senders.iter().any(|sender| sender.contains(&peer))
        })
    }

    /// The listeners where every address is a sender.
    pub(crate) fn open_to_all(&self) -> impl Iterator<Item = SocketAddr> {
        let everybody = |senders: &[IpNet]| senders.iter().any(|sender| sender.prefix_len() == 0);
        self.0.iter().filter(move |(_, senders)| everybody(senders)).map(|(listener, _)| *listener)
    }
}

/// Reads all addresses, and the senders of the listeners that have any. Refuses an address that
/// appears twice.
pub(crate) fn read(
    raw: &[RawListener],
    src: &SourceFile<'_>,
) -> Result<(Vec<SocketAddr>, ProxySenders), ConfigError> {
    let mut listeners = Vec::new();
    let mut proxied = Vec::new();
    for listener in raw {
        let senders = senders(listener, src)?;
        for bind in &listener.bind {
            let address = address(bind, src)?;
            if listeners.contains(&address) {
                return Err(src.error(bind.span(), format!("{address} is bound twice; remove one")));
            }
            if listeners.len() == MAX_ADDRESSES {
                let message = format!(
                    "more than {MAX_ADDRESSES} addresses; use [::] and 0.0.0.0, which accept all"
                );
                return Err(src.error(bind.span(), message));
            }
            listeners.push(address);
            if !senders.is_empty() {
                proxied.push((address, senders.clone()));
            }
        }
    }
    Ok((listeners, ProxySenders::new(proxied)))
}

fn address(bind: &Spanned<String>, src: &SourceFile<'_>) -> Result<SocketAddr, ConfigError> {
    let text = bind.get_ref();
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0).ok_or_else(|| {
        let message =
            format!("{text:?} is not an address with a port, such as 0.0.0.0:443 or [::]:443");
        src.error(bind.span(), message)
    })
}

fn senders(raw: &RawListener, src: &SourceFile<'_>) -> Result<Vec<IpNet>, ConfigError> {
    let Some(list) = &raw.proxy_from else { return Ok(Vec::new()) };
    if list.get_ref().is_empty() {
        let message = "proxy_from is empty: name the senders of PROXY headers, or remove it";
        return Err(src.error(list.span(), message));
    }
    list.get_ref()
        .iter()
        .map(|text| {
            aop_types::parse_prefix_of_any_width(text.get_ref())
                .map_err(|error| src.error(text.span(), error))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_counts_only_at_its_own_listener() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        let senders = ProxySenders::new(vec![
            (at("0.0.0.0:443"), vec!["192.0.2.0/24".parse().unwrap()]),
            (at("[2001:db8::1]:8443"), vec!["::/0".parse().unwrap()]),
        ]);
        assert!(senders.expects_header(from("192.0.2.7"), at("198.51.100.1:443")));
        assert!(!senders.expects_header(from("192.0.3.7"), at("198.51.100.1:443")));
        assert!(!senders.expects_header(from("192.0.2.7"), at("198.51.100.1:8443")));
        assert!(senders.expects_header(from("2001:db8::7"), at("[2001:db8::1]:8443")));
        assert!(!senders.expects_header(from("2001:db8::7"), at("[2001:db8::2]:8443")));
        assert!(!senders.expects_header(from("2001:db8::7"), at("[2001:db8::1]:443")));
        assert_eq!(senders.open_to_all().collect::<Vec<_>>(), [at("[2001:db8::1]:8443")]);
        assert!(!ProxySenders::default().expects_header(from("192.0.2.7"), at("198.51.100.1:443")));
    }

    #[test]
    fn a_sender_at_an_unspecified_address_counts_in_its_own_family_only() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let any = |bind: &str| {
            let all = ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap());
            ProxySenders::new(vec![(at(bind), all.to_vec())])
        };
        let (four, six) = (IpAddr::from([192, 0, 2, 7]), "2001:db8::7".parse().unwrap());
        let (any_four, any_six) = (any("0.0.0.0:443"), any("[::]:443"));
        assert!(any_four.expects_header(four, at("192.0.2.1:443")));
        assert!(any_six.expects_header(six, at("[2001:db8::1]:443")));
        assert!(!any_four.expects_header(six, at("[2001:db8::1]:443")));
        assert!(!any_six.expects_header(four, at("192.0.2.1:443")));
        let own = any("192.0.2.1:443");
        assert!(own.expects_header(four, at("192.0.2.1:443")));
        assert!(!own.expects_header(four, at("192.0.2.2:443")));
    }
}
