//! Whether a chain that passed is revoked.
//!
//! webpki finds the list of a certificate by the name of its issuer alone, takes the first one, and
//! verifies its signature in each handshake. So it builds the path here, and this module looks each
//! certificate up in the lists that its issuer's key signed.

use std::{sync::Arc, time::Duration};

use aop_config::{CrlScope, OnExpiry, Revocation};
use rustls::{
    CertificateError, Error, OtherError, RootCertStore,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime},
};
use webpki::{Cert, EndEntityCert, KeyUsage, VerifiedPath};

use super::{
    revocation::SignedList,
    revocation_list::ChainRole::{self, Ca, Leaf},
};

/// Looks up the certificates of chains in the lists of one site; at least one list.
#[derive(Debug)]
pub(crate) struct RevocationCheck {
    pub(crate) lists: Vec<SignedList>,
    pub(crate) scope: CrlScope,
    pub(crate) expired: OnExpiry,
    pub(crate) known: WebPkiSupportedAlgorithms,
}

impl RevocationCheck {
    /// `None` if there are no lists.
    pub(crate) fn new(
        lists: &[SignedList],
        rules: &Revocation,
        known: WebPkiSupportedAlgorithms,
    ) -> Option<Self> {
        let (lists, scope, expired) = (lists.to_vec(), rules.scope, rules.expired);
        (!lists.is_empty()).then_some(Self { lists, scope, expired, known })
    }

    /// Whether a path from `leaf` to one of `roots` is covered by lists, and not revoked. The error
    /// is that which webpki would report.
    pub(crate) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
    ) -> Result<(), Error> {
        let check = |path: &VerifiedPath<'_>| self.check_path(path, now);
        let usage = KeyUsage::client_auth();
        EndEntityCert::try_from(leaf)
            .and_then(|leaf| {
                let known = self.known.all;
                leaf.verify_for_usage(
                    known,
                    &roots.roots,
                    intermediates,
                    now,
                    usage,
                    None,
                    Some(&check),
                )
                .map(drop)
            })
            .map_err(tls_error)
    }

    fn check_path(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), webpki::Error> {
        let mut certificate: &Cert<'_> = path.end_entity();
        let mut role = Leaf;
        for issuer in path.intermediate_certificates() {
            self.check_certificate(certificate, role, &issuer.subject_public_key_info(), now)?;
            (certificate, role) = (issuer, Ca);
        }
        self.check_certificate(certificate, role, &webpki::spki_for_anchor(path.anchor()), now)
    }

    fn check_certificate(
        &self,
        certificate: &Cert<'_>,
        role: ChainRole,
        issuer: &SubjectPublicKeyInfoDer<'_>,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        if role == Ca && self.scope == CrlScope::Leaf {
            return Ok(());
        }
        let mut covering = self
            .lists
            .iter()
            .filter(|it| it.list.issuer == certificate.issuer() && it.key == *issuer)
            .map(|it| &it.list)
            .filter(|list| list.covers(certificate, role))
            .peekable();
        if covering.peek().is_none() {
            return Err(webpki::Error::UnknownRevocationStatus);
        }
        for list in covering {
            let end = Duration::from_secs(list.validity.not_after);
            let next_update = UnixTime::since_unix_epoch(end);
            if self.expired == OnExpiry::Refuse && now >= next_update {
                return Err(webpki::Error::CrlExpired { time: now, next_update });
            }
            if list.revokes(certificate.serial()) {
                return Err(webpki::Error::CertRevoked);
            }
        }
        Ok(())
    }
}

/// As rustls reports these.
#[expect(clippy::wildcard_enum_match_arm, reason = "webpki::Error is open-ended")]
fn tls_error(error: webpki::Error) -> Error {
    let error = match error {
        webpki::Error::CertRevoked => CertificateError::Revoked,
        webpki::Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        webpki::Error::CrlExpired { time, next_update } => {
            CertificateError::ExpiredRevocationListContext { time, next_update }
        }
        // The chain has passed before, so this is a limit on the work for a chain.
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(error)
}
