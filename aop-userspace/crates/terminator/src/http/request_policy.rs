//! The policy for the requests of one connection: the site whose settings apply, and the upstream.
//! Counts and logs the requests that aop refuses.

use std::{fmt::Display, sync::Arc, time::Duration};

use aop_config::HeaderNames;
use aop_http::{RequestHead, http1::NameCase, http2::Limit};
use aop_tls::{PeerStream, Site, Warrant, printable};

use super::{
    denial::Denial,
    forwarded_visitor::ForwardedVisitor,
    headers::{self, CF_RAY, PeerFacts, Upgrade},
    request_host::RequestHost,
    upstream::{Pool, Pools},
};
use crate::{counters::SiteCounters, log_limit::LogReason, service::Shared};

/// The policy for the requests of one connection.
pub(super) struct RequestPolicy {
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    warrant: Warrant,
    /// The counters of its site.
    site_counters: Arc<SiteCounters>,
    /// The value of `Client-Cert`.
    certificate: Option<String>,
    forwarded: ForwardedVisitor,
    /// The site of the last request, which accepts the peer, and its pool.
    last_site: Option<(Arc<Site>, Arc<Pool>)>,
}

/// How a request is relayed.
pub(super) struct RequestPlan {
    pub(super) pool: Arc<Pool>,
    pub(super) upgrade: Upgrade,
    pub(super) timeouts: RequestTimeouts,
    /// The case of header names towards the upstream.
    pub(super) case: NameCase,
    /// The PROXY header to send first, if the upstream expects one. Such a request has a connection
    /// of its own.
    pub(super) header: Option<Vec<u8>>,
}

/// The timeouts of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestTimeouts {
    /// To connect to the upstream.
    pub(super) connect: Duration,
    /// Until the response begins, counted from the last progress of the request.
    pub(super) answer: Duration,
}

/// The facts for the log line of a refused request.
#[derive(Default)]
pub(super) struct DenialFacts<'a> {
    pub(super) request: Option<&'a RequestHead>,
    /// The fault in the bytes of the peer or of the upstream.
    pub(super) fault: Option<&'a dyn Display>,
}

impl RequestPolicy {
    pub(super) fn new(
        shared: Arc<Shared>,
        pools: Arc<Pools>,
        site_counters: Arc<SiteCounters>,
        warrant: Warrant,
        certificate: Option<String>,
        forwarded: ForwardedVisitor,
    ) -> Self {
        Self { shared, pools, warrant, site_counters, certificate, forwarded, last_site: None }
    }

    /// Checks a request, rewrites its head for the upstream, and decides how to relay it. The
    /// policy of now applies, whatever policy accepted the connection.
    ///
    /// # Errors
    /// aop answers the request instead of the upstream.
    pub(super) fn plan(
        &mut self,
        request: &mut RequestHead,
        stream: &PeerStream,
    ) -> Result<RequestPlan, Denial> {
        let named = RequestHost::parse(request)?;
        let now = self.shared.accept_policy.load();
        let policy = &now.policy;
        let site = policy.sites.find(self.warrant.host()).ok_or(Denial::HostMismatch)?;
        let pool = match &self.last_site {
            Some((last, pool)) if Arc::ptr_eq(last, site) => Some(pool.clone()),
            Some(_) | None if self.warrant.is_accepted_by(site, stream) => None,
            Some(_) | None => return Err(Denial::Unauthenticated),
        };
        // A site may have become one that relays bytes.
        let own = self.warrant.site();
        let (http, proxy) = match site.http() {
            Some(http) => (http, site.proxy()),
            None => (own.http().ok_or(Denial::UpstreamUnreachable)?, own.proxy()),
        };
        let authenticated = self.warrant.is_authenticated();
        named.check_site(self.warrant.host(), site, http, &policy.sites, authenticated)?;
        let peer = PeerFacts {
            address: self.forwarded.source(),
            certificate: self.certificate.as_deref(),
            visitor_trust: self.forwarded.visitor_trust(),
        };
        let upgrade = headers::rewrite_request(request, &named, &peer, http)?;
        let handshake = || self.warrant.handshake(stream);
        let header = self.forwarded.header(proxy, &request.fields, handshake)?;
        let timeouts = RequestTimeouts { connect: policy.deadline, answer: http.answer };
        let case = match http.header_names {
            HeaderNames::Lower => NameCase::Lower,
            HeaderNames::Title => NameCase::Title,
        };
        let pool = pool.unwrap_or_else(|| {
            let pool = self.pools.get(http);
            self.last_site = Some((site.clone(), pool.clone()));
            pool
        });
        Ok(RequestPlan { pool, upgrade, timeouts, case, header })
    }

    /// Counts a request whose response is complete, or whose tunnel has begun.
    pub(super) fn relayed(&self) {
        self.shared.counters.relayed();
    }

    /// Counts and logs a request that aop refuses, or ends.
    pub(super) fn record(&self, denial: Denial, facts: &DenialFacts<'_>) {
        self.site_counters.denied(denial);
        if !self.shared.log_limit.may_log(LogReason::Request(denial)) {
            return;
        }
        let site = self.warrant.site().name();
        let ray = facts.request.and_then(|request| request.fields.first(CF_RAY)).map(escaped);
        let host = facts.request.and_then(named_host);
        let detail = facts.fault.map(|fault| printable(&fault.to_string()));
        if !denial.is_answer() {
            tracing::info!(
                site = &**site,
                peer = %self.warrant.peer(),
                outcome = denial.name(),
                cf_ray = ray,
                host,
                detail,
                help = denial.help(),
                "request aborted",
            );
            return;
        }
        tracing::info!(
            site = &**site,
            peer = %self.warrant.peer(),
            outcome = denial.name(),
            status = denial.status(),
            cf_ray = ray,
            host,
            detail,
            help = denial.help(),
            "request refused",
        );
    }

    /// Counts and logs an HTTP/2 connection that exceeds a rate. Its open requests are served.
    pub(super) fn retired(&self, limit: Limit) {
        self.site_counters.retired(limit);
        if self.shared.log_limit.may_log(LogReason::Retired(limit)) {
            tracing::info!(
                site = &**self.warrant.site().name(),
                peer = %self.warrant.peer(),
                limit = limit.name(),
                "HTTP/2 connection retired",
            );
        }
    }

    pub(super) fn warrant(&self) -> &Warrant {
        &self.warrant
    }
}

/// The host that a refused request names, escaped for the log.
fn named_host(request: &RequestHead) -> Option<String> {
    let authority = Some(&request.authority[..]).filter(|authority| !authority.is_empty());
    request.fields.first(b"host").or(authority).map(escaped)
}

/// Bytes of the peer, escaped for the log.
pub(super) fn escaped(value: &[u8]) -> String {
    printable(&String::from_utf8_lossy(value))
}
