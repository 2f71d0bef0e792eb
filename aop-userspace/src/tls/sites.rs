//! The sites that are served, and the one way to find a site by its host.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rustls::{ServerConfig, crypto::aws_lc_rs, server::danger::ClientCertVerifier};

use super::{
    error::SitesError,
    files::Files,
    server::{self, Trust},
    validity,
};
use crate::config::{Host, HostPattern, HttpConfig, ProxyProtocol, SiteConfig, Upstream, Warning};

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
    tls: Arc<ServerConfig>,
    trust: Trust,
    explains_by: Option<Arc<dyn ClientCertVerifier>>,
}

impl Sites {
    /// Reads all that `configs` name out of `files` and builds the sites, with what an operator
    /// should know about those files.
    ///
    /// # Errors
    /// A file is missing, unreadable, empty, malformed or of the wrong kind, or a key does not
    /// belong to its certificate. No site is built then.
    pub fn build(
        configs: &[SiteConfig],
        files: &Files,
    ) -> Result<(Self, Vec<Warning>), SitesError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let now = validity::now();
        let mut sites = Self::default();
        let mut warnings = Vec::new();
        for config in configs {
            let built = server::config(config, files, &provider, now, &mut warnings)
                .map_err(|problem| SitesError { site: config.name.clone(), problem })?;
            sites.add(Arc::new(Site {
                name: config.name.as_str().into(),
                hosts: config.hosts.clone(),
                upstream: config.upstream.clone(),
                proxy: config.proxy,
                tls: Arc::new(built.config),
                trust: built.trust,
                explains_by: built.explains_by,
            }));
        }
        // Sites often share their files; one word about each is enough.
        let mut said = HashSet::new();
        warnings.retain(|warning| said.insert(warning.0.clone()));
        Ok((sites, warnings))
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

    /// The verifier that judges a peer after its handshake, where refusals are explained.
    pub(super) fn explains_by(&self) -> Option<&Arc<dyn ClientCertVerifier>> {
        self.explains_by.as_ref()
    }

    pub(super) fn tls(&self) -> &Arc<ServerConfig> {
        &self.tls
    }
}
