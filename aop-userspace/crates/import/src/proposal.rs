//! The proposal: what was found, and what becomes of it.

use std::{collections::BTreeSet, net::SocketAddr};

/// The ports beside 443 at which Cloudflare reaches an origin by HTTPS, in the order of preference.
const TRIAL_PORTS: [u16; 5] = [8443, 2053, 2083, 2087, 2096];

/// The known facts of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHost {
    /// The interfaces to guard, by name. Empty if they are unknown.
    pub interfaces: Vec<String>,
    /// Certificates that certbot keeps here.
    pub certificates: Vec<FoundCertificate>,
}

/// A server certificate on this host that no web server named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCertificate {
    /// Its names that can be hosts of a site.
    pub hosts: Vec<String>,
    /// The file of the certificate and its chain.
    pub certificate: String,
    /// The file of its key.
    pub key: String,
}

/// A proposal for the configuration of aop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigProposal {
    /// The sites, in the order of the web server.
    pub sites: Vec<ProposedSite>,
    /// The addresses at which the web server serves TLS now.
    pub serves: Vec<SocketAddr>,
    /// The addresses at which aop serves beside it, on another port.
    pub trial: Vec<SocketAddr>,
    /// The port of the loopback to which aop relays, if a site needs the web server.
    pub loopback_port: Option<u16>,
    /// The pattern of an `include` that reads further server blocks, if the web server has one.
    pub include: Option<String>,
    /// The parts that were not taken over.
    pub not_taken: Vec<NotTaken>,
}

/// A site of aop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedSite {
    /// Where the web server has it: `FILE:LINE`.
    pub at: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// The file of the server certificate and its chain.
    pub certificate: String,
    /// The file of its key.
    pub key: String,
    /// The files of client CAs, or `cloudflare-global`.
    pub client_ca: Vec<String>,
    /// The files of revocation lists.
    pub crl: Vec<String>,
    /// Whether the web server refuses peers without a client certificate. Then aop does so too.
    pub refuses: bool,
    /// The upstream.
    pub upstream: String,
    /// Why it is this upstream.
    pub because: String,
    /// The server block of nginx for the loopback, if the upstream is one that is still to be made.
    pub block: Option<String>,
    /// Its result.
    pub used: SiteUse,
}

/// Whether a site is written as one, or as a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteUse {
    /// As a site.
    Written,
    /// As a comment, because aop could not serve it for this reason.
    Commented(String),
}

/// Something that the proposal does not have, or that will differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// `FILE:LINE`; `None` if it stands in no file.
    pub at: Option<String>,
    /// The text there.
    pub what: String,
    /// Why it was not taken over, and what to do.
    pub why: String,
}

impl NotTaken {
    pub(crate) fn at(at: impl ToString, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: Some(at.to_string()), what: what.into(), why: why.into() }
    }
}

impl ConfigProposal {
    /// The sites that are written as such.
    pub fn written(&self) -> impl Iterator<Item = &ProposedSite> {
        self.sites.iter().filter(|site| site.used == SiteUse::Written)
    }

    /// The TCP ports to guard: those that are served now, and those of the trial.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: BTreeSet<u16> = self.serves.iter().map(SocketAddr::port).collect();
        if ports.is_empty() {
            ports.insert(443);
        }
        if self.written().next().is_some() {
            ports.extend(self.trial.iter().map(SocketAddr::port));
        }
        ports.into_iter().collect()
    }

    /// The server blocks for nginx, as the text of a file; `None` if no site needs one.
    #[must_use]
    pub fn nginx_blocks(&self) -> Option<String> {
        let blocks: Vec<&str> = self.written().filter_map(|site| site.block.as_deref()).collect();
        (!blocks.is_empty()).then(|| format!("{BLOCKS_HEAD}\n{}", blocks.join("\n")))
    }

    /// The addresses of the trial: the same as those in use, on a port that is free.
    pub(crate) fn choose_trial(&mut self, is_free: impl Fn(u16) -> bool) {
        let port = TRIAL_PORTS.into_iter().find(|port| is_free(*port));
        let port = port.unwrap_or(TRIAL_PORTS[0]);
        let addresses: BTreeSet<_> = self.serves.iter().map(SocketAddr::ip).collect();
        // An address cannot be bound beside the one that stands for all of its family.
        let wildcard = |v4| addresses.iter().any(|it| it.is_ipv4() == v4 && it.is_unspecified());
        let kept = addresses.iter().filter(|it| it.is_unspecified() || !wildcard(it.is_ipv4()));
        self.trial = kept.map(|address| SocketAddr::new(*address, port)).collect();
    }
}

const BLOCKS_HEAD: &str = "\
# Server blocks for the requests that aop relays: those that serve TLS, in plain
# HTTP on the loopback. They are copies without comments. When aop gets the port
# of HTTPS, remove the originals. If one also listens on port 80, remove only its
# `listen` lines with `ssl`; without any `listen` it would serve on port 80.
";
