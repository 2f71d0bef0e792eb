//! The verifier of a site that explains its refusals or observes. It accepts every certificate, so
//! that the handshake finishes: the peer then reads the refusal in HTTP, or is relayed.
//!
//! It proves nothing. After the handshake the site's own verifier checks the certificate
//! ([`Site::verify`](super::Site::verify)), and only that check makes an
//! [`OriginPull`](super::OriginPull).

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::{not_enforced::KeyProofFailure, verifier::SiteVerifier};

/// Accepts every certificate. Its CertificateRequest is the one of the site's own verifier.
#[derive(Debug)]
pub(crate) struct DeferringVerifier {
    pub(crate) verifier: Arc<SiteVerifier>,
    /// Records that a peer did not prove that it holds the key of its certificate; the check after
    /// the handshake reads this record. Without a record, such a handshake fails.
    pub(crate) key_proof: Option<Arc<KeyProofFailure>>,
}

impl DeferringVerifier {
    fn record_failure(
        &self,
        signed: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match (signed, &self.key_proof) {
            (Err(error), Some(key_proof)) => {
                key_proof.record(error);
                Ok(HandshakeSignatureValid::assertion())
            }
            (signed, _) => signed,
        }
    }
}

impl ClientCertVerifier for DeferringVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    // A peer that presents a certificate must prove that it holds the key. Where the site explains,
    // the handshake fails otherwise: a certificate of version 1, whose key rustls does not read,
    // never gets an explanation.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.record_failure(self.verifier.verify_tls12_signature(message, certificate, signature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.record_failure(self.verifier.verify_tls13_signature(message, certificate, signature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
