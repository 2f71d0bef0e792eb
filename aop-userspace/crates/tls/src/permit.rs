//! The proof that a peer may be relayed, made in two steps that cannot be skipped.

use std::{net::SocketAddr, sync::Arc};

use aop_config::Host;
use rustls::{
    CipherSuite, HandshakeKind, ProtocolVersion, ServerConnection, pki_types::CertificateDer,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{
    handshake_facts::HandshakeFacts,
    identity::PeerIdentity,
    issuing_ca::IssuingCa,
    not_enforced::{UnauthenticatedPull, WouldRefuse},
    refusal::Refusal,
    refusal_of_error,
    refused_connection::RefusedConnection,
    sessions::Desk,
    sites::Site,
};

/// The decrypted stream of a peer. Boxed, so that types and futures which hold it stay small.
pub type PeerStream = Box<TlsStream<TcpStream>>;

/// The TCP connection below a session.
pub fn socket(session: PeerStream) -> TcpStream {
    session.into_inner().0
}

/// A finished handshake, with or without a verified certificate.
pub(super) struct Finished {
    pub(super) stream: PeerStream,
    pub(super) site: Arc<Site>,
    pub(super) host: Host,
    pub(super) peer: SocketAddr,
}

/// A finished handshake in which the peer's certificate was verified for a site. Only
/// [`accept`](super::accept) makes one. It gives no access to its stream.
pub struct OriginPull {
    finished: Finished,
    identity: PeerIdentity,
    voucher: Option<IssuingCa>,
    /// The session store of the connection, if the site resumes sessions.
    desk: Option<Arc<Desk>>,
}

/// A peer that may be relayed. [`authorize`] makes one from an origin pull. [`permit_unauthenticated`] makes one
/// for an unauthenticated peer of a site that observes.
pub struct Permit {
    finished: Box<Finished>,
    proof: Authentication,
}

/// The reason for a permit.
pub enum Authentication {
    /// A certificate that was verified.
    Certificate {
        /// The identity in the certificate.
        identity: PeerIdentity,
        /// The client CA that issued it, found by names.
        voucher: Option<IssuingCa>,
    },
    /// Nothing: the site observes, and would have refused the peer.
    Nothing(WouldRefuse),
}

/// The part of a permit that stays when the stream was taken out of it: every request and byte is
/// relayed under a warrant. Made only from a [`Permit`].
pub struct Warrant {
    site: Arc<Site>,
    host: Host,
    peer: SocketAddr,
    protocol: PeerProtocol,
    proven: bool,
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
    let OriginPull { finished, identity, voucher, desk } = pull;
    let chain = finished.chain();
    if chain.is_empty() {
        return Err(
            finished.refuse(Refusal::CertificateRequired, "the session holds no certificate")
        );
    }
    match finished.session().handshake_kind() {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => {}
        Some(HandshakeKind::Resumed) if desk.is_some() => {
            // rustls does not verify the certificate of a resumed session.
            if let Err(error) = finished.site.judge(chain) {
                let refused = refusal_of_error::of(&error).at(&finished.site);
                return Err(refused.on(socket(finished.stream)));
            }
        }
        Some(HandshakeKind::Resumed) | None => {
            return Err(finished.refuse(Refusal::Protocol, NOT_FULL));
        }
    }
    finished.answers_for_its_name()?;
    if let Some(desk) = &desk
        && finished.session().protocol_version() == Some(ProtocolVersion::TLSv1_3)
    {
        desk.leave(finished.site.stands_until(chain));
    }
    let proof = Authentication::Certificate { identity, voucher };
    Ok(Permit { finished: Box::new(finished), proof })
}

/// Permits an unauthenticated peer of a site that observes to be relayed. The permit proves
/// nothing.
///
/// # Errors
/// The handshake is for a name that the site does not serve, or resumed a session. Each would be a
/// bug in an earlier check.
pub fn permit_unauthenticated(observed: UnauthenticatedPull) -> Result<Permit, RefusedConnection> {
    let (finished, would) = observed.into_parts();
    match finished.session().handshake_kind() {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => {}
        Some(HandshakeKind::Resumed) | None => {
            return Err(finished.refuse(Refusal::Protocol, NOT_FULL));
        }
    }
    finished.answers_for_its_name()?;
    Ok(Permit { finished: Box::new(finished), proof: Authentication::Nothing(would) })
}

const NOT_FULL: &str = "the handshake was not a full handshake";

impl Finished {
    fn session(&self) -> &ServerConnection {
        self.stream.get_ref().1
    }

    /// The certificates that the peer presented, leaf first.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        self.session().peer_certificates().unwrap_or_default()
    }

    fn refuse(&self, refusal: Refusal, why: &str) -> RefusedConnection {
        RefusedConnection::new(refusal).at(&self.site).because(why)
    }

    fn answers_for_its_name(&self) -> Result<(), RefusedConnection> {
        let name = self.session().server_name().and_then(|name| name.parse().ok());
        match name.as_ref() == Some(&self.host) && self.site.answers(&self.host) {
            true => Ok(()),
            false => Err(self.refuse(Refusal::UnknownName, "the session is for another name")),
        }
    }
}

impl PeerProtocol {
    pub(super) fn of(stream: &TlsStream<TcpStream>) -> Self {
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Self::Http2,
            Some(_) | None => Self::Http1,
        }
    }
}

impl OriginPull {
    /// For a handshake in which the certificate of `identity` was verified.
    pub(super) fn new(finished: Finished, identity: PeerIdentity, desk: Option<Arc<Desk>>) -> Self {
        let voucher = finished.site.voucher(finished.chain());
        Self { finished, identity, voucher, desk }
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
        self.finished.session().handshake_kind() == Some(HandshakeKind::Resumed)
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
    pub fn proof(&self) -> &Authentication {
        &self.proof
    }

    /// The certificate that the peer authenticated with, in DER; `None` for an unauthenticated
    /// peer.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        match &self.proof {
            Authentication::Certificate { .. } => Some(self.finished.chain().first()?.as_ref()),
            Authentication::Nothing(_) => None,
        }
    }

    /// Facts about the handshake. For an unauthenticated peer they include no certificate.
    #[must_use]
    pub fn handshake(&self) -> HandshakeFacts {
        let session = self.finished.session();
        let certificate = self.certificate().map(|der| CertificateDer::from(der.to_vec()));
        HandshakeFacts {
            host: self.finished.host.clone(),
            alpn: session.alpn_protocol().map(Into::into),
            presented: session.handshake_kind() != Some(HandshakeKind::Resumed),
            version: session.protocol_version(),
            cipher: session.negotiated_cipher_suite().map(|suite| suite.suite()),
            certificate,
        }
    }

    /// The decrypted stream, and the warrant under which it is relayed.
    #[must_use]
    pub fn into_parts(self) -> (PeerStream, Warrant) {
        let Finished { stream, site, host, peer } = *self.finished;
        let proven = matches!(self.proof, Authentication::Certificate { .. });
        let protocol = PeerProtocol::of(&stream);
        (stream, Warrant { site, host, peer, protocol, proven })
    }
}

impl Warrant {
    /// Whether a certificate was verified. If not, the site observed when the peer connected.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// The site of the handshake.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
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
