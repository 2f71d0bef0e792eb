//! The places of the applications of the sites.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use aop_config::{Config, SiteConfig, Upstream, UpstreamAddress};
use aop_firewall::HostInterface;

use super::procfs::{Sockets, listens_at_path};

/// How long a connection may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The application of one or more sites.
pub(super) struct UpstreamPlace {
    /// Its address in the configuration, without the scheme.
    pub(super) name: String,
    at: Place,
}

enum Place {
    /// At these addresses of this host.
    Here(Vec<SocketAddr>),
    /// At this path of this host.
    Path(PathBuf),
    Elsewhere,
}

/// The upstreams of all sites, each once.
pub(super) fn places(config: &Config, interfaces: &[HostInterface]) -> Vec<UpstreamPlace> {
    let mut places: Vec<UpstreamPlace> = Vec::new();
    for site in &config.live.sites {
        let place = UpstreamPlace::of(site, interfaces);
        if places.iter().all(|other| other.name != place.name) {
            places.push(place);
        }
    }
    places
}

impl UpstreamPlace {
    /// The upstream of a site.
    pub(super) fn of(site: &SiteConfig, interfaces: &[HostInterface]) -> Self {
        let address = match &site.upstream {
            Upstream::Bytes(address) => address,
            Upstream::Http(http) => &http.upstream.address,
        };
        match address {
            UpstreamAddress::Tcp(name) => {
                let here = addresses_here(name, interfaces);
                let at = if here.is_empty() { Place::Elsewhere } else { Place::Here(here) };
                Self { name: name.clone(), at }
            }
            UpstreamAddress::Unix(path) => {
                Self { name: path.display().to_string(), at: Place::Path(path.clone()) }
            }
        }
    }

    /// Its addresses on this host; empty for a path, and for another host.
    pub(super) fn here(&self) -> &[SocketAddr] {
        match &self.at {
            Place::Here(addresses) => addresses,
            Place::Path(_) | Place::Elsewhere => &[],
        }
    }

    /// Whether it is on another host.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self.at, Place::Elsewhere)
    }

    /// Its port; `None` for a path.
    pub(super) fn port(&self) -> Option<u16> {
        self.name.rsplit_once(':')?.1.parse().ok()
    }

    /// Why a connection fails, if nobody listens on this host. Another host is not asked.
    ///
    /// A listening socket is proof enough, and spares the application a connection. Without one,
    /// netfilter may still take the connection to a container.
    pub(super) fn nobody_listens(&self, sockets: &Sockets) -> Option<io::Error> {
        match &self.at {
            Place::Elsewhere => None,
            Place::Here(addresses) => {
                let listens = |at: &SocketAddr| !sockets.accepting(*at).is_empty();
                if addresses.iter().any(listens) {
                    return None;
                }
                self.connect().err()
            }
            Place::Path(path) if listens_at_path(path) => None,
            Place::Path(path) => {
                let error = UnixStream::connect(path).err();
                error.filter(|error| error.kind() != io::ErrorKind::PermissionDenied)
            }
        }
    }

    /// Opens a connection over TCP, and sends nothing.
    ///
    /// # Errors
    /// The error of the last address.
    pub(super) fn connect(&self) -> io::Result<TcpStream> {
        let addresses = match &self.at {
            Place::Here(addresses) => addresses.clone(),
            Place::Elsewhere => self.name.to_socket_addrs()?.collect(),
            Place::Path(_) => Vec::new(),
        };
        let mut last = io::Error::other("it has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, TIMEOUT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The addresses of `authority`, if it is the loopback or an address of an interface.
fn addresses_here(authority: &str, interfaces: &[HostInterface]) -> Vec<SocketAddr> {
    let Some((name, port)) = authority.rsplit_once(':') else { return Vec::new() };
    let Ok(port) = port.parse::<u16>() else { return Vec::new() };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let found: Vec<IpAddr> = match name.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => {
            loopback.into_iter().filter(|it| it.is_ipv4() == address.is_ipv4()).collect()
        }
        Ok(address) => {
            let own = interfaces.iter().any(|it| it.addresses.contains(&address));
            if own || address.is_loopback() { vec![address] } else { Vec::new() }
        }
        Err(_) if name.eq_ignore_ascii_case("localhost") => loopback.to_vec(),
        Err(_) => Vec::new(),
    };
    found.into_iter().map(|address| SocketAddr::new(address, port)).collect()
}
