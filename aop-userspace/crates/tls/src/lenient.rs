//! The verifier of a site that explains its refusals, or observes: every handshake is finished, so that
//! the peer can be told in its own protocol why it is refused, or is relayed all the same.
//!
//! It proves nothing. Who was let through is judged by the site's own verifier after the handshake
//! ([`Site::judge`](super::Site::judge)), and only that makes an [`OriginPull`](super::OriginPull).

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::{observed::Unsigned, verifier::SiteVerifier};

/// Lets everybody through, asking for the certificates that the site's own verifier asks for.
#[derive(Debug)]
pub(super) struct Lenient {
    pub(super) verifier: Arc<SiteVerifier>,
    /// Where it is noted that a peer did not prove to have the key of what it presented: the judgement
    /// afterwards looks there too. Without it, such a handshake fails as ever.
    pub(super) unsigned: Option<Arc<Unsigned>>,
}

impl Lenient {
    fn heard(
        &self,
        signed: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match (signed, &self.unsigned) {
            (Err(error), Some(unsigned)) => {
                unsigned.note(error);
                Ok(HandshakeSignatureValid::assertion())
            }
            (signed, _) => signed,
        }
    }
}

impl ClientCertVerifier for Lenient {
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

    // Whoever presents a certificate proves that he has its key, or his handshake fails as ever where
    // the site explains: a certificate of version 1, whose key rustls does not read, is never explained.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.heard(self.verifier.verify_tls12_signature(message, certificate, signature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.heard(self.verifier.verify_tls13_signature(message, certificate, signature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
