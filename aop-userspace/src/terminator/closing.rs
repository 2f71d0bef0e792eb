//! The closing line: one for each connection, at level info, whatever became of it. In a flood of
//! refused ones [`Quiet`] leaves some out.
//!
//! The field names are stable. What a peer wrote arrives here escaped.

use std::{net::SocketAddr, sync::Arc};

use tokio::time::Instant;
use tracing::field::{DisplayValue, display};

use super::{
    http::Served,
    ledger::NO_SITE,
    proxy::Ends,
    quiet::{Quiet, Reason},
    relay::{Ending, Relayed},
};
use crate::tls::{OriginPull, Refused, Site};

/// What is known of a connection while it is open.
pub(super) struct Closing {
    peer: SocketAddr,
    site: Arc<str>,
    subject: Option<String>,
    /// What a PROXY header said.
    carried: Option<Box<Ends>>,
    started: Instant,
}

impl Closing {
    pub(super) fn new(peer: SocketAddr) -> Self {
        Self { peer, site: NO_SITE.into(), subject: None, carried: None, started: Instant::now() }
    }

    /// When the connection was accepted.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The name of its site, or `-`.
    pub(super) fn site(&self) -> &Arc<str> {
        &self.site
    }

    /// From whom the connection is and where it was made to, by its PROXY header.
    pub(super) fn carried(&self) -> Option<Ends> {
        self.carried.as_deref().copied()
    }

    pub(super) fn carry(&mut self, ends: Ends) {
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

    pub(super) fn served(&self, relayed: &Relayed) {
        let Relayed { bytes_in, bytes_out, ending } = *relayed;
        tracing::info!(
            site = &*self.site,
            peer = %self.peer,
            visitor = self.visitor(),
            subject = self.subject,
            outcome = "served",
            ending = ending.name(),
            bytes_in,
            bytes_out,
            duration_ms = self.milliseconds(),
            "connection closed",
        );
    }

    pub(super) fn answered(&self, served: &Served) {
        let Relayed { bytes_in, bytes_out, ending } = served.relayed;
        tracing::info!(
            site = &*self.site,
            peer = %self.peer,
            visitor = self.visitor(),
            subject = self.subject,
            outcome = "served",
            ending = ending.name(),
            requests = served.requests,
            cf_ray = served.ray,
            bytes_in,
            bytes_out,
            duration_ms = self.milliseconds(),
            "connection closed",
        );
    }

    pub(super) fn refused(&self, refused: &Refused, quiet: &Quiet) {
        if !quiet.may_tell(Reason::Connection(refused.refusal)) {
            return;
        }
        tracing::info!(
            site = &*self.site,
            peer = %self.peer,
            visitor = self.visitor(),
            subject = self.subject,
            outcome = refused.refusal.name(),
            fault = refused.refusal.whose().name(),
            detail = (!refused.detail.is_empty()).then_some(refused.detail.as_str()),
            help = refused.refusal.help(),
            bytes_in = 0,
            bytes_out = 0,
            duration_ms = self.milliseconds(),
            "connection closed",
        );
    }

    /// Cut by draining before it was relayed.
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

    fn visitor(&self) -> Option<DisplayValue<SocketAddr>> {
        self.carried().map(|ends| display(ends.source))
    }

    fn milliseconds(&self) -> u64 {
        self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }
}
