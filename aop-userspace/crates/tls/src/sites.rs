//! The sites that are served, and the only way to find a site by its host.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use aop_common::Mode;
use aop_config::{
    Host, HostPattern, HttpConfig, OnRefusal, ProxyProtocol, Resumption, SiteConfig, Upstream,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};

use super::{
    accepted_certificates::Trust,
    client_ca::Anchor,
    deferring_verifier::Lenient,
    error::SitesError,
    issuing_ca::{self, IssuingCa},
    not_enforced::Unsigned,
    refusal_of_error,
    refused_connection::RefusedConnection,
    server_config::{self, Equipment, FileWarnings, Maker},
    sessions::{Desk, Sessions},
    signature_cache,
    site_files::Files,
    validity,
    verifier::SiteVerifier,
};

/// All sites. Without a site, every connection is refused.
#[derive(Default)]
pub struct Sites {
    exact: HashMap<Host, Arc<Site>>,
    below: HashMap<Host, Arc<Site>>,
}

/// One site, ready to serve.
pub struct Site {
    facts: Arc<Facts>,
    on_refusal: OnRefusal,
    tls: Arc<ServerConfig>,
    trust: Trust,
    /// The session store of this generation; `None` if the site resumes no session.
    sessions: Option<Arc<Sessions>>,
}

/// The parts of a site that do not depend on whether it observes.
struct Facts {
    name: Arc<str>,
    hosts: Vec<HostPattern>,
    upstream: Upstream,
    proxy: ProxyProtocol,
    /// The configured value, without the mode override.
    on_refusal: OnRefusal,
    resumption: Resumption,
    maker: Maker,
    anchors: Vec<Anchor>,
    verifier: Arc<SiteVerifier>,
}

/// Proof that a site observes. Only [`Site::observing`] makes one.
pub(super) struct Observing(());

/// The TLS configuration of one connection.
pub(super) struct Terms {
    pub(super) config: Arc<ServerConfig>,
    /// The session store of the connection, if the site resumes sessions.
    pub(super) desk: Option<Arc<Desk>>,
    /// If the site observes: the record of a failed proof of the peer's key.
    pub(super) unsigned: Arc<Unsigned>,
}

impl Sites {
    /// Builds the sites of `configs`, reading their files from `files`. Also returns the warnings
    /// about those files.
    ///
    /// # Errors
    /// A file is missing, unreadable, empty, malformed or of the wrong kind, or a key does not
    /// belong to its certificate. Then no site is built.
    pub fn build(
        configs: &[SiteConfig],
        files: &Files,
    ) -> Result<(Self, FileWarnings), SitesError> {
        let provider = Arc::new(signature_cache::provider());
        let mut sites = Self::default();
        let mut notes = FileWarnings::default();
        for site in configs {
            let Equipment { maker, anchors, trust, verifier } =
                server_config::equip(site, files, &provider, &mut notes)
                    .map_err(|problem| SitesError { site: site.name.clone(), problem })?;
            let facts = Facts {
                name: site.name.as_str().into(),
                hosts: site.hosts.clone(),
                upstream: site.upstream.clone(),
                proxy: site.proxy,
                on_refusal: site.on_refusal,
                resumption: site.rules.resumption,
                maker,
                anchors,
                verifier,
            };
            sites.add(Arc::new(Site::new(Arc::new(facts), trust, site.on_refusal)));
        }
        notes.without_repetition();
        Ok((sites, notes))
    }

    /// The same sites under the mode overrides in `own`. A site whose mode does not change is
    /// reused, with its session store.
    #[must_use]
    pub fn under(&self, own: &BTreeMap<String, Mode>) -> Self {
        // A site is listed under each of its hosts, and must stay one object.
        let all = self.exact.values().chain(self.below.values());
        let once: HashMap<&str, &Arc<Site>> = all.map(|site| (&**site.name(), site)).collect();
        let mut sites = Self::default();
        for site in once.into_values() {
            let on_refusal = site.facts.on_refusal.under(own.get(&**site.name()).copied());
            sites.add(match on_refusal == site.on_refusal {
                true => site.clone(),
                false => Arc::new(Site::new(site.facts.clone(), site.trust.clone(), on_refusal)),
            });
        }
        sites
    }

    /// The names of the sites that observe.
    pub fn observing(&self) -> HashSet<Arc<str>> {
        let all = self.exact.values().chain(self.below.values());
        all.filter(|site| site.observes()).map(|site| site.name().clone()).collect()
    }

    /// The site of `host`: an exact host first, then a star one label up.
    #[must_use]
    pub fn find(&self, host: &Host) -> Option<&Arc<Site>> {
        self.exact.get(host).or_else(|| self.below.get(&host.parent()?))
    }

    /// Whether `site` observes, and still has every host that it has in `old`.
    pub fn observe_where(&self, old: &Self, site: &str) -> bool {
        let mut of_site = self.since(old).filter(|(before, _)| &**before.name() == site);
        let kept = |now: &Arc<Site>| now.observes() && &**now.name() == site;
        of_site.all(|(_, now)| now.is_some_and(kept))
    }

    /// Whether every host of `old` is still served, and every peer that its site accepted by
    /// certificate is still accepted.
    #[must_use]
    pub fn keep_the_trust_of(&self, old: &Self) -> bool {
        let mut hosts = self.since(old);
        hosts.all(|(before, now)| now.is_some_and(|now| now.trust.covers(&before.trust)))
    }

