//! A client certificate with its key, which aop presents to its own host.

use std::{path::Path, sync::Arc};

use rustls::{
    Error,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

use super::{
    error::{FileError, FileErrorKind},
    pem, signature_cache,
    site_files::SiteFiles,
};

/// A client certificate with its chain and key.
#[derive(Clone, Debug)]
pub struct PresentedCertificate(Arc<CertifiedKey>);

impl PresentedCertificate {
    /// Takes any certificate in DER, also one that a TLS library would refuse to present, and its
    /// key in PKCS #8.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn from_der(certificate: Vec<u8>, pkcs8: Vec<u8>) -> Result<Self, Error> {
        Self::new(vec![certificate.into()], PrivatePkcs8KeyDer::from(pkcs8).into())
    }

    /// Reads the certificate chain and the key from PEM files.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, FileError> {
        Self::from_files(certificate, key, &SiteFiles::on_disk())
    }

    /// The same, from `files`.
    pub(crate) fn from_files(
        certificate: &Path,
        key: &Path,
        files: &SiteFiles,
    ) -> Result<Self, FileError> {
        let chain = pem::certificates(certificate, files)?;
        Self::new(chain, pem::key(key, files)?).map_err(|error| {
            FileErrorKind::Malformed(format!("its key cannot be used ({error})")).of(key)
        })
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Error> {
        let key = signature_cache::provider().key_provider.load_private_key(key)?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }

    /// The chain, leaf first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// The chain with its key.
    pub(crate) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.0
    }

    /// Whether the key is known not to belong to the certificate.
    #[must_use]
    pub fn is_mismatched(&self) -> bool {
        let Some(key) = self.0.key.public_key() else { return false };
        let leaf = self.chain().first().map(|leaf| x509_parser::parse_x509_certificate(leaf));
        matches!(leaf, Some(Ok((_, leaf))) if leaf.public_key().raw != key.as_ref())
    }
}
