//! The proof that a peer may be relayed, made in two steps that cannot be skipped.

use std::{net::SocketAddr, sync::Arc};

use aop_config::Host;
use aop_types::Refusal;
use rustls::{
    CipherSuite, HandshakeKind, ProtocolVersion, ServerConnection, pki_types::CertificateDer,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{
    handshake_facts::{CertificateFrom, HandshakeFacts},
    identity::PeerIdentity,
    issuing_ca::IssuingCa,
    not_enforced::{UnauthenticatedPull, WouldRefuse},
    refusal_of_error::refusal_of_error,
    refused_connection::RefusedConnection,
    sessions::ConnectionSessions,
    sites::Site,
};

/// The decrypted stream of a peer. Boxed, so that types and futures which hold it stay small.
pub type PeerStream = Box<TlsStream<TcpStream>>;

/// The TCP connection below a session.
pub fn into_tcp(session: PeerStream) -> TcpStream {
    session.into_inner().0
}

/// A finished handshake, with or without a verified certificate.
pub(crate) struct FinishedHandshake {
    pub(crate) stream: PeerStream,
    pub(crate) site: Arc<Site>,
    pub(crate) host: Host,
    pub(crate) peer: SocketAddr,
}

/// A finished handshake in which the peer's certificate was verified for a site. Only
/// [`accept`](super::accept) makes one. It gives no access to its stream.
pub struct OriginPull {
    finished: FinishedHandshake,
    identity: PeerIdentity,
    issuing_ca: Option<IssuingCa>,
    /// The session store of the connection, if the site resumes sessions.
    sessions: Option<Arc<ConnectionSessions>>,
}

/// A peer that may be relayed. [`authorize`] makes one from an origin pull.
/// [`permit_unauthenticated`] makes one for an unauthenticated peer of a site that observes.
pub struct Permit {
    finished: Box<FinishedHandshake>,
    authentication: Authentication,
}

/// The reason for a permit.
pub enum Authentication {
    /// A certificate that was verified.
    Certificate {
        /// The identity in the certificate.
        identity: PeerIdentity,
        /// The client CA that issued it, found by names.
        issuing_ca: Option<IssuingCa>,
    },
    /// None: the site observes, and would have refused the peer.
    None(WouldRefuse),
}

/// The part of a permit that stays when the stream was taken out of it: every request and byte is
/// relayed under a warrant. Made only from a [`Permit`].
pub struct Warrant {
    site: Arc<Site>,
    host: Host,
    peer: SocketAddr,
    protocol: PeerProtocol,
    authenticated: bool,
}

/// The protocol agreed on in ALPN. Without ALPN it is HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerProtocol {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

/// Checks a finished handshake once more, in our own code, and permits it to be relayed.
///
/// # Errors
/// The handshake has no certificate, is for a name that the site does not serve, or resumed a
/// session where the site resumes none. Each would be a bug in an earlier check. Where the site
/// resumes sessions, the certificate is checked again and may be refused.
pub fn authorize(pull: OriginPull) -> Result<Permit, RefusedConnection> {
    let OriginPull { finished, identity, issuing_ca, sessions } = pull;
    if finished.chain().is_empty() {
        let why = "the session holds no certificate";
        return Err(finished.refuse(Refusal::CertificateRequired, why));
    }
    finished.check(sessions.is_some())?;
    // rustls does not verify the certificate of a resumed session.
    if finished.is_resumed()
        && let Err(error) = finished.site.verify(finished.chain())
    {
        let refused = refusal_of_error(&error).with_site(&finished.site);
        return Err(refused.with_stream(into_tcp(finished.stream)));
    }
    if let Some(sessions) = &sessions
        && finished.session().protocol_version() == Some(ProtocolVersion::TLSv1_3)
    {
        sessions.commit(finished.site.session_expiry(finished.chain()));
    }
    let authentication = Authentication::Certificate { identity, issuing_ca };
    Ok(Permit { finished: Box::new(finished), authentication })
}

/// Permits an unauthenticated peer of a site that observes to be relayed. The permit proves
/// nothing.
///
/// # Errors
/// The handshake is for a name that the site does not serve, or resumed a session. Each would be a
/// bug in an earlier check.
pub fn permit_unauthenticated(pull: UnauthenticatedPull) -> Result<Permit, RefusedConnection> {
    let (finished, would_refuse) = pull.into_parts();
    finished.check(false)?;
    let authentication = Authentication::None(would_refuse);
    Ok(Permit { finished: Box::new(finished), authentication })
}

impl FinishedHandshake {
    fn session(&self) -> &ServerConnection {
        self.stream.get_ref().1
    }

    /// The certificates that the peer presented, leaf first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        self.session().peer_certificates().unwrap_or_default()
    }

    fn is_resumed(&self) -> bool {
        self.session().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    fn refuse(&self, refusal: Refusal, why: &str) -> RefusedConnection {
        RefusedConnection::new(refusal).with_site(&self.site).with_detail(why)
    }

    /// Refuses a handshake that was not a full one, unless it resumed a session where that is
    /// allowed, and one for a name that the site does not serve.
    fn check(&self, may_resume: bool) -> Result<(), RefusedConnection> {
        match self.session().handshake_kind() {
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => {}
            Some(HandshakeKind::Resumed) if may_resume => {}
            Some(HandshakeKind::Resumed) | None => {
                let why = "the handshake was not a full handshake";
                return Err(self.refuse(Refusal::Protocol, why));
            }
        }
        let name = self.session().server_name().and_then(|name| name.parse().ok());
        if name.as_ref() == Some(&self.host) && self.site.serves(&self.host) {
            return Ok(());
        }
        Err(self.refuse(Refusal::UnknownName, "the session is for another name"))
    }
}

/// Whether `site` accepts the certificate of `session`, which `earlier` has accepted.
fn accepts_certificate(site: &Site, earlier: &Site, session: &ServerConnection) -> bool {
    let chain = || session.peer_certificates().unwrap_or_default();
    site.accepts_all_of(earlier) || site.verify(chain()).is_ok()
}

/// Facts about the handshake of `session`.
fn facts(session: &ServerConnection, host: &Host, authenticated: bool) -> HandshakeFacts {
    let leaf = session.peer_certificates().and_then(<[_]>::first).filter(|_| authenticated);
    HandshakeFacts {
        host: host.clone(),
        alpn: session.alpn_protocol().map(Into::into),
        certificate_from: match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => CertificateFrom::EarlierHandshake,
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => {
                CertificateFrom::ThisHandshake
            }
        },
        version: session.protocol_version(),
        cipher: session.negotiated_cipher_suite().map(|suite| suite.suite()),
        certificate: leaf.cloned(),
    }
}

