//! The sites that are served, and the one way to find a site by its host.

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
    anchors::Anchor,
    error::SitesError,
    files::Files,
    judgement,
    lenient::Lenient,
    memo,
    observed::Unsigned,
    refused::Refused,
    resumption::{Desk, Sessions},
    server::{self, Equipment, Maker, Notes},
    trust::Trust,
    validity,
    verifier::SiteVerifier,
    voucher::{self, Voucher},
};

/// All sites. With none, nobody is served.
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
    /// Of this generation alone; `None` where nothing is resumed.
    sessions: Option<Arc<Sessions>>,
}

/// What is the same of a site whether it observes or not.
struct Facts {
    name: Arc<str>,
    hosts: Vec<HostPattern>,
    upstream: Upstream,
    proxy: ProxyProtocol,
    /// What the configuration says.
    on_refusal: OnRefusal,
    resumption: Resumption,
    maker: Maker,
    anchors: Vec<Anchor>,
    verifier: Arc<SiteVerifier>,
}

/// That a site observes. Made by [`Site::observing`] alone.
pub(super) struct Observing(());

/// By what one connection shakes hands.
pub(super) struct Terms {
    pub(super) config: Arc<ServerConfig>,
    /// Where its sessions are, if it may resume and be resumed.
    pub(super) desk: Option<Arc<Desk>>,
    /// Where a site that observes notes what the peer has not proven.
    pub(super) unsigned: Arc<Unsigned>,
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
            let Equipment { maker, anchors, trust, verifier } =
                server::equip(site, files, &provider, &mut notes)
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

    /// The same sites, of which those that `own` names observe, or do not, whatever the configuration
    /// says. One that does as before is the same, with its sessions.
    #[must_use]
    pub fn under(&self, own: &BTreeMap<String, Mode>) -> Self {
        // A site stands under each of its hosts, and stays one.
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

    /// The names of those that observe.
    pub fn observing(&self) -> HashSet<Arc<str>> {
        let all = self.exact.values().chain(self.below.values());
        all.filter(|site| site.observes()).map(|site| site.name().clone()).collect()
    }

    /// The site that answers for `host`: by its own name first, then by a star one label up.
    #[must_use]
    pub fn find(&self, host: &Host) -> Option<&Arc<Site>> {
        self.exact.get(host).or_else(|| self.below.get(&host.parent()?))
    }

    /// Whether `site`, as it is in `old`, still has every host that it answered for, and observes.
    pub fn observe_where(&self, old: &Self, site: &str) -> bool {
        let mut of_site = self.since(old).filter(|(before, _)| &**before.name() == site);
        let same = |now: &Arc<Site>| now.observes() && &**now.name() == site;
        of_site.all(|(_, now)| now.is_some_and(same))
    }

    /// Whether every host of `old` is still served, to everybody who was believed there by certificate.
    #[must_use]
    pub fn keep_the_trust_of(&self, old: &Self) -> bool {
        let mut hosts = self.since(old);
        hosts.all(|(before, now)| now.is_some_and(|now| now.trust.covers(&before.trust)))
    }

    /// For each host and star of `old`, and each host that a star answered for and that has a site by
    /// its own name now: the site of before, and that of now.
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
            // One that observes makes a configuration for each connection.
            OnRefusal::Close | OnRefusal::Observe => verifier.clone(),
            OnRefusal::Explain => Arc::new(Lenient { verifier: verifier.clone(), unsigned: None }),
        };
        let observes = on_refusal == OnRefusal::Observe;
        // What proves nothing is never resumed, so one that observes resumes nothing.
        let resumes = facts.resumption == Resumption::Verified && !observes;
        Self {
            tls: Arc::new(maker.config(asked)),
            trust,
            sessions: resumes.then(Arc::default),
            on_refusal,
            facts,
        }
    }

    /// Its name, as in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.facts.name
    }

    /// Where its bytes go.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.facts.upstream
    }

    /// How its requests are relayed, where it is not its bytes that are.
    #[must_use]
    pub fn http(&self) -> Option<&HttpConfig> {
        match &self.facts.upstream {
            Upstream::Http(http) => Some(http),
            Upstream::Bytes(_) => None,
        }
    }

    /// Which PROXY header its upstream gets.
    #[must_use]
    pub fn proxy(&self) -> ProxyProtocol {
        self.facts.proxy
    }

    /// Whether it answers for `host`.
    #[must_use]
    pub fn answers(&self, host: &Host) -> bool {
        self.facts.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether everybody whom `other` believes is believed here too.
    pub fn believes_all_of(&self, other: &Self) -> bool {
        self.trust.covers(&other.trust)
    }

    /// The names of its client CAs, as what is in their sequence.
    pub fn client_ca_names(&self) -> impl Iterator<Item = &[u8]> {
        self.facts.anchors.iter().map(|anchor| &*anchor.trust.subject)
    }

    /// Why a handshake would refuse this chain, where it would.
    pub fn refusal_of(&self, chain: &[CertificateDer<'_>]) -> Option<Refused> {
        self.judge(chain).err().map(|error| judgement::of(&error))
    }

    /// Whether its handshakes prove nothing, so that each is to be judged when it is finished.
    pub(super) fn explains(&self) -> bool {
        self.on_refusal == OnRefusal::Explain
    }

    /// Whether everybody is let in, and who would be refused is counted.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.on_refusal == OnRefusal::Observe
    }

    /// That it observes, where it does: what letting in without a proof begins with.
    pub(super) fn observing(&self) -> Option<Observing> {
        self.observes().then_some(Observing(()))
    }

    /// The client CA to which the names of a verified chain lead.
    pub(super) fn voucher(&self, chain: &[CertificateDer<'_>]) -> Option<Voucher> {
        voucher::of(chain, &self.facts.anchors)
    }

    /// Judges the chain that a peer has presented in a handshake, as the handshake would: for where
    /// it was resumed, or only finished to explain a refusal.
    ///
    /// # Errors
    /// As in a handshake.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let (leaf, between) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        self.facts.verifier.verify_client_cert(leaf, between, UnixTime::now()).map(drop)
    }

    /// The last second at which sessions of a chain that is verified now may be resumed.
    pub(super) fn stands_until(&self, chain: &[CertificateDer<'_>]) -> u64 {
        self.facts.verifier.stands_until(chain, validity::now())
    }

    /// What holds for one connection. Verifier and rules are the site's; the store of sessions is the
    /// connection's own, and so is what a site that observes notes of it.
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
