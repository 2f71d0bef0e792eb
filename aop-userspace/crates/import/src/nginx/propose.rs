//! From the server blocks to the sites.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{
    MOST_BYTES, NginxError, Place, dump, hazards, includes,
    listen::{Listen, ListenAddress, ListenProtocol},
    loopback, main_level,
    names::ServerName,
    servers::{HttpBlock, Server, Settings},
    tree::{Directive, flat},
    upstream,
};
use crate::{ConfigProposal, NotTaken, ProposedSite, SiteUse};

/// The port of HTTPS.
const HTTPS: u16 = 443;
/// Why an upstream is the application itself.
const PAST_NGINX: &str = "past nginx, which only passes requests on. Its access log and its limit \
                          of bodies no longer apply";
/// The first port to look at for the loopback.
const FIRST_LOOPBACK: u16 = 8080;

/// Reads `input`, the output of `nginx -T` or one file of a configuration, and proposes a
/// configuration of aop. `name` is the input's name for messages, and `is_free` says whether nobody
/// listens on a TCP port of this host.
///
/// # Errors
/// The input is too large, or no configuration.
pub fn propose(
    input: &[u8],
    name: &str,
    is_free: &dyn Fn(u16) -> bool,
) -> Result<ConfigProposal, NginxError> {
    if input.len() > MOST_BYTES {
        return Err(NginxError::TooLarge { name: name.to_owned() });
    }
    let text = String::from_utf8_lossy(input);
    let dump = dump::split(&text, name);
    let mut not_taken = Vec::new();
    let main = includes::whole(&dump, &mut not_taken)?;
    let http = HttpBlock::find(&main);
    if http.servers.is_empty() && !flat(&main).iter().any(|it| it.is("http")) {
        let problem = "there is no server block: is this the output of `nginx -T`?".to_owned();
        return Err(NginxError::Syntax { at: format!("{name}:1"), problem });
    }
    let ports = main_level::ports(&main);
    let is_free = |port: u16| !ports.contains(&port) && is_free(port);
    let loopback_port = (FIRST_LOOPBACK..u16::MAX).find(|port| is_free(*port));
    let mut reader = Reader {
        http: &http,
        folder: &dump.folder,
        loopback_port: loopback_port.unwrap_or(FIRST_LOOPBACK),
        served: HashMap::new(),
        not_taken,
    };
    let sites = reader.sites();
    reader.not_taken.extend(main_level::other_servers(&main));
    let mut proposal = ConfigProposal {
        serves: reader.serves(),
        not_taken: reader.not_taken,
        include: main_level::include(&http, &dump.folder),
        ..ConfigProposal::default()
    };
    if sites.iter().any(|site| site.block.is_some()) {
        proposal.loopback_port = loopback_port;
        proposal.not_taken.extend(hazards::of_http(&http.shared));
    }
    proposal.sites = sites;
    proposal.choose_trial(is_free);
    Ok(proposal)
}

struct Reader<'a> {
    http: &'a HttpBlock<'a>,
    folder: &'a str,
    loopback_port: u16,
    /// The hosts that have a site, each with its server block.
    served: HashMap<String, &'a Place>,
    not_taken: Vec<NotTaken>,
}

/// Why a server block becomes no site.
type Unusable = NotTaken;

