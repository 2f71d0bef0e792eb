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
    accepted_certificates::AcceptedCertificates,
    client_ca::Anchor,
    deferring_verifier::DeferringVerifier,
    error::SitesError,
    file_warnings::FileWarnings,
    issuing_ca::{self, IssuingCa},
    not_enforced::KeyProofFailure,
    presented_certificate::PresentedCertificate,
    refusal_of_error::refusal_of_error,
    refused_connection::RefusedConnection,
    server_config::{self, ServerConfigBuilder, SiteTls},
    sessions::{ConnectionSessions, SessionStore},
    signature_cache,
    site_files::SiteFiles,
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
    settings: Arc<SiteSettings>,
    on_refusal: OnRefusal,
    tls: Arc<ServerConfig>,
    accepted: AcceptedCertificates,
    /// The session store of this generation; `None` if the site resumes no session.
    sessions: Option<Arc<SessionStore>>,
}

/// The parts of a site that do not depend on whether it observes.
struct SiteSettings {
    name: Arc<str>,
    hosts: Vec<HostPattern>,
    upstream: Upstream,
    proxy: ProxyProtocol,
    /// The configured value, without the mode override.
    on_refusal: OnRefusal,
    resumption: Resumption,
    config_builder: ServerConfigBuilder,
    anchors: Vec<Anchor>,
    verifier: Arc<SiteVerifier>,
}

/// Proof that a site observes. Only [`Site::observe_token`] makes one.
pub(crate) struct ObserveToken(());

/// The TLS configuration of one connection.
pub(crate) struct ConnectionTls {
    pub(crate) config: Arc<ServerConfig>,
    /// The session store of the connection, if the site resumes sessions.
    pub(crate) sessions: Option<Arc<ConnectionSessions>>,
    /// If the site observes: the record of a failed proof of the peer's key.
    pub(crate) key_proof: Arc<KeyProofFailure>,
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
        files: &SiteFiles,
    ) -> Result<(Self, FileWarnings), SitesError> {
        let provider = Arc::new(signature_cache::provider());
        let mut sites = Self::default();
        let mut warnings = FileWarnings::default();
        for site in configs {
            let SiteTls { config_builder, anchors, accepted, verifier } =
                server_config::load(site, files, &provider, &mut warnings)
                    .map_err(|problem| SitesError { site: site.name.clone(), problem })?;
            let settings = SiteSettings {
                name: site.name.as_str().into(),
                hosts: site.hosts.clone(),
                upstream: site.upstream.clone(),
                proxy: site.proxy,
                on_refusal: site.on_refusal,
                resumption: site.rules.resumption,
                config_builder,
                anchors,
                verifier,
            };
            sites.add(Arc::new(Site::new(Arc::new(settings), accepted, site.on_refusal)));
        }
        warnings.remove_duplicates();
        Ok((sites, warnings))
    }

    /// The same sites under the mode overrides in `own`. A site whose mode does not change is
    /// reused, with its session store.
    #[must_use]
    pub fn with_overrides(&self, own: &BTreeMap<String, Mode>) -> Self {
        // A site is listed under each of its hosts, and must stay one object.
        let all = self.exact.values().chain(self.below.values());
        let once: HashMap<&str, &Arc<Site>> = all.map(|site| (&**site.name(), site)).collect();
        let mut sites = Self::default();
        for site in once.into_values() {
            let on_refusal = site.settings.on_refusal.under(own.get(&**site.name()).copied());
            sites.add(if on_refusal == site.on_refusal {
                site.clone()
            } else {
                Arc::new(Site::new(site.settings.clone(), site.accepted.clone(), on_refusal))
            });
        }
        sites
    }

    /// The names of the sites that observe.
    pub fn observing_names(&self) -> HashSet<Arc<str>> {
        self.each().filter(|site| site.observes()).map(|site| site.name().clone()).collect()
    }

    /// The names of all sites.
    pub fn names(&self) -> HashSet<Arc<str>> {
        self.each().map(|site| site.name().clone()).collect()
    }

    /// All sites, each once for each of its hosts.
    pub fn each(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.exact.values().chain(self.below.values())
    }

    /// The site of `host`: an exact host first, then a star one label up.
    #[must_use]
    pub fn find(&self, host: &Host) -> Option<&Arc<Site>> {
        self.exact.get(host).or_else(|| self.below.get(&host.parent()?))
    }

    /// Whether `site` observes, and still has every host that it has in `old`.
    pub fn still_observes(&self, old: &Self, site: &str) -> bool {
        let mut of_site = self.changes_since(old).filter(|(before, _)| &**before.name() == site);
        let kept = |now: &Arc<Site>| now.observes() && &**now.name() == site;
        of_site.all(|(_, now)| now.is_some_and(kept))
    }

    /// Whether every host of `old` is still served, and every peer that its site accepted by
    /// certificate is still accepted.
    #[must_use]
    pub fn keeps_trust_of(&self, old: &Self) -> bool {
        let mut hosts = self.changes_since(old);
        hosts.all(|(before, now)| now.is_some_and(|now| now.accepted.covers(&before.accepted)))
    }

    /// The old site and the current one, for each exact host and star of `old`, and for each host
    /// that a star of `old` covered and that is an exact host now.
    fn changes_since<'a>(
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
        for pattern in &site.settings.hosts {
            match pattern {
                HostPattern::Exact(host) => self.exact.insert(host.clone(), site.clone()),
                HostPattern::Below(host) => self.below.insert(host.clone(), site.clone()),
            };
        }
    }
}

