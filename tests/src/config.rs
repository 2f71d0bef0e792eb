//! The daemon's configuration file, as the tests write it.
//!
//! Fields stand for the keys of `aop.toml`; a test changes what its claim is about and leaves the
//! rest. For files that must be wrong, change the [`text`](Config::text).

use std::path::PathBuf;

use crate::World;

/// Where prefixes come from.
#[derive(Clone, Debug)]
pub enum Prefixes {
    /// Cloudflare's API, and until it has answered the built-in snapshot.
    Cloudflare,
    /// Another server in the place of that API.
    Mirror(String),
    /// Anybody's list.
    Url(String),
    /// A file.
    File(PathBuf),
    /// CIDRs in the configuration itself.
    List(Vec<String>),
}

/// A `[[site]]`.
#[derive(Clone, Debug)]
pub struct Site {
    /// Names it serves.
    pub hosts: Vec<String>,
    /// The server certificate's file.
    pub certificate: PathBuf,
    /// Its key's file.
    pub key: PathBuf,
    /// Files of client CAs.
    pub client_ca: Vec<PathBuf>,
    /// The URL of the application.
    pub upstream: String,
    /// Lines of `[site.http]`; none for no such table.
    pub http: Vec<String>,
    /// `v1` or `v2`: a PROXY header for the upstream.
    pub proxy: Option<&'static str>,
    /// Further keys, a line each.
    pub rules: Vec<String>,
}

/// An `aop.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// `enforce`, `observe` or `off`.
    pub mode: &'static str,
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// `auto`, `native` or `generic`.
    pub attach: &'static str,
    /// CIDRs admitted beside the prefixes.
    pub extra: Vec<String>,
    /// Guarded ports; none means those of the listeners.
    pub ports: Vec<u16>,
    /// Where prefixes come from.
    pub prefixes: Prefixes,
    /// How often they are fetched; `off` for tests that are not about that.
    pub refresh: &'static str,
    /// How long authenticated peers outlive a withdrawn prefix.
    pub admission_drain: &'static str,
    /// SYN a second for strangers to prove themselves.
    pub probation_syn: u32,
    /// The user of the terminator; none leaves the choice to aop.
    pub user: Option<&'static str>,
    /// The bpf directory.
    pub pins: PathBuf,
    /// What outlives a restart.
    pub state: PathBuf,
    /// The run-time directory.
    pub runtime: PathBuf,
    /// How many connections at once.
    pub connections: u32,
    /// Further lines of `[limits]`.
    pub limits: Vec<String>,
    /// For ClientHello, handshake and the upstream's connection together.
    pub deadline: &'static str,
    /// For open connections after SIGTERM.
    pub drain: &'static str,
    /// Who sends PROXY headers to it.
    pub proxy_from: Vec<String>,
    /// Further tables, whole.
    pub tables: Vec<&'static str>,
    /// Addresses of the one listener; none for a daemon that only guards.
    pub bind: Vec<String>,
    /// The sites.
    pub sites: Vec<Site>,
}

impl Config {
    /// The setting of most claims: enforcing, Cloudflare's prefixes, port 443 in both families, and
    /// one site for `example.com` and `*.example.com` before an upstream on 127.0.0.1:8080.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self {
            mode: "enforce",
            interfaces: vec!["eth0".into()],
            attach: "auto",
            extra: Vec::new(),
            ports: Vec::new(),
            prefixes: Prefixes::Cloudflare,
            refresh: "off",
            admission_drain: "1h",
            probation_syn: 0,
            user: None,
            pins: world.bpffs().join("aop"),
            state: world.dir().join("state"),
            runtime: world.dir().join("run"),
            connections: 1000,
            limits: Vec::new(),
            deadline: "10s",
            drain: "30s",
            proxy_from: Vec::new(),
            tables: Vec::new(),
            bind: vec!["0.0.0.0:443".into(), "[::]:443".into()],
            sites: vec![Site::new(world)],
        }
    }

    /// The one site of [`Config::new`], to be changed.
    ///
    /// # Panics
    /// When there is none.
    pub fn site(&mut self) -> &mut Site {
        &mut self.sites[0]
    }

    /// All sites say that they share an upstream on purpose.
    pub fn share_the_upstream(&mut self) {
        for site in &mut self.sites {
            site.rules.push("shared_upstream = true".into());
        }
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("[firewall]\nmode = {:?}\n", self.mode);
        text += &format!("interfaces = {:?}\nattach = {:?}\n", self.interfaces, self.attach);
        text += &format!("extra = {:?}\n", self.extra);
        if !self.ports.is_empty() {
            text += &format!("ports = {:?}\n", self.ports);
        }
        text += &match &self.prefixes {
            Prefixes::Cloudflare => String::from("\n[prefixes]\nsource = \"cloudflare\"\n"),
            Prefixes::Mirror(url) => {
                format!("\n[prefixes]\nsource = \"cloudflare\"\nurl = {url:?}\n")
            }
            Prefixes::Url(url) => format!("\n[prefixes]\nsource = {url:?}\n"),
            Prefixes::File(path) => format!("\n[prefixes]\nsource = {path:?}\n"),
            Prefixes::List(cidrs) => format!("\n[prefixes]\nsource = {cidrs:?}\n"),
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
        if !self.bind.is_empty() {
            text += &format!("\n[[listener]]\nbind = {:?}\n", self.bind);
            if !self.proxy_from.is_empty() {
                text += &format!("proxy_from = {:?}\n", self.proxy_from);
            }
        }
        text + &self.sites.iter().map(Site::text).collect::<String>()
    }
}

impl Site {
    /// `example.com` and what is below it, trusting the client CA.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self {
            hosts: vec!["example.com".into(), "*.example.com".into()],
            certificate: world.pki.server.certificate.clone(),
            key: world.pki.server.key.clone(),
            client_ca: vec![world.pki.client_ca.clone()],
            upstream: String::from("tcp://127.0.0.1:8080"),
            http: Vec::new(),
            proxy: None,
            rules: Vec::new(),
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