impl PeerProtocol {
    pub(crate) fn of(stream: &TlsStream<TcpStream>) -> Self {
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Self::Http2,
            Some(_) | None => Self::Http1,
        }
    }
}

impl OriginPull {
    /// For a handshake in which the certificate of `identity` was verified.
    pub(crate) fn new(
        finished: FinishedHandshake,
        identity: PeerIdentity,
        sessions: Option<Arc<ConnectionSessions>>,
    ) -> Self {
        let issuing_ca = finished.site.issuing_ca(finished.chain());
        Self { finished, identity, issuing_ca, sessions }
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

    /// The identity in the peer's certificate.
    #[must_use]
    pub fn identity(&self) -> &PeerIdentity {
        &self.identity
    }

    /// The TLS version.
    #[must_use]
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.finished.session().protocol_version()
    }

    /// Whether it resumed an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.finished.is_resumed()
    }

    /// The cipher suite.
    #[must_use]
    pub fn cipher(&self) -> Option<CipherSuite> {
        Some(self.finished.session().negotiated_cipher_suite()?.suite())
    }
}

impl Permit {
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

    /// The reason for the permit.
    #[must_use]
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// Whether `site` accepts the certificate of an authenticated peer.
    #[must_use]
    pub fn certificate_is_accepted_by(&self, site: &Site) -> bool {
        accepts_certificate(site, &self.finished.site, self.finished.session())
    }

    /// The certificate that the peer authenticated with, in DER; `None` for an unauthenticated
    /// peer.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        match &self.authentication {
            Authentication::Certificate { .. } => Some(self.finished.chain().first()?.as_ref()),
            Authentication::None(_) => None,
        }
    }

    /// Facts about the handshake. For an unauthenticated peer they include no certificate.
    #[must_use]
    pub fn handshake(&self) -> HandshakeFacts {
        let authenticated = matches!(self.authentication, Authentication::Certificate { .. });
        facts(self.finished.session(), &self.finished.host, authenticated)
    }

    /// The decrypted stream, and the warrant under which it is relayed.
    #[must_use]
    pub fn into_parts(self) -> (PeerStream, Warrant) {
        let FinishedHandshake { stream, site, host, peer } = *self.finished;
        let authenticated = matches!(self.authentication, Authentication::Certificate { .. });
        let protocol = PeerProtocol::of(&stream);
        (stream, Warrant { site, host, peer, protocol, authenticated })
    }
}

impl Warrant {
    /// Whether a certificate was verified. If not, the site observed when the peer connected.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// The site of the handshake.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Facts about the handshake of this connection, whose stream is `stream`. For an
    /// unauthenticated peer they include no certificate.
    #[must_use]
    pub fn handshake(&self, stream: &PeerStream) -> HandshakeFacts {
        facts(stream.get_ref().1, &self.host, self.authenticated)
    }

    /// Whether `site` accepts the peer of this connection, whose stream is `stream`: by the
    /// certificate that it presented, or because the site observes.
    #[must_use]
    pub fn is_accepted_by(&self, site: &Site, stream: &PeerStream) -> bool {
        match self.authenticated {
            true => accepts_certificate(site, &self.site, stream.get_ref().1),
            false => site.observes(),
        }
    }

    /// The server name that the peer asked for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The peer's address, never IPv6-mapped.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The protocol that the peer speaks.
    #[must_use]
    pub fn protocol(&self) -> PeerProtocol {
        self.protocol
    }
}
