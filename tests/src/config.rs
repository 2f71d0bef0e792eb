//! The configuration file of the daemon, as the tests write it.
//!
//! A field stands for a key of `aop.toml`. A test changes the fields that its claim is about. For a
//! file that must be wrong, it changes the [`text`](AopToml::text).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use aop_common::layout::LAYOUT_VERSION;

use crate::Lab;

/// The `source` of `[prefixes]`.
#[derive(Clone, Debug)]
pub enum PrefixesTable {
    /// Cloudflare's API, and until that answers the built-in snapshot.
    Cloudflare,
    /// Another server instead of that API.
    Mirror(String),
    /// A list at this URL.
    Url(String),
    /// A list in this file.
    File(PathBuf),
    /// CIDRs in the configuration file.
    List(Vec<String>),
}

/// A `[[site]]`.
#[derive(Clone, Debug)]
pub struct SiteTable {
    /// The host names.
    pub hosts: Vec<String>,
    /// The file of the server certificate.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// The files of the client CAs.
    pub client_ca: Vec<PathBuf>,
    /// The URL of the application.
    pub upstream: String,
    /// Lines of `[site.http]`. Without lines there is no such table.
    pub http: Vec<String>,
    /// `v1` or `v2`: the version of the PROXY header for the upstream.
    pub proxy: Option<&'static str>,
    /// More keys, a line each.
    pub rules: Vec<String>,
}

/// An `aop.toml`.
#[derive(Clone, Debug)]
pub struct AopToml {
    /// `enforce`, `observe` or `off`.
    pub mode: &'static str,
    /// The names of the interfaces.
    pub interfaces: Vec<String>,
    /// `auto`, `native` or `generic`.
    pub attach: &'static str,
    /// CIDRs that are admitted in addition to the prefixes.
    pub extra: Vec<String>,
    /// Guarded ports. Empty means the ports of the listeners.
    pub ports: Vec<u16>,
    /// The source of the prefixes.
    pub prefixes: PrefixesTable,
    /// How often they are fetched. `off` in tests that are not about fetching.
    pub refresh: &'static str,
    /// How long authenticated peers stay admitted after their prefix is withdrawn.
    pub admission_drain: &'static str,
    /// SYNs per second that unlisted addresses may send to try a handshake.
    pub probation_syn: u32,
    /// The user of the terminator. None leaves the choice to aop.
    pub user: Option<&'static str>,
    /// The directory of the pins.
    pub pins: PathBuf,
    /// The state directory.
    pub state: PathBuf,
    /// The runtime directory.
    pub runtime: PathBuf,
    /// The maximum number of connections.
    pub connections: u32,
    /// More lines of `[limits]`.
    pub limits: Vec<String>,
    /// The deadline for ClientHello, handshake and connection to the upstream together.
    pub deadline: &'static str,
    /// How long open connections may last after SIGTERM.
    pub drain: &'static str,
    /// The addresses that send PROXY headers.
    pub proxy_from: Vec<String>,
    /// More tables.
    pub tables: Vec<&'static str>,
    /// The lines of `[fleet]`. Without lines there is no such table.
    pub fleet: String,
    /// The addresses of the listener. Empty for a daemon without a terminator.
    pub bind: Vec<String>,
    /// The sites.
    pub sites: Vec<SiteTable>,
}

