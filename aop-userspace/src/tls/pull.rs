//! The proof that a peer may be relayed, in two steps that cannot be skipped.

use std::{net::SocketAddr, sync::Arc};

use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, pki_types::CertificateDer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{
    handshake::Handshake, identity::Identity, judgement, refusal::Refusal, refused::Refused,
    resumption::Desk, sites::Site, voucher::Voucher,
};
use crate::config::Host;

/// A peer's bytes, in clear. On the heap, so that whatever passes it on does not grow by its size.
pub type Session = Box<TlsStream<TcpStream>>;

/// The connection below a session.
pub fn socket(session: Session) -> TcpStream {
    session.into_inner().0
}

/// A finished handshake in which the peer's certificate was verified for a site. Made by
/// [`accept`](super::accept) alone; it does not give its stream away.
pub struct OriginPull {
    pub(super) stream: Session,
    pub(super) site: Arc<Site>,
    pub(super) host: Host,
    pub(super) peer: SocketAddr,
    pub(super) identity: Identity,
    pub(super) voucher: Option<Voucher>,
    /// Where its sessions are, if the site resumes any.
    pub(super) desk: Option<Arc<Desk>>,
}

/// An origin pull that may be relayed. Made by [`authorize`] alone.
pub struct Permit(Box<OriginPull>);

/// What a permit proves, once its stream carries requests or bytes: each is relayed under it. Made
/// from a [`Permit`] alone.
pub struct Warrant {
    site: Arc<Site>,
    host: Host,
    peer: SocketAddr,
    protocol: Protocol,
}

/// What was agreed on in ALPN. Without it, or where a site offers none, it is HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

/// Looks at a finished handshake once more, in our own code, and permits it to be relayed.
///
/// # Errors
/// The handshake came without a certificate, or was for another name than the site answers for, or
/// resumed an earlier one where none may be resumed. Each would be a fault in what stands before, and
/// is refused here. Where sessions are resumed, the certificate may be refused as in a handshake.
pub fn authorize(pull: OriginPull) -> Result<Permit, Refused> {
    let (_, session) = pull.stream.get_ref();
    let refuse = |refusal, why: &str| Err(Refused::new(refusal).at(&pull.site).because(why));
    let chain = session.peer_certificates().unwrap_or_default();
    if chain.is_empty() {
        return refuse(Refusal::CertificateRequired, "the session holds no certificate");
    }
    match session.handshake_kind() {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => {}
        Some(HandshakeKind::Resumed) if pull.desk.is_some() => {
            // rustls has judged nothing now.
            if let Err(error) = pull.site.judge(chain) {
                let refused = judgement::of(&error).at(&pull.site);
                return Err(refused.on(socket(pull.stream)));
            }
        }
        Some(HandshakeKind::Resumed) | None => {
            return refuse(Refusal::Protocol, "the handshake was not a full one");
        }
    }
    if session.server_name().and_then(|name| name.parse().ok()).as_ref() != Some(&pull.host)
        || !pull.site.answers(&pull.host)
    {
        return refuse(Refusal::UnknownName, "the session is for another name");
    }
    if let Some(desk) = &pull.desk
        && session.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    {
        desk.leave(pull.site.stands_until(chain));
    }
    Ok(Permit(Box::new(pull)))
}

impl Protocol {
    pub(super) fn of(stream: &TlsStream<TcpStream>) -> Self {
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Self::Http2,
            Some(_) | None => Self::Http1,
        }
    }
}

impl OriginPull {
    /// The site that it is for.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The name that the peer asked for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The peer's address, never IPv6-mapped.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Who the peer's certificate says it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The client CA that vouches for the peer, as far as names tell.
    #[must_use]
    pub fn voucher(&self) -> Option<&Voucher> {
        self.voucher.as_ref()
    }

    /// The TLS version.
    #[must_use]
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.stream.get_ref().1.protocol_version()
    }

    /// Whether it resumed an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The cipher suite.
    #[must_use]
    pub fn cipher(&self) -> Option<CipherSuite> {
        Some(self.stream.get_ref().1.negotiated_cipher_suite()?.suite())
    }
}

impl Permit {
    /// The origin pull that is permitted.
    #[must_use]
    pub fn pull(&self) -> &OriginPull {
        &self.0
    }

    /// The certificate that the peer authenticated with, in DER.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        let chain = self.0.stream.get_ref().1.peer_certificates()?;
        Some(chain.first()?.as_ref())
    }

    /// What is known of the handshake.
    #[must_use]
    pub fn handshake(&self) -> Handshake {
        let (_, session) = self.0.stream.get_ref();
        let chain = session.peer_certificates().unwrap_or_default();
        Handshake {
            host: self.0.host.clone(),
            alpn: session.alpn_protocol().map(Into::into),
            presented: !self.0.is_resumed(),
            version: self.0.version(),
            cipher: self.0.cipher(),
            certificate: chain.first().cloned().map(CertificateDer::into_owned),
        }
    }

    /// The peer's bytes, in clear, and the leave to relay them.
    #[must_use]
    pub fn into_parts(self) -> (Session, Warrant) {
        let OriginPull { stream, site, host, peer, identity: _, voucher: _, desk: _ } = *self.0;
        let protocol = Protocol::of(&stream);
        (stream, Warrant { site, host, peer, protocol })
    }
}

impl Warrant {
    /// The site that judged the peer.
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

    /// What the peer speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}
