//! The client side of a handshake, with which aop tests its own host. The client accepts every
//! server certificate, and presents any client certificate that it is given. It opens no socket.

mod connection;

use std::{net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, NamedGroup, SignatureScheme,
    client::{
        ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

pub use self::connection::{ProbeConnection, Received};
use super::{presented_certificate::PresentedCertificate, signature_cache};

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsVersion {
    /// Every version that aop serves.
    pub const BOTH: [Self; 2] = [Self::V12, Self::V13];

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V12 => "TLS 1.2",
            Self::V13 => "TLS 1.3",
        }
    }
}

/// The settings of a client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProbeClient(Arc<ClientConfig>);

impl ProbeClient {
    /// A client that presents `presented`, in one TLS version or in any. With `sessions` it offers
    /// the last session that it received, whichever server issued it.
    ///
    /// # Errors
    /// rustls refuses the configuration.
    pub fn new(
        presented: Option<&PresentedCertificate>,
        version: Option<TlsVersion>,
        sessions: Option<Arc<LastSession>>,
    ) -> Result<Self, Error> {
        let versions: &[_] = match version {
            Some(TlsVersion::V12) => &[&TLS12],
            Some(TlsVersion::V13) => &[&TLS13],
            None => &[&TLS13, &TLS12],
        };
        let provider = Arc::new(signature_cache::provider());
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let presented = presented.map(|presented| presented.certified_key().clone());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAnyServer(schemes)))
            .with_client_cert_resolver(Arc::new(FixedClientCert(presented)));
        config.resumption = match sessions {
            Some(sessions) => Resumption::store(sessions),
            None => Resumption::disabled(),
        };
        Ok(Self(Arc::new(config)))
    }

    /// Begins a handshake with the server at `address`, which is asked for `name`; `None` sends no
    /// server name.
    ///
    /// # Errors
    /// The reason: `name` is not a valid server name, or rustls refuses it.
    pub fn begin(&self, name: Option<&str>, address: IpAddr) -> Result<ProbeConnection, String> {
        let name = match name {
            Some(name) => ServerName::try_from(name.to_owned()),
            // rustls sends no server name for an address.
            None => Ok(ServerName::from(address)),
        };
        let name = name.map_err(|_| "no valid server name")?;
        let connection = ClientConnection::new(self.0.clone(), name);
        connection.map(ProbeConnection::new).map_err(|error| error.to_string())
    }
}

/// Presents the same certificate to every server.
#[derive(Debug)]
pub(crate) struct FixedClientCert(pub(crate) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for FixedClientCert {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Accepts every server certificate: the server is this host itself.
#[derive(Debug)]
struct AcceptAnyServer(Vec<SignatureScheme>);

impl ServerCertVerifier for AcceptAnyServer {
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
pub struct LastSession(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    v12: Option<Tls12ClientSessionValue>,
    v13: Option<Tls13ClientSessionValue>,
}

impl LastSession {
    /// Whether there is a session to resume.
    #[must_use]
    pub fn is_some(&self) -> bool {
        let held = self.0.lock();
        held.v12.is_some() || held.v13.is_some()
    }
}

impl ClientSessionStore for LastSession {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.lock().v12 = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.lock().v12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.lock().v12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.lock().v13 = Some(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().v13.take()
    }
}
