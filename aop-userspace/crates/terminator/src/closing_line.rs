//! The closing line: one line at level info for each connection, whatever its outcome. In a flood
//! of refusals the log limit ([`LogLimit`]) leaves some lines out.
//!
//! The field names are stable. Text from the peer arrives here escaped.

use std::{net::SocketAddr, sync::Arc};

use aop_tls::{OriginPull, RefusedConnection, WouldRefuse};
use tokio::time::Instant;
use tracing::field::{DisplayValue, display};

use super::{
    counters::NO_SITE,
    http::Served,
    log_limit::{LogLimit, LogReason},
    proxy::ProxyAddresses,
    relay::{Ending, RelayOutcome},
};

/// The facts of an open connection that its closing line needs.
pub(super) struct ClosingLine {
    peer: SocketAddr,
    site: Arc<str>,
    subject: Option<String>,
    /// Observe mode: the refusal that enforcing would have caused.
    would: Option<Box<WouldRefuse>>,
    /// The addresses in the PROXY header that the connection began with.
    proxy_addresses: Option<Box<ProxyAddresses>>,
    started: Instant,
}

impl ClosingLine {
    pub(super) fn new(peer: SocketAddr) -> Self {
        let (site, started) = (NO_SITE.into(), Instant::now());
        Self { peer, site, subject: None, would: None, proxy_addresses: None, started }
    }

    /// When the connection was accepted.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The source and destination addresses in its PROXY header.
    pub(super) fn proxy_addresses(&self) -> Option<ProxyAddresses> {
        self.proxy_addresses.as_deref().copied()
    }

    pub(super) fn set_proxy_addresses(&mut self, addresses: ProxyAddresses) {
        self.proxy_addresses = Some(Box::new(addresses));
    }

    pub(super) fn set_site(&mut self, site: &Arc<str>) {
        self.site = site.clone();
    }

    pub(super) fn set_pull(&mut self, pull: &OriginPull) {
        self.subject = Some(pull.identity().subject.clone());
        tracing::debug!(
            peer = %self.peer,
            host = %pull.host(),
            version = ?pull.version(),
            cipher = ?pull.cipher(),
            resumed = pull.is_resumed(),
            spki_sha256 = pull.identity().spki_sha256,
            "origin pull authenticated",
        );
    }

    pub(super) fn set_would_refuse(&mut self, would: &WouldRefuse) {
        self.would = Some(Box::new(would.clone()));
    }

    /// Logs a connection whose bytes were relayed.
    pub(super) fn log_bytes(&self, relayed: &RelayOutcome, log_limit: &LogLimit) {
        self.log_relayed(relayed, None, log_limit);
    }

    /// Logs a connection whose requests were relayed.
    pub(super) fn log_http(&self, served: &Served, log_limit: &LogLimit) {
        self.log_relayed(&served.relayed, Some(served), log_limit);
    }

    fn log_relayed(&self, relayed: &RelayOutcome, http: Option<&Served>, log_limit: &LogLimit) {
        if !self.may_log(log_limit) {
            return;
        }
        let would = self.would();
        let RelayOutcome { bytes_in, bytes_out, ending } = *relayed;
        tracing::info!(
            site = &*self.site,
            peer = %self.peer,
            visitor = self.visitor(),
            subject = self.subject,
            outcome = "served",
            would_refuse = would.map(|would| would.refusal.name()),
            presented = would.and_then(|would| would.presented.as_deref()),
            detail = would.map(|would| would.detail.as_str()).filter(|it| !it.is_empty()),
            help = would.and_then(|would| would.refusal.help()),
            ending = ending.name(),
            requests = http.map(|http| http.requests),
            cf_ray = http.and_then(|http| http.ray.as_deref()),
            bytes_in,
            bytes_out,
            duration_ms = self.milliseconds(),
            "connection closed",
        );
    }

    pub(super) fn log_refused(&self, refused: &RefusedConnection, log_limit: &LogLimit) {
        if !log_limit.may_log(LogReason::Connection(refused.refusal)) {
            return;
        }
        tracing::info!(
            site = &*self.site,
            peer = %self.peer,
            visitor = self.visitor(),
            subject = self.subject,
            outcome = refused.refusal.name(),
            fault = refused.refusal.responsible().name(),
            detail = (!refused.detail.is_empty()).then_some(refused.detail.as_str()),
            help = refused.refusal.help(),
            bytes_in = 0,
            bytes_out = 0,
            duration_ms = self.milliseconds(),
            "connection closed",
        );
    }

    /// Logs a connection that a drain cut before it was relayed.
    pub(super) fn log_cut(&self) {
        tracing::info!(
            site = &*self.site,
            peer = %self.peer,
            visitor = self.visitor(),
            subject = self.subject,
            outcome = Ending::Cut.name(),
            bytes_in = 0,
            bytes_out = 0,
            duration_ms = self.milliseconds(),
            "connection closed",
        );
    }

    fn would(&self) -> Option<&WouldRefuse> {
        self.would.as_deref()
    }

    /// The log limit applies to observe mode as well, because it relays any peer.
    fn may_log(&self, log_limit: &LogLimit) -> bool {
        self.would().is_none_or(|would| log_limit.may_log(LogReason::Observed(would.refusal)))
    }

    fn visitor(&self) -> Option<DisplayValue<SocketAddr>> {
        self.proxy_addresses().map(|addresses| display(addresses.source))
    }

    fn milliseconds(&self) -> u64 {
        self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }
}