impl AopToml {
    /// The configuration of most claims: enforce mode, Cloudflare's prefixes, port 443 for IPv4 and
    /// IPv6, and one site for `example.com` and `*.example.com` with an upstream on 127.0.0.1:8080.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        Self {
            mode: "enforce",
            interfaces: vec!["eth0".into()],
            attach: "auto",
            extra: Vec::new(),
            ports: Vec::new(),
            prefixes: PrefixesTable::Cloudflare,
            refresh: "off",
            admission_drain: "1h",
            probation_syn: 0,
            user: None,
            pins: lab.bpffs().join("aop"),
            state: lab.dir().join("state"),
            runtime: lab.dir().join("run"),
            connections: 1000,
            limits: Vec::new(),
            deadline: "10s",
            drain: "30s",
            proxy_from: Vec::new(),
            tables: Vec::new(),
            fleet: String::new(),
            bind: vec!["0.0.0.0:443".into(), "[::]:443".into()],
            sites: vec![SiteTable::new(lab)],
        }
    }

    /// As [`AopToml::new`], without a listener and a site: only the firewall, which guards `port`.
    #[must_use]
    pub fn firewall_only(lab: &Lab, port: u16) -> Self {
        Self { bind: Vec::new(), sites: Vec::new(), ports: vec![port], ..Self::new(lab) }
    }

    /// The pinned links of an interface.
    pub fn pinned_links(&self, interface: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.pins.join(format!("v{LAYOUT_VERSION}")))? {
            let path = entry?.path();
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            if name.starts_with("link-") && name.ends_with(interface) {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// The site of [`AopToml::new`], to change it.
    ///
    /// # Panics
    /// When there is no site.
    pub fn site(&mut self) -> &mut SiteTable {
        &mut self.sites[0]
    }

    /// Adds to all sites that they share an upstream on purpose.
    pub fn share_the_upstream(&mut self) {
        for site in &mut self.sites {
            site.rules.push("shared_upstream = true".into());
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("[firewall]\nmode = {:?}\n", self.mode);
        text += &format!("interfaces = {:?}\nattach = {:?}\n", self.interfaces, self.attach);
        text += &format!("extra = {:?}\n", self.extra);
        if !self.ports.is_empty() {
            text += &format!("ports = {:?}\n", self.ports);
        }
        text += &match &self.prefixes {
            PrefixesTable::Cloudflare => String::from("\n[prefixes]\nsource = \"cloudflare\"\n"),
            PrefixesTable::Mirror(url) => {
                format!("\n[prefixes]\nsource = \"cloudflare\"\nurl = {url:?}\n")
            }
            PrefixesTable::Url(url) => format!("\n[prefixes]\nsource = {url:?}\n"),
            PrefixesTable::File(path) => format!("\n[prefixes]\nsource = {path:?}\n"),
            PrefixesTable::List(cidrs) => format!("\n[prefixes]\nsource = {cidrs:?}\n"),
        };
        text += &format!("refresh = {:?}\n", self.refresh);
        text += &format!("\n[admission]\ndrain = {:?}\n", self.admission_drain);
        text += &format!("probation_syn = {}\n", self.probation_syn);
        if let Some(user) = self.user {
            text += &format!("\n[terminator]\nuser = {user:?}\n");
        }
        let (pins, state, runtime) = (&self.pins, &self.state, &self.runtime);
        text += &format!("\n[paths]\npins = {pins:?}\nstate = {state:?}\nruntime = {runtime:?}\n");
        text += &format!("\n[limits]\nconnections = {}\n", self.connections);
        text += &format!("deadline = {:?}\ndrain = {:?}\n", self.deadline, self.drain);
        text += &self.limits.iter().map(|line| format!("{line}\n")).collect::<String>();
        text += &self.tables.iter().map(|table| format!("\n{table}\n")).collect::<String>();
        if !self.fleet.is_empty() {
            text += &format!("\n[fleet]\n{}", self.fleet);
        }
        if !self.bind.is_empty() {
            text += &format!("\n[[listener]]\nbind = {:?}\n", self.bind);
            if !self.proxy_from.is_empty() {
                text += &format!("proxy_from = {:?}\n", self.proxy_from);
            }
        }
        text + &self.sites.iter().map(SiteTable::text).collect::<String>()
    }
}

impl SiteTable {
    /// A site for `example.com` and `*.example.com` that trusts the client CA.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        Self {
            hosts: vec!["example.com".into(), "*.example.com".into()],
            certificate: lab.pki.server.certificate.clone(),
            key: lab.pki.server.key.clone(),
            client_ca: vec![lab.pki.client_ca.clone()],
            upstream: String::from("tcp://127.0.0.1:8080"),
            http: Vec::new(),
            proxy: None,
            rules: Vec::new(),
        }
    }

    /// A second site, for `example.net`, with the same client CA and the same upstream.
    #[must_use]
    pub fn second(lab: &Lab) -> Self {
        Self {
            hosts: vec!["example.net".into()],
            certificate: lab.pki.second_server.certificate.clone(),
            key: lab.pki.second_server.key.clone(),
            ..Self::new(lab)
        }
    }

    fn text(&self) -> String {
        let Self { hosts, certificate, key, client_ca, upstream, http, proxy, rules } = self;
        let mut text = format!("\n[[site]]\nhosts = {hosts:?}\ncertificate = {certificate:?}\n");
        text += &format!("key = {key:?}\nclient_ca = {client_ca:?}\nupstream = {upstream:?}\n");
        if let Some(version) = proxy {
            text += &format!("proxy = {version:?}\n");
        }
        text += &rules.iter().map(|line| format!("{line}\n")).collect::<String>();
        if !http.is_empty() {
            text += &format!("[site.http]\n{}\n", http.join("\n"));
        }
        text
    }
}
