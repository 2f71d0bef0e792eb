//! The closing line: one line at level info for each connection, whatever its outcome. In a flood
//! of refusals the log limit ([`Quiet`]) leaves some lines out.
//!
//! The field names are stable. Text from the peer arrives here escaped.

use std::{net::SocketAddr, sync::Arc};

use aop_tls::{OriginPull, RefusedConnection, Site, WouldRefuse};
use tokio::time::Instant;
use tracing::field::{DisplayValue, display};

use super::{
    http::Served,
    ledger::NO_SITE,
    proxy::ProxyAddresses,
    quiet::{Quiet, Reason},
    relay::{Ending, Relayed},
};

/// The facts of an open connection that its closing line needs.
pub(super) struct Closing {
    peer: SocketAddr,
    site: Arc<str>,
    subject: Option<String>,
    /// Observe mode: the refusal that enforcing would have caused.
    would: Option<Box<WouldRefuse>>,
    /// The addresses in the PROXY header that the connection began with.
    carried: Option<Box<ProxyAddresses>>,
    started: Instant,
}

impl Closing {
    pub(super) fn new(peer: SocketAddr) -> Self {
        let (site, started) = (NO_SITE.into(), Instant::now());
        Self { peer, site, subject: None, would: None, carried: None, started }
    }

    /// When the connection was accepted.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The name of its site, or `-`.
    pub(super) fn site(&self) -> &Arc<str> {
        &self.site
    }

    /// The source and destination addresses in its PROXY header.
    pub(super) fn carried(&self) -> Option<ProxyAddresses> {
        self.carried.as_deref().copied()
    }

    pub(super) fn carry(&mut self, ends: ProxyAddresses) {
        self.carried = Some(Box::new(ends));
    }

    pub(super) fn know_site(&mut self, site: Option<&Arc<Site>>) {
        if let Some(site) = site {
            self.site = site.name().clone();
        }
    }

    pub(super) fn know(&mut self, pull: &OriginPull) {
        self.know_site(Some(pull.site()));
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

    pub(super) fn observe(&mut self, would: &WouldRefuse) {
        self.would = Some(Box::new(would.clone()));
    }

    pub(super) fn served(&self, relayed: &Relayed, quiet: &Quiet) {
        if !self.may_tell(quiet) {
            return;
        }
        let would = self.would();
        let Relayed { bytes_in, bytes_out, ending } = *relayed;
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
            bytes_in,
            bytes_out,
            duration_ms = self.milliseconds(),
            "connection closed",
        );
    }

    pub(super) fn answered(&self, served: &Served, quiet: &Quiet) {
        if !self.may_tell(quiet) {
            return;
        }
        let would = self.would();
        let Relayed { bytes_in, bytes_out, ending } = served.relayed;
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
            requests = served.requests,
            cf_ray = served.ray,
            bytes_in,
            bytes_out,
            duration_ms = self.milliseconds(),
            "connection closed",
        );
    }

    pub(super) fn refused(&self, refused: &RefusedConnection, quiet: &Quiet) {
        if !quiet.may_tell(Reason::Connection(refused.refusal)) {
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
    pub(super) fn cut(&self) {
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
    fn may_tell(&self, quiet: &Quiet) -> bool {
        self.would().is_none_or(|would| quiet.may_tell(Reason::Observed(would.refusal)))
    }

    fn visitor(&self) -> Option<DisplayValue<SocketAddr>> {
        self.carried().map(|ends| display(ends.source))
    }

    fn milliseconds(&self) -> u64 {
        self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }
}
