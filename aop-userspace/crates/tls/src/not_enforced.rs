//! Observe mode: a peer whose certificate fails is still relayed, and the refusal that enforcing
//! would have caused is recorded.
//!
//! This is the only way past a refusal. [`Site::observing`] returns a value only for a site that
//! observes, [`UnauthenticatedPull`] is made only from that value, and [`permit_unauthenticated`](super::let_in) takes only an
//! [`UnauthenticatedPull`]. The resulting permit is marked as proving nothing.

use std::sync::{Arc, OnceLock};

use aop_config::Host;
use rustls::{Error, pki_types::CertificateDer};

use super::{
    identity::PeerIdentity,
    permit::{Finished, OriginPull, socket},
    refusal::Refusal,
    refusal_of_error,
    refused_connection::RefusedConnection,
    sessions::Desk,
    sites::{Observing, Site},
};

/// A finished handshake of an unauthenticated peer, which enforcing would refuse.
pub struct UnauthenticatedPull {
    finished: Finished,
    would: WouldRefuse,
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
    Proven(Box<OriginPull>),
    /// The peer is unauthenticated, and its site observes.
    Unproven(Box<UnauthenticatedPull>),
}

impl UnauthenticatedPull {
    /// For a peer that the site, which is `observing`, would otherwise have `refused`.
    pub(super) fn of(_: &Observing, finished: Finished, refused: RefusedConnection) -> Self {
        let leaf = finished.chain().first();
        let presented = leaf.and_then(|leaf| PeerIdentity::of(leaf).ok());
        let RefusedConnection { refusal, detail, .. } = refused;
        let presented = presented.map(|identity| identity.subject);
        Self { finished, would: WouldRefuse { refusal, detail, presented } }
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
    pub fn refused(self) -> RefusedConnection {
        let Self { finished, would } = self;
        let refused =
            RefusedConnection::new(would.refusal).at(&finished.site).because(would.detail);
        refused.on(socket(finished.stream))
    }

    /// The refusal that enforcing would have caused.
    #[must_use]
    pub fn would(&self) -> &WouldRefuse {
        &self.would
    }

    pub(super) fn into_parts(self) -> (Finished, WouldRefuse) {
        (self.finished, self.would)
    }
}

/// Why a peer failed to prove in its handshake that it holds the key of its certificate, if it
/// failed. One per connection.
#[derive(Debug, Default)]
pub(super) struct Unsigned(OnceLock<Error>);

impl Unsigned {
    pub(super) fn note(&self, error: Error) {
        // The first error is the reason.
        self.0.set(error).ok();
    }

    fn refused(&self) -> Option<RefusedConnection> {
        self.0.get().map(refusal_of_error::of)
    }
}

/// Checks a handshake that was finished while its site is `observing`, as if the site required a
/// certificate and the proof of its key.
pub(super) fn judge(
    observing: &Observing,
    finished: Finished,
    desk: Option<Arc<Desk>>,
    unsigned: &Unsigned,
) -> AcceptedPull {
    let refused = match finished.site.judge(finished.chain()) {
        Err(error) => Some(refusal_of_error::of(&error)),
        Ok(()) => unsigned.refused(),
    };
    let refused = refused.map_or_else(|| identity(finished.chain()), Err);
    match refused {
        Ok(identity) => AcceptedPull::Proven(Box::new(OriginPull::new(finished, identity, desk))),
        Err(refused) => {
            AcceptedPull::Unproven(Box::new(UnauthenticatedPull::of(observing, finished, refused)))
        }
    }
}

/// The identity in the leaf of a verified chain.
pub(super) fn identity(chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, RefusedConnection> {
    let leaf = chain.first().ok_or_else(|| RefusedConnection::new(Refusal::CertificateRequired))?;
    PeerIdentity::of(leaf)
        .map_err(|error| RefusedConnection::new(Refusal::BadCertificate).because(error))
}