impl<'a> Reader<'a> {
    fn sites(&mut self) -> Vec<ProposedSite> {
        let http = self.http;
        // A host that several blocks have belongs to the one on the port of HTTPS.
        let on_443 = |server: &&Server<'_>| {
            !server.listens.iter().any(|it| it.is_tls() && port(it) == Some(HTTPS))
        };
        let mut servers: Vec<&Server<'a>> = http.servers.iter().collect();
        servers.sort_by_key(on_443);
        let mut sites = Vec::new();
        for server in servers {
            match self.site(server) {
                Ok(site) => sites.push(site),
                Err(unusable) => self.not_taken.push(unusable),
            }
        }
        sites
    }

    fn site(&mut self, server: &'a Server<'a>) -> Result<ProposedSite, Unusable> {
        if !server.serves_tls() {
            return Err(unusable(server, without_tls(server)));
        }
        let settings = Settings::new(server, self.http, self.folder);
        if settings.is_on("ssl_reject_handshake") {
            let why = "refuses all names here; aop refuses each name that no site has";
            return Err(unusable(server, why));
        }
        let certificate = self.certificate(server, &settings)?;
        let (client_ca, refuses) = self.client_ca(server, &settings)?;
        let mut crl = Vec::new();
        for directive in settings.all("ssl_crl") {
            crl.push(settings.file(directive).map_err(|why| line(directive, why))?);
        }
        let hosts = self.hosts(server)?;
        self.listens(server);
        let (upstream, because, block) = self.upstream(server, &hosts)?;
        Ok(ProposedSite {
            at: server.place().to_string(),
            hosts,
            certificate: certificate.0,
            key: certificate.1,
            client_ca,
            crl,
            refuses,
            upstream,
            because,
            block,
            used: SiteUse::Written,
        })
    }

    /// The files of certificate and key.
    fn certificate(
        &mut self,
        server: &Server<'a>,
        settings: &Settings<'a>,
    ) -> Result<(String, String), Unusable> {
        let (certificates, keys) =
            (settings.all("ssl_certificate"), settings.all("ssl_certificate_key"));
        let ([certificate, more @ ..], [key, ..]) = (&certificates[..], &keys[..]) else {
            let why = "serves TLS and names no ssl_certificate with ssl_certificate_key";
            return Err(unusable(server, why));
        };
        let file = |it: &Directive| settings.file(it).map_err(|why| line(it, why));
        let found = (file(certificate)?, file(key)?);
        for other in more {
            let why = "aop has one certificate for a site, and the block's first one is taken";
            self.note(line(other, why));
        }
        if let Some(directive) = settings.first("ssl_password_file") {
            let why = "aop reads keys without a passphrase: `openssl pkey -in KEY -out NEW` makes \
                       one; keep it readable by root alone";
            self.note(line(directive, why));
        }
        Ok(found)
    }

    /// The client CAs, and whether nginx refuses peers without a certificate.
    fn client_ca(
        &mut self,
        server: &Server<'a>,
        settings: &Settings<'a>,
    ) -> Result<(Vec<String>, bool), Unusable> {
        let cloudflare = || vec!["cloudflare-global".to_owned()];
        let Some(verify) = settings.first("ssl_verify_client") else {
            return Ok((cloudflare(), false));
        };
        match verify.argument(0) {
            "off" => return Ok((cloudflare(), false)),
            "optional_no_ca" => {
                let why = "the application verifies the certificate itself, which aop does not \
                           pass on in this form: write its CA into client_ca. Until then the site \
                           observes";
                self.note(line(verify, why));
                return Ok((cloudflare(), false));
            }
            "on" => {}
            _ => {
                let why = "nginx also serves peers without a certificate here. aop refuses them: \
                           with on_refusal = \"observe\" it would let everybody in";
                self.note(line(verify, why));
            }
        }
        let Some(directive) = settings.first("ssl_client_certificate") else {
            return Err(unusable(server, "has ssl_verify_client without ssl_client_certificate"));
        };
        if let Some(trusted) = settings.first("ssl_trusted_certificate") {
            let why = "nginx also trusts these CAs for client certificates: add the file to \
                       client_ca if one of them signs the edge's certificate";
            self.note(line(trusted, why));
        }
        let file = settings.file(directive).map_err(|why| line(directive, why))?;
        Ok((vec![file], true))
    }

    fn hosts(&mut self, server: &'a Server<'a>) -> Result<Vec<String>, Unusable> {
        let mut hosts: Vec<String> = Vec::new();
        for (name, place) in server.names() {
            let what = format!("server_name {name}");
            let found = match ServerName::read(name) {
                ServerName::Hosts(found) => found,
                ServerName::Some(found, why) => {
                    self.note(NotTaken::at(place, what, why));
                    found
                }
                ServerName::CatchAll => continue,
                ServerName::NotTaken(why) => {
                    self.note(NotTaken::at(place, what, why));
                    continue;
                }
            };
            for host in found.into_iter().filter(|host| !hosts.contains(host)).collect::<Vec<_>>() {
                match self.served.get(&host) {
                    Some(other) => {
                        let why = format!("{other} has this host already, and aop one site for it");
                        self.note(NotTaken::at(place, format!("server_name {host}"), why));
                    }
                    None => hosts.push(host),
                }
            }
        }
        if hosts.is_empty() {
            let why = "names no host that a site could have: aop finds a site by its host, and \
                       refuses other names. If this block serves a host, name it in server_name";
            return Err(unusable(server, why));
        }
        self.served.extend(hosts.iter().map(|host| (host.clone(), server.place())));
        Ok(hosts)
    }

    /// Notes what is special about where the block listens.
    fn listens(&mut self, server: &'a Server<'a>) {
        for directive in server.directives.iter().filter(|it| it.is("listen")) {
            let listen = Listen::read(directive, false);
            if listen.proxy_header {
                let why = "connections begin with a PROXY header here: write the addresses of the \
                           load balancer into listener.proxy_from";
                self.note(line(directive, why));
            }
            match (listen.address, listen.protocol) {
                (_, ListenProtocol::Quic) => {
                    let why = "aop serves no HTTP/3: the CDN pulls over TCP. See firewall.udp";
                    self.note(line(directive, why));
                }
                (ListenAddress::Unknown, _) => {
                    let why = "aop listens on addresses: write this one into listener.bind";
                    self.note(line(directive, why));
                }
                (ListenAddress::Tcp(_) | ListenAddress::Unix, _) => {}
            }
        }
    }

    /// The upstream, why it is this one, and the block that nginx needs for it.
    fn upstream(
        &mut self,
        server: &'a Server<'a>,
        hosts: &[String],
    ) -> Result<(String, String, Option<String>), Unusable> {
        let (place, reason) = match upstream::direct(server, self.http) {
            Ok(upstream) => return Ok((upstream, PAST_NGINX.into(), None)),
            Err(reason) => reason,
        };
        if let Some((address, at)) = self.existing(hosts) {
            let because = format!("{at} serves these hosts on the loopback");
            return Ok((format!("http://{address}"), because, None));
        }
        let block = loopback::block(server, self.loopback_port).map_err(|place| {
            let why = "the block has bytes here that are not UTF-8, so it cannot be copied for the \
                       loopback: write them as UTF-8";
            NotTaken::at(place, "a server block", why)
        })?;
        hazards::of_server(server.block).into_iter().for_each(|it| self.note(it));
        let because = format!("through nginx, because of {place}: {reason}");
        Ok((format!("http://127.0.0.1:{}", self.loopback_port), because, Some(block)))
    }

    /// A plain block on the loopback that has all these hosts already.
    fn existing(&self, hosts: &[String]) -> Option<(SocketAddr, &'a Place)> {
        let has_all = |server: &Server<'a>| {
            let names: Vec<String> = server
                .names()
                .filter_map(|(name, _)| match ServerName::read(name) {
                    ServerName::Hosts(hosts) | ServerName::Some(hosts, _) => Some(hosts),
                    ServerName::CatchAll | ServerName::NotTaken(_) => None,
                })
                .flatten()
                .collect();
            hosts.iter().all(|host| names.contains(host))
        };
        let on_loopback = |listen: &Listen| {
            let plain = listen.protocol == ListenProtocol::Plain && !listen.proxy_header;
            listen.tcp().filter(|address| plain && address.ip().is_loopback())
        };
        self.http.servers.iter().find_map(|server| {
            let address = server.listens.iter().find_map(on_loopback)?;
            has_all(server).then(|| (address, server.place()))
        })
    }

    /// The addresses at which nginx serves TLS to others than this host.
    fn serves(&mut self) -> Vec<SocketAddr> {
        let listens = self.http.servers.iter().flat_map(|server| &server.listens);
        let mut found: Vec<SocketAddr> = Vec::new();
        for address in listens.filter(|it| it.is_tls()).filter_map(Listen::tcp) {
            if !address.ip().is_loopback() && !found.contains(&address) {
                found.push(address);
            }
        }
        if found.is_empty() {
            let why = "nginx serves TLS at no address of this host, so the usual port is proposed";
            let what = "firewall.ports".to_owned();
            self.note(NotTaken { at: None, what, why: why.to_owned() });
            let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
            found.extend(all.map(|address| SocketAddr::new(address, HTTPS)));
        }
        found
    }

    fn note(&mut self, note: NotTaken) {
        if !self.not_taken.contains(&note) {
            self.not_taken.push(note);
        }
    }
}

fn port(listen: &Listen) -> Option<u16> {
    listen.tcp().map(|address| address.port())
}

fn unusable(server: &Server<'_>, why: &str) -> Unusable {
    let named = server.names().map(|(name, _)| if name.is_empty() { "\"\"" } else { name });
    let names: Vec<&str> = named.collect();
    let names = if names.is_empty() { String::new() } else { format!(" for {}", names.join(", ")) };
    NotTaken::at(server.place(), format!("the server block{names}"), why)
}

fn line(directive: &Directive, why: &str) -> NotTaken {
    NotTaken::at(&directive.place, directive.written(), why)
}

fn without_tls(server: &Server<'_>) -> &'static str {
    let mut redirects = false;
    server.block.visit(&mut |it| {
        let to_https = |word: &str| word.starts_with("https://") || word.starts_with("$scheme");
        redirects |= (it.is("return") || it.is("rewrite")) && it.words().any(to_https);
    });
    if redirects {
        "redirects plain HTTP, and stays as it is"
    } else {
        "serves plain HTTP, and stays as it is. aop serves TLS: a site needs a certificate"
    }
}