impl Site {
    fn new(
        settings: Arc<SiteSettings>,
        accepted: AcceptedCertificates,
        on_refusal: OnRefusal,
    ) -> Self {
        let SiteSettings { config_builder, verifier, .. } = &*settings;
        let asked: Arc<dyn ClientCertVerifier> = match on_refusal {
            // A site that observes makes a configuration per connection.
            OnRefusal::Close | OnRefusal::Observe => verifier.clone(),
            OnRefusal::Explain => {
                Arc::new(DeferringVerifier { verifier: verifier.clone(), key_proof: None })
            }
        };
        let observes = on_refusal == OnRefusal::Observe;
        // A session of an unauthenticated peer must never be resumed.
        let resumes = settings.resumption == Resumption::Verified && !observes;
        Self {
            tls: Arc::new(config_builder.config(asked)),
            accepted,
            sessions: resumes.then(Arc::default),
            on_refusal,
            settings,
        }
    }

    /// The name of the site: its first host.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// The upstream.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.settings.upstream
    }

    /// How requests are relayed; `None` if the site relays bytes.
    #[must_use]
    pub fn http(&self) -> Option<&HttpConfig> {
        match &self.settings.upstream {
            Upstream::Http(http) => Some(http),
            Upstream::Bytes(_) => None,
        }
    }

    /// The PROXY header for the upstream.
    #[must_use]
    pub fn proxy(&self) -> ProxyProtocol {
        self.settings.proxy
    }

    /// Whether the site serves `host`.
    #[must_use]
    pub fn serves(&self, host: &Host) -> bool {
        self.settings.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether this site accepts every certificate that `other` accepts.
    pub fn accepts_all_of(&self, other: &Self) -> bool {
        self.accepted.covers(&other.accepted)
    }

    /// The DER names of its client CAs, each without the outer SEQUENCE header.
    pub fn client_ca_names(&self) -> impl Iterator<Item = &[u8]> {
        self.settings.anchors.iter().map(|anchor| &*anchor.trust.subject)
    }

    /// The refusal of this certificate in a handshake, if it would be refused.
    #[must_use]
    pub fn refusal_of(&self, presented: &PresentedCertificate) -> Option<RefusedConnection> {
        self.verify(presented.chain()).err().map(|error| refusal_of_error(&error))
    }

    /// Whether the site explains refusals: its handshakes then prove nothing, and each chain must
    /// be verified after the handshake.
    pub(crate) fn explains(&self) -> bool {
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
    pub(crate) fn observe_token(&self) -> Option<ObserveToken> {
        self.observes().then_some(ObserveToken(()))
    }

    /// The client CA of a verified chain, found by names.
    pub(crate) fn issuing_ca(&self, chain: &[CertificateDer<'_>]) -> Option<IssuingCa> {
        issuing_ca::find(chain, &self.settings.anchors)
    }

    /// Verifies the chain that a peer presented, as a handshake would. For a resumed handshake, and
    /// for one that was finished without verification.
    ///
    /// # Errors
    /// As in a handshake.
    pub(crate) fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let (leaf, between) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        self.settings.verifier.verify_client_cert(leaf, between, UnixTime::now()).map(drop)
    }

    /// The last second at which a session may be resumed whose chain was verified now.
    pub(crate) fn session_expiry(&self, chain: &[CertificateDer<'_>]) -> u64 {
        self.settings.verifier.session_expiry(chain, aop_types::unix_seconds())
    }

    /// The TLS configuration of one connection. The verifier and the rules belong to the site; the
    /// view on the session store and the record of a failed proof belong to the connection.
    pub(crate) fn connection_tls(&self) -> ConnectionTls {
        let key_proof = Arc::<KeyProofFailure>::default();
        if self.observes() {
            let verifier = self.settings.verifier.clone();
            let deferring = DeferringVerifier { verifier, key_proof: Some(key_proof.clone()) };
            let config = Arc::new(self.settings.config_builder.config(Arc::new(deferring)));
            return ConnectionTls { config, sessions: None, key_proof };
        }
        let Some(store) = &self.sessions else {
            return ConnectionTls { config: self.tls.clone(), sessions: None, key_proof };
        };
        let sessions = Arc::new(store.open());
        let mut config = ServerConfig::clone(&self.tls);
        config.session_storage = sessions.clone();
        config.send_tls13_tickets = 1;
        ConnectionTls { config: Arc::new(config), sessions: Some(sessions), key_proof }
    }
}
