//! The known facts of this host: its interfaces, the certificates of certbot, free ports.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use aop_config::{Config, HostPattern, Interfaces, SiteConfig, quoted};
use aop_import::{FoundCertificate, KnownHost};
use aop_tls::{SiteFiles, inspect};

/// Where certbot keeps the current certificates, a folder for each.
const LIVE: &str = "/etc/letsencrypt/live";

pub(super) fn facts() -> KnownHost {
    let interfaces = aop_firewall::start_interfaces(&Interfaces::Auto).unwrap_or_default();
    KnownHost {
        interfaces: interfaces.into_iter().map(|it| it.name).collect(),
        certificates: certificates(Path::new(LIVE)),
    }
}

/// Whether nobody listens on this TCP port, at any address.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// The certificates below `live`, as far as this process may read them.
fn certificates(live: &Path) -> Vec<FoundCertificate> {
    let entries = fs::read_dir(live).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    let found = folders.iter().filter_map(|folder| {
        let [certificate, key] = ["fullchain.pem", "privkey.pem"]
            .map(|name| folder.join(name).to_str().map(str::to_owned));
        let (certificate, key) = (certificate?, key?);
        let hosts = names(&site_of(&certificate, &key)?);
        (!hosts.is_empty()).then_some(FoundCertificate { hosts, certificate, key })
    });
    found.collect()
}

/// A site with these files, which serves nothing.
fn site_of(certificate: &str, key: &str) -> Option<SiteConfig> {
    let text = format!(
        "[[listener]]\nbind = [\"[::]:443\"]\n[[site]]\nhosts = [\"example.com\"]\n\
         certificate = {}\nkey = {}\nclient_ca = [\"cloudflare-global\"]\n\
         upstream = \"http://127.0.0.1:8080\"\n",
        quoted(certificate),
        quoted(key)
    );
    Config::parse(Path::new("/"), &text).ok()?.live.sites.into_iter().next()
}

/// The names in its certificate that can be hosts.
fn names(site: &SiteConfig) -> Vec<String> {
    let files = inspect(site, &SiteFiles::on_disk());
    let leaf = files.first().and_then(|file| file.certificates.first());
    let names = leaf.into_iter().flat_map(|leaf| &leaf.names);
    let hosts = names.filter_map(|name| name.strip_prefix("dns:")?.parse::<HostPattern>().ok());
    hosts.map(|host| host.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_on_which_somebody_listens_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        assert!(!is_free(port));
        drop(listener);
        // Another process may take one port meanwhile, and not every one.
        let released = |_| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            listener.local_addr().expect("its address").port()
        };
        assert!((0..10).map(released).any(is_free));
    }

    #[test]
    fn a_folder_without_certificates_has_none() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("example.com")).expect("a folder");
        fs::write(folder.path().join("README"), "text").expect("a file");
        assert_eq!(certificates(folder.path()), []);
        assert_eq!(certificates(&folder.path().join("missing")), []);
    }
}