    /// The old site and the current one, for each exact host and star of `old`, and for each host
    /// that a star of `old` covered and that is an exact host now.
    fn since<'a>(
        &'a self,
        old: &'a Self,
    ) -> impl Iterator<Item = (&'a Arc<Site>, Option<&'a Arc<Site>>)> {
        let exact = old.exact.iter().map(|(host, before)| (before, self.exact.get(host)));
        let below = old.below.iter().map(|(host, before)| (before, self.below.get(host)));
        let named = self.exact.iter().filter(|(host, _)| !old.exact.contains_key(*host));
        let taken = named.filter_map(|(host, now)| Some((old.find(host)?, Some(now))));
        exact.chain(below).chain(taken)
    }

    fn add(&mut self, site: Arc<Site>) {
        for pattern in &site.facts.hosts {
            match pattern {
                HostPattern::Exact(host) => self.exact.insert(host.clone(), site.clone()),
                HostPattern::Below(host) => self.below.insert(host.clone(), site.clone()),
            };
        }
    }
}

impl Site {
    fn new(facts: Arc<Facts>, trust: Trust, on_refusal: OnRefusal) -> Self {
        let Facts { maker, verifier, .. } = &*facts;
        let asked: Arc<dyn ClientCertVerifier> = match on_refusal {
            // A site that observes makes a configuration per connection.
            OnRefusal::Close | OnRefusal::Observe => verifier.clone(),
            OnRefusal::Explain => Arc::new(Lenient { verifier: verifier.clone(), unsigned: None }),
        };
        let observes = on_refusal == OnRefusal::Observe;
        // A session of an unauthenticated peer must never be resumed.
        let resumes = facts.resumption == Resumption::Verified && !observes;
        Self {
            tls: Arc::new(maker.config(asked)),
            trust,
            sessions: resumes.then(Arc::default),
            on_refusal,
            facts,
        }
    }

    /// The name of the site: its first host.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.facts.name
    }

    /// The upstream.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.facts.upstream
    }

    /// How requests are relayed; `None` if the site relays bytes.
    #[must_use]
    pub fn http(&self) -> Option<&HttpConfig> {
        match &self.facts.upstream {
            Upstream::Http(http) => Some(http),
            Upstream::Bytes(_) => None,
        }
    }

    /// The PROXY header for the upstream.
    #[must_use]
    pub fn proxy(&self) -> ProxyProtocol {
        self.facts.proxy
    }

    /// Whether the site serves `host`.
    #[must_use]
    pub fn answers(&self, host: &Host) -> bool {
        self.facts.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether this site accepts every certificate that `other` accepts.
    pub fn believes_all_of(&self, other: &Self) -> bool {
        self.trust.covers(&other.trust)
    }

    /// The DER names of its client CAs, each without the outer SEQUENCE header.
    pub fn client_ca_names(&self) -> impl Iterator<Item = &[u8]> {
        self.facts.anchors.iter().map(|anchor| &*anchor.trust.subject)
    }

    /// The refusal of this chain in a handshake, if it would be refused.
    pub fn refusal_of(&self, chain: &[CertificateDer<'_>]) -> Option<RefusedConnection> {
        self.judge(chain).err().map(|error| refusal_of_error::of(&error))
    }

    /// Whether the site explains refusals: its handshakes then prove nothing, and each chain must
    /// be verified after the handshake.
    pub(super) fn explains(&self) -> bool {
        self.on_refusal == OnRefusal::Explain
    }

    /// Whether the site observes: every peer is let in, and the refusals that enforcing would have
    /// caused are counted.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.on_refusal == OnRefusal::Observe
    }

    /// Proof that the site observes, if it does. Letting a peer in unauthenticated needs this
    /// value.
    pub(super) fn observing(&self) -> Option<Observing> {
        self.observes().then_some(Observing(()))
    }

    /// The client CA of a verified chain, found by names.
    pub(super) fn voucher(&self, chain: &[CertificateDer<'_>]) -> Option<IssuingCa> {
        issuing_ca::of(chain, &self.facts.anchors)
    }

    /// Verifies the chain that a peer presented, as a handshake would. For a resumed handshake, and
    /// for one that was finished without verification.
    ///
    /// # Errors
    /// As in a handshake.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let (leaf, between) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        self.facts.verifier.verify_client_cert(leaf, between, UnixTime::now()).map(drop)
    }

    /// The last second at which a session may be resumed whose chain was verified now.
    pub(super) fn stands_until(&self, chain: &[CertificateDer<'_>]) -> u64 {
        self.facts.verifier.stands_until(chain, validity::now())
    }

    /// The TLS configuration of one connection. The verifier and the rules belong to the site; the
    /// view on the session store and the record of a failed proof belong to the connection.
    pub(super) fn terms(&self) -> Terms {
        let unsigned = Arc::<Unsigned>::default();
        if self.observes() {
            let verifier = self.facts.verifier.clone();
            let lenient = Lenient { verifier, unsigned: Some(unsigned.clone()) };
            let config = Arc::new(self.facts.maker.config(Arc::new(lenient)));
            return Terms { config, desk: None, unsigned };
        }
        let Some(sessions) = &self.sessions else {
            return Terms { config: self.tls.clone(), desk: None, unsigned };
        };
        let desk = Arc::new(sessions.desk());
        let mut config = ServerConfig::clone(&self.tls);
        config.session_storage = desk.clone();
        config.send_tls13_tickets = 1;
        Terms { config: Arc::new(config), desk: Some(desk), unsigned }
    }
}
