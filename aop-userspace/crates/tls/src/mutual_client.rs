//! The client side of mutual TLS with a server of the operator: aop verifies the server by the
//! operator's CA, and presents a certificate. It opens no socket.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, client::WebPkiServerVerifier, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{
    FileError, FileExpiry, error::FileErrorKind, expiry::ExpiryKind, identity, pem,
    presented_certificate::PresentedCertificate, probe_client::FixedClientCert, signature_cache,
    site_files::SiteFiles, validity::Validity,
};

/// The settings of a client. Cheap to clone.
#[derive(Clone)]
pub struct MutualClient(TlsConnector);

impl MutualClient {
    /// A client that trusts the CAs of the file `ca`, presents `certificate` with its `key`, and
    /// speaks the protocol `alpn` (RFC 7301).
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn new(
        ca: &Path,
        certificate: &Path,
        key: &Path,
        files: &SiteFiles,
        alpn: &[u8],
    ) -> Result<Self, FileError> {
        let mut roots = RootCertStore::empty();
        for root in pem::client_cas(ca, files)? {
            roots.add(root).map_err(|error| pem::not_x509(&error, ca))?;
        }
        let presented = PresentedCertificate::from_files(certificate, key, files)?;
        if presented.is_mismatched() {
            return Err(FileErrorKind::ForeignKey { certificate: certificate.into() }.of(key));
        }
        let provider = Arc::new(signature_cache::provider());
        let unusable = |error: &dyn std::fmt::Display| {
            FileErrorKind::Malformed(format!("TLS cannot be set up with it ({error})")).of(ca)
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone())
            .build()
            .map_err(|error| unusable(&error))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_webpki_verifier(verifier)
            .with_client_cert_resolver(Arc::new(FixedClientCert(Some(
                presented.certified_key().clone(),
            ))));
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// The certificates of these files, with their ends.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn expiries(
        ca: &Path,
        certificate: &Path,
        files: &SiteFiles,
    ) -> Result<Vec<FileExpiry>, FileError> {
        let mut expiries = Vec::new();
        for (file, chain, kind) in [
            (certificate, pem::certificates(certificate, files)?, ExpiryKind::FleetCertificate),
            (ca, pem::client_cas(ca, files)?, ExpiryKind::FleetCa),
        ] {
            for der in &chain {
                let parsed = pem::parse(der, file)?;
                expiries.push(FileExpiry {
                    site: String::new(),
                    subject: identity::distinguished_name(parsed.subject()),
                    file: file.display().to_string(),
                    validity: Validity::from(&parsed),
                    kind,
                    list: None,
                });
            }
        }
        Ok(expiries)
    }

    /// Makes a handshake over `stream` with the server of this name or address.
    ///
    /// # Errors
    /// The reason: `host` is no name, or the handshake fails.
    pub async fn connect<S: AsyncRead + AsyncWrite + Send + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<S>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        self.0.connect(name, stream).await.map_err(|error| error.to_string())
    }
}
