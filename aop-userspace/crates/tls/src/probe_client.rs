//! The client side of a handshake, with which aop tests its own host. The client accepts every
//! server certificate, and presents any client certificate that it is given.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, NamedGroup, SignatureScheme,
    client::{
        ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{
    error::{FileError, FileErrorKind},
    pem, signature_cache,
    site_files::Files,
};

/// The only TLS version that a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsVersion {
    pub const BOTH: [Self; 2] = [Self::V12, Self::V13];

    pub const fn name(self) -> &'static str {
        match self {
            Self::V12 => "TLS 1.2",
            Self::V13 => "TLS 1.3",
        }
    }
}

/// A client certificate with its chain and key.
#[derive(Clone, Debug)]
pub struct PresentedCertificate(Arc<CertifiedKey>);

impl PresentedCertificate {
    /// Takes any certificate, also one that a TLS library would refuse to present.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Error> {
        let key = signature_cache::provider().key_provider.load_private_key(key)?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }

    /// Reads the certificate chain and the key from PEM files.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, FileError> {
        let files = Files::on_disk();
        let chain = pem::certificates(certificate, &files)?;
        Self::new(chain, pem::key(key, &files)?).map_err(|error| {
            FileErrorKind::Malformed(format!("its key cannot be used ({error})")).of(key)
        })
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// Whether the key is known not to belong to the certificate.
    pub fn is_mismatched(&self) -> bool {
        let Some(key) = self.0.key.public_key() else { return false };
        let leaf = self.chain().first().map(|leaf| x509_parser::parse_x509_certificate(leaf));
        matches!(leaf, Some(Ok((_, leaf))) if leaf.public_key().raw != key.as_ref())
    }
}

/// A client that presents `presented`, in one TLS version or in any. With `sessions` it offers the
/// last session that it received, whichever server issued it.
///
/// # Errors
/// rustls refuses the configuration.
pub fn client(
    presented: Option<&PresentedCertificate>,
    version: Option<TlsVersion>,
    sessions: Option<Arc<LastSession>>,
) -> Result<Arc<ClientConfig>, Error> {
    let versions: &[_] = match version {
        Some(TlsVersion::V12) => &[&TLS12],
        Some(TlsVersion::V13) => &[&TLS13],
        None => &[&TLS13, &TLS12],
    };
    let provider = Arc::new(signature_cache::provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believer(schemes)))
        .with_client_cert_resolver(Arc::new(Always(presented.map(|held| held.0.clone()))));
    config.resumption = match sessions {
        Some(sessions) => Resumption::store(sessions),
        None => Resumption::disabled(),
    };
    Ok(Arc::new(config))
}

/// Presents the same certificate to every server.
#[derive(Debug)]
struct Always(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Accepts every server certificate: the server is this host itself.
#[derive(Debug)]
struct Believer(Vec<SignatureScheme>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

/// The last session that was received, offered to every server whatever its name.
#[derive(Debug, Default)]
pub struct LastSession {
    v12: Mutex<Option<Tls12ClientSessionValue>>,
    v13: Mutex<Option<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for LastSession {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *self.v12.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.v12.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        *self.v12.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        *self.v13.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.v13.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl LastSession {
    /// Whether there is a session to resume.
    pub fn is_held(&self) -> bool {
        let v12 = self.v12.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        v12 || self.v13.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}
