//! Maps an error of rustls to a refusal.
//!
//! Every variant of the current rustls is named. A variant of a later version maps to a general
//! refusal. Two errors come wrapped: rustls has no variant for a certificate of version 1 or for a
//! CA as leaf, and passes on the error of webpki. An error of our own rules carries its refusal.

use std::io;

use aop_types::Refusal;
use rustls::{CertificateError, Error, InvalidMessage, OtherError, PeerMisbehaved};

use super::{refused_connection::RefusedConnection, verifier::BrokenRule};

/// The refusal for `error`, which comes from reading or writing handshake bytes.
pub(crate) fn refusal_of_io_error(error: &io::Error) -> RefusedConnection {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => refusal_of_error(tls),
        None => RefusedConnection::new(Refusal::PeerGone).with_detail(error.to_string()),
    }
}

/// The refusal for an error of TLS.
pub(crate) fn refusal_of_error(error: &Error) -> RefusedConnection {
    if let Error::InvalidCertificate(CertificateError::Other(other)) = error
        && let Some(broken) = other.0.downcast_ref::<BrokenRule>()
    {
        return RefusedConnection::new(broken.refusal).with_detail(broken.detail.clone());
    }
    RefusedConnection::new(general(error)).with_detail(error.to_string())
}

fn general(error: &Error) -> Refusal {
    match error {
        Error::NoCertificatesPresented => Refusal::CertificateRequired,
        Error::InvalidCertificate(error) => certificate(error),
        Error::InvalidCertRevocationList(_) => Refusal::BadCertificate,
        Error::AlertReceived(_) => Refusal::PeerAlert,
        Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName)
        | Error::InvalidMessage(InvalidMessage::InvalidServerName) => Refusal::NoName,
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::InvalidEncryptedClientHello(_)
        | Error::InvalidMessage(_)
        | Error::UnsupportedNameType
        | Error::DecryptError
        | Error::EncryptError
        | Error::PeerIncompatible(_)
        | Error::PeerMisbehaved(_)
        | Error::General(_)
        | Error::FailedToGetCurrentTime
        | Error::FailedToGetRandomBytes
        | Error::HandshakeNotComplete
        | Error::PeerSentOversizedRecord
        | Error::NoApplicationProtocol
        | Error::BadMaxFragmentSize
        | Error::InconsistentKeys(_)
        | Error::Other(_)
        | _ => Refusal::Protocol,
    }
}

#[expect(deprecated, reason = "rustls keeps variants that it no longer returns")]
fn certificate(error: &CertificateError) -> Refusal {
    match error {
        CertificateError::UnknownIssuer => Refusal::UnknownCa,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Refusal::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Refusal::NotYetValid
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Refusal::WrongUsage
        }
        CertificateError::Revoked => Refusal::Revoked,
        CertificateError::UnknownRevocationStatus => Refusal::UnknownRevocation,
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => Refusal::CrlExpired,
        CertificateError::Other(other) => wrapped(other),
        CertificateError::BadEncoding
        | CertificateError::UnhandledCriticalExtension
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithm
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        | CertificateError::NotValidForName
        | CertificateError::NotValidForNameContext { .. }
        | CertificateError::InvalidOcspResponse
        | CertificateError::ApplicationVerificationFailure
        | _ => Refusal::BadCertificate,
    }
}

fn wrapped(other: &OtherError) -> Refusal {
    match other.0.downcast_ref::<webpki::Error>() {
        Some(error) if *error == webpki::Error::UnsupportedCertVersion => {
            Refusal::CertificateVersion
        }
        Some(error) if *error == webpki::Error::CaUsedAsEndEntity => Refusal::CaAsLeaf,
        Some(_) | None => Refusal::BadCertificate,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn of_the_errors_that_rustls_passes_on_only_those_with_a_known_remedy_have_a_name() {
        for (error, refusal) in [
            (webpki::Error::UnsupportedCertVersion, Refusal::CertificateVersion),
            (webpki::Error::CaUsedAsEndEntity, Refusal::CaAsLeaf),
            (webpki::Error::MaximumSignatureChecksExceeded, Refusal::BadCertificate),
        ] {
            let passed_on = CertificateError::Other(OtherError(Arc::new(error)));
            assert_eq!(refusal_of_error(&passed_on.into()).refusal, refusal);
        }
    }

    #[test]
    fn an_error_of_the_connection_itself_means_that_the_peer_is_gone() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(refusal_of_io_error(&reset).refusal, Refusal::PeerGone);
        let tls = io::Error::other(Error::NoCertificatesPresented);
        assert_eq!(refusal_of_io_error(&tls).refusal, Refusal::CertificateRequired);
    }
}
