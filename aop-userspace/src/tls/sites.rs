//! The sites that are served, and the one way to find a site by its host.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};

use super::{
    anchors::Anchor,
    error::SitesError,
    files::Files,
    judgement, memo,
    refused::Refused,
    resumption::{Desk, Sessions},
    server::{self, Equipment, Notes},
    trust::Trust,
    validity,
    verifier::SiteVerifier,
    voucher::{self, Voucher},
};
use crate::config::{
    Host, HostPattern, HttpConfig, OnRefusal, ProxyProtocol, Resumption, SiteConfig, Upstream,
};

/// All sites. With none, nobody is served.
#[derive(Default)]
pub struct Sites {
    exact: HashMap<Host, Arc<Site>>,
    below: HashMap<Host, Arc<Site>>,
}

/// One site, ready to serve.
pub struct Site {
    name: Arc<str>,
    hosts: Vec<HostPattern>,
    upstream: Upstream,
    proxy: ProxyProtocol,
    on_refusal: OnRefusal,
    tls: Arc<ServerConfig>,
    anchors: Vec<Anchor>,
    trust: Trust,
    verifier: Arc<SiteVerifier>,
    /// Of this generation alone; `None` where nothing is resumed.
    sessions: Option<Arc<Sessions>>,
}

impl Sites {
    /// Reads all that `configs` name out of `files` and builds the sites, with what an operator
    /// should know about those files.
    ///
    /// # Errors
    /// A file is missing, unreadable, empty, malformed or of the wrong kind, or a key does not
    /// belong to its certificate. No site is built then.
    pub fn build(configs: &[SiteConfig], files: &Files) -> Result<(Self, Notes), SitesError> {
        let provider = Arc::new(memo::provider());
        let mut sites = Self::default();
        let mut notes = Notes::default();
        for site in configs {
            let Equipment { config: tls, anchors, trust, verifier } =
                server::equip(site, files, &provider, &mut notes)
                    .map_err(|problem| SitesError { site: site.name.clone(), problem })?;
            sites.add(Arc::new(Site {
                name: site.name.as_str().into(),
                hosts: site.hosts.clone(),
                upstream: site.upstream.clone(),
                proxy: site.proxy,
                on_refusal: site.on_refusal,
                tls: Arc::new(tls),
                anchors,
                trust,
                verifier,
                sessions: (site.rules.resumption == Resumption::Verified).then(Arc::default),
            }));
        }
        notes.without_repetition();
        Ok((sites, notes))
    }

    /// The site that answers for `host`: by its own name first, then by a star one label up.
    #[must_use]
    pub fn find(&self, host: &Host) -> Option<&Arc<Site>> {
        self.exact.get(host).or_else(|| self.below.get(&host.parent()?))
    }

    /// Whether every host of `old` is still served, to everybody who was believed there.
    #[must_use]
    pub fn keep_the_trust_of(&self, old: &Self) -> bool {
        let keeps = |now: &HashMap<Host, Arc<Site>>, before: &HashMap<Host, Arc<Site>>| {
            let kept = |(host, before): (&Host, &Arc<Site>)| {
                now.get(host).is_some_and(|now| now.trust.covers(&before.trust))
            };
            before.iter().all(kept)
        };
        keeps(&self.exact, &old.exact) && keeps(&self.below, &old.below)
    }

    fn add(&mut self, site: Arc<Site>) {
        for pattern in &site.hosts {
            match pattern {
                HostPattern::Exact(host) => self.exact.insert(host.clone(), site.clone()),
                HostPattern::Below(host) => self.below.insert(host.clone(), site.clone()),
            };
        }
    }
}

impl Site {
    /// Its name, as in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where its bytes go.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// How its requests are relayed, where it is not its bytes that are.
    #[must_use]
    pub fn http(&self) -> Option<&HttpConfig> {
        match &self.upstream {
            Upstream::Http(http) => Some(http),
            Upstream::Bytes(_) => None,
        }
    }

    /// Which PROXY header its upstream gets.
    #[must_use]
    pub fn proxy(&self) -> ProxyProtocol {
        self.proxy
    }

    /// Whether it answers for `host`.
    #[must_use]
    pub fn answers(&self, host: &Host) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether everybody whom `other` believes is believed here too.
    pub(crate) fn believes_all_of(&self, other: &Self) -> bool {
        self.trust.covers(&other.trust)
    }

    /// The names of its client CAs, as what is in their sequence.
    pub(crate) fn client_ca_names(&self) -> impl Iterator<Item = &[u8]> {
        self.anchors.iter().map(|anchor| &*anchor.trust.subject)
    }

    /// Why a handshake would refuse this chain, where it would.
    pub(crate) fn refusal_of(&self, chain: &[CertificateDer<'_>]) -> Option<Refused> {
        self.judge(chain).err().map(|error| judgement::of(&error))
    }

    /// Whether its handshakes prove nothing, so that each is to be judged when it is finished.
    pub(super) fn explains(&self) -> bool {
        self.on_refusal == OnRefusal::Explain
    }

    /// The client CA to which the names of a verified chain lead.
    pub(super) fn voucher(&self, chain: &[CertificateDer<'_>]) -> Option<Voucher> {
        voucher::of(chain, &self.anchors)
    }

    /// Judges the chain that a peer has presented in a handshake, as the handshake would: for where
    /// it was resumed, or only finished to explain a refusal.
    ///
    /// # Errors
    /// As in a handshake.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let (leaf, between) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        self.verifier.verify_client_cert(leaf, between, UnixTime::now()).map(drop)
    }

    /// The last second at which sessions of a chain that is verified now may be resumed.
    pub(super) fn stands_until(&self, chain: &[CertificateDer<'_>]) -> u64 {
        self.verifier.stands_until(chain, validity::now())
    }

    /// The configuration for one connection, and where its sessions are, if it may resume and be
    /// resumed. Verifier and rules are the site's either way; only the store is the connection's own.
    pub(super) fn tls(&self) -> (Arc<ServerConfig>, Option<Arc<Desk>>) {
        let Some(sessions) = &self.sessions else { return (self.tls.clone(), None) };
        let desk = Arc::new(sessions.desk());
        let mut config = ServerConfig::clone(&self.tls);
        config.session_storage = desk.clone();
        config.send_tls13_tickets = 1;
        (Arc::new(config), Some(desk))
    }
}
