//! Who would be refused where a site observes, and is relayed all the same.
//!
//! This is the one way past a refusal, and its parts are nowhere else: [`Site::observing`] answers
//! for a site that observes and for no other, [`Observed`] is made of that answer alone, and
//! [`let_in`](super::let_in) takes nothing but an [`Observed`]. The permit that comes of it says that
//! it proves nothing.

use std::sync::{Arc, OnceLock};

use aop_config::Host;
use rustls::{Error, pki_types::CertificateDer};

use super::{
    identity::Identity,
    judgement,
    pull::{Finished, OriginPull, socket},
    refusal::Refusal,
    refused::Refused,
    resumption::Desk,
    sites::{Observing, Site},
};

/// A finished handshake that proves nothing: its peer would be refused.
pub struct Observed {
    finished: Finished,
    would: WouldRefuse,
}

/// What would have become of a peer, had its site not observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldRefuse {
    /// Why it would have been refused.
    pub refusal: Refusal,
    /// The particulars, fit for a log.
    pub detail: String,
    /// The subject of the certificate that it presented, which proves nothing; `None` where it
    /// presented none, or one that cannot be read.
    pub presented: Option<String>,
}

/// What [`accept`](super::accept) makes of a finished handshake.
pub enum Accepted {
    /// The peer's certificate was verified.
    Proven(Box<OriginPull>),
    /// It would be refused, and its site observes.
    Unproven(Box<Observed>),
}

impl Observed {
    /// Of a peer that would be `refused` by a site that is `observing`.
    pub(super) fn of(_: &Observing, finished: Finished, refused: Refused) -> Self {
        let leaf = finished.chain().first();
        let presented = leaf.and_then(|leaf| Identity::of(leaf).ok());
        let Refused { refusal, detail, .. } = refused;
        let presented = presented.map(|identity| identity.subject);
        Self { finished, would: WouldRefuse { refusal, detail, presented } }
    }

    /// The site that it is for.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.finished.site
    }

    /// The name that the peer asked for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.finished.host
    }

    /// The refusal that it comes to where its site observes no more.
    #[must_use]
    pub fn refused(self) -> Refused {
        let Self { finished, would } = self;
        let refused = Refused::new(would.refusal).at(&finished.site).because(would.detail);
        refused.on(socket(finished.stream))
    }

    /// What would have become of it.
    #[must_use]
    pub fn would(&self) -> &WouldRefuse {
        &self.would
    }

    pub(super) fn into_parts(self) -> (Finished, WouldRefuse) {
        (self.finished, self.would)
    }
}

/// Why a peer did not prove in its handshake that it has the key of what it presented, if so. One for
/// each connection.
#[derive(Debug, Default)]
pub(super) struct Unsigned(OnceLock<Error>);

impl Unsigned {
    pub(super) fn note(&self, error: Error) {
        // The first one is the reason.
        self.0.set(error).ok();
    }

    fn refused(&self) -> Option<Refused> {
        self.0.get().map(judgement::of)
    }
}

/// Judges a handshake that a site has finished while it is `observing`: as it would judge it if it
/// required a certificate, the proof of its key included.
pub(super) fn judge(
    observing: &Observing,
    finished: Finished,
    desk: Option<Arc<Desk>>,
    unsigned: &Unsigned,
) -> Accepted {
    let refused = match finished.site.judge(finished.chain()) {
        Err(error) => Some(judgement::of(&error)),
        Ok(()) => unsigned.refused(),
    };
    let refused = refused.map_or_else(|| identity(finished.chain()), Err);
    match refused {
        Ok(identity) => Accepted::Proven(Box::new(OriginPull::new(finished, identity, desk))),
        Err(refused) => Accepted::Unproven(Box::new(Observed::of(observing, finished, refused))),
    }
}

/// Who a verified chain says the peer is.
pub(super) fn identity(chain: &[CertificateDer<'_>]) -> Result<Identity, Refused> {
    let leaf = chain.first().ok_or_else(|| Refused::new(Refusal::CertificateRequired))?;
    Identity::of(leaf).map_err(|error| Refused::new(Refusal::BadCertificate).because(error))
}
