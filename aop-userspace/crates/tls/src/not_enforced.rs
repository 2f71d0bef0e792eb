//! Observe mode: a peer whose certificate fails is still relayed, and the refusal that enforcing
//! would have caused is recorded.
//!
//! This is the only way past a refusal. [`Site::observe_token`] returns a value only for a site
//! that observes, [`UnauthenticatedPull`] is made only from that value, and
//! [`permit_unauthenticated`] takes only an [`UnauthenticatedPull`]. The resulting
//! permit is marked as proving nothing.
//!
//! [`permit_unauthenticated`]: super::permit_unauthenticated

use std::sync::{Arc, OnceLock};

use aop_config::Host;
use aop_types::Refusal;
use rustls::{Error, pki_types::CertificateDer};

use super::{
    identity::PeerIdentity,
    permit::{FinishedHandshake, OriginPull, into_tcp},
    refusal_of_error::refusal_of_error,
    refused_connection::RefusedConnection,
    sites::{ObserveToken, Site},
};

/// A finished handshake of an unauthenticated peer, which enforcing would refuse.
pub struct UnauthenticatedPull {
    finished: FinishedHandshake,
    would_refuse: WouldRefuse,
}

/// The refusal that enforcing would have caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldRefuse {
    /// Why it would have been refused.
    pub refusal: Refusal,
    /// The details, safe to log.
    pub detail: String,
    /// The subject of the presented certificate, which is unverified. `None` if the peer presented
    /// none, or one that cannot be parsed.
    pub presented: Option<String>,
}

/// A finished handshake, as [`accept`](super::accept) returns it.
pub enum AcceptedPull {
    /// The peer's certificate was verified.
    Authenticated(Box<OriginPull>),
    /// The peer is unauthenticated, and its site observes.
    Unauthenticated(Box<UnauthenticatedPull>),
}

impl UnauthenticatedPull {
    /// For a peer that the site, which is `observing`, would otherwise have `refused`.
    fn new(_: &ObserveToken, finished: FinishedHandshake, refused: RefusedConnection) -> Self {
        let leaf = finished.chain().first();
        let presented = leaf.and_then(|leaf| PeerIdentity::read(leaf).ok());
        let RefusedConnection { refusal, detail, .. } = refused;
        let presented = presented.map(|identity| identity.subject);
        Self { finished, would_refuse: WouldRefuse { refusal, detail, presented } }
    }

    /// The site of the handshake.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.finished.site
    }

    /// The name that the peer asked for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.finished.host
    }

    /// The refusal itself, if the site has stopped observing in the meantime.
    #[must_use]
    pub fn into_refused(self) -> RefusedConnection {
        let Self { finished, would_refuse: WouldRefuse { refusal, detail, .. } } = self;
        let refused = RefusedConnection::new(refusal).with_site(&finished.site);
        refused.with_detail(detail).with_stream(into_tcp(finished.stream))
    }

    /// The refusal that enforcing would have caused.
    #[must_use]
    pub fn would_refuse(&self) -> &WouldRefuse {
        &self.would_refuse
    }

    pub(crate) fn into_parts(self) -> (FinishedHandshake, WouldRefuse) {
        (self.finished, self.would_refuse)
    }
}

/// Why a peer failed to prove in its handshake that it holds the key of its certificate, if it
/// failed. One per connection.
#[derive(Debug, Default)]
pub(crate) struct KeyProofFailure(OnceLock<Error>);

impl KeyProofFailure {
    pub(crate) fn record(&self, error: Error) {
        // The first error is the reason.
        self.0.set(error).ok();
    }

    fn refusal(&self) -> Option<RefusedConnection> {
        self.0.get().map(refusal_of_error)
    }
}

/// Checks a handshake that was finished at a site that observes, as if the site required a
/// certificate and the proof of its key.
pub(crate) fn accept_observing(
    token: &ObserveToken,
    finished: FinishedHandshake,
    key_proof: &KeyProofFailure,
) -> AcceptedPull {
    let refusal = match finished.site.verify(finished.chain()) {
        Err(error) => Some(refusal_of_error(&error)),
        Ok(()) => key_proof.refusal(),
    };
    match refusal.map_or_else(|| identity(finished.chain()), Err) {
        Ok(identity) => {
            AcceptedPull::Authenticated(Box::new(OriginPull::new(finished, identity, None)))
        }
        Err(refused) => {
            let pull = UnauthenticatedPull::new(token, finished, refused);
            AcceptedPull::Unauthenticated(Box::new(pull))
        }
    }
}

/// The identity in the leaf of a verified chain.
pub(crate) fn identity(chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, RefusedConnection> {
    let leaf = chain.first().ok_or_else(|| RefusedConnection::new(Refusal::CertificateRequired))?;
    PeerIdentity::read(leaf)
        .map_err(|error| RefusedConnection::new(Refusal::BadCertificate).with_detail(error))
}
