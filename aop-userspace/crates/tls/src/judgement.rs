//! Which refusal an error of rustls is.
//!
//! Every variant of today's rustls is named; one of tomorrow's falls to the general refusals. Two
//! come wrapped: rustls has no name for a certificate of version 1 and for a CA as leaf, and hands
//! out webpki's error. Our own rules bring their refusal along.

use std::io;

use rustls::{CertificateError, Error, InvalidMessage, OtherError, PeerMisbehaved};

use super::{refusal::Refusal, refused::Refused, verifier::RuleBroken};

/// The refusal that `error`, from reading or writing handshake bytes, amounts to.
pub(super) fn judge(error: &io::Error) -> Refused {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => of(tls),
        None => Refused::new(Refusal::PeerGone).because(error.to_string()),
    }
}

/// The refusal that an error of TLS amounts to.
pub(super) fn of(error: &Error) -> Refused {
    if let Error::InvalidCertificate(CertificateError::Other(other)) = error
        && let Some(broken) = other.0.downcast_ref::<RuleBroken>()
    {
        return Refused::new(broken.refusal).because(broken.detail.clone());
    }
    Refused::new(refusal(error)).because(error.to_string())
}

fn refusal(error: &Error) -> Refusal {
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

#[expect(deprecated, reason = "rustls still has the variants that it no longer makes")]
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
