//! The proof that a peer may be relayed, in two steps that cannot be skipped.

use std::{net::SocketAddr, sync::Arc};

use aop_config::Host;
use rustls::{
    CipherSuite, HandshakeKind, ProtocolVersion, ServerConnection, pki_types::CertificateDer,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{
    handshake::Handshake,
    identity::Identity,
    judgement,
    observed::{Observed, WouldRefuse},
    refusal::Refusal,
    refused::Refused,
    resumption::Desk,
    sites::Site,
    voucher::Voucher,
};

/// A peer's bytes, in clear. On the heap, so that whatever passes it on does not grow by its size.
pub type Session = Box<TlsStream<TcpStream>>;

/// The connection below a session.
pub fn socket(session: Session) -> TcpStream {
    session.into_inner().0
}

/// A finished handshake, whatever it proves.
pub(super) struct Finished {
    pub(super) stream: Session,
    pub(super) site: Arc<Site>,
    pub(super) host: Host,
    pub(super) peer: SocketAddr,
}

/// A finished handshake in which the peer's certificate was verified for a site. Made by
/// [`accept`](super::accept) alone; it does not give its stream away.
pub struct OriginPull {
    finished: Finished,
    identity: Identity,
    voucher: Option<Voucher>,
    /// Where its sessions are, if the site resumes any.
    desk: Option<Arc<Desk>>,
}

/// A peer that may be relayed. Made by [`authorize`], of an origin pull; and by [`let_in`], of who
/// would be refused at a site that observes.
pub struct Permit {
    finished: Box<Finished>,
    proof: Proof,
}

/// What stands behind a permit.
pub enum Proof {
    /// A certificate that was verified.
    Certificate {
        /// Who it says the peer is.
        identity: Identity,
        /// The client CA that vouches for it, as far as names tell.
        voucher: Option<Voucher>,
    },
    /// Nothing: the site observes, and would have refused the peer.
    Nothing(WouldRefuse),
}

/// What a permit proves, once its stream carries requests or bytes: each is relayed under it. Made
/// from a [`Permit`] alone.
pub struct Warrant {
    site: Arc<Site>,
    host: Host,
    peer: SocketAddr,
    protocol: Protocol,
    proven: bool,
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
            // rustls has judged nothing now.
            if let Err(error) = finished.site.judge(chain) {
                let refused = judgement::of(&error).at(&finished.site);
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
    let proof = Proof::Certificate { identity, voucher };
    Ok(Permit { finished: Box::new(finished), proof })
}

/// Permits who would be refused to be relayed, where the site observes; the permit proves nothing.
///
/// # Errors
/// The handshake was for another name than the site answers for, or resumed an earlier one. Each would
/// be a fault in what stands before.
pub fn let_in(observed: Observed) -> Result<Permit, Refused> {
    let (finished, would) = observed.into_parts();
    match finished.session().handshake_kind() {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => {}
        Some(HandshakeKind::Resumed) | None => {
            return Err(finished.refuse(Refusal::Protocol, NOT_FULL));
        }
    }
    finished.answers_for_its_name()?;
    Ok(Permit { finished: Box::new(finished), proof: Proof::Nothing(would) })
}

const NOT_FULL: &str = "the handshake was not a full one";

impl Finished {
    fn session(&self) -> &ServerConnection {
        self.stream.get_ref().1
    }

    /// What the peer presented.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        self.session().peer_certificates().unwrap_or_default()
    }

    fn refuse(&self, refusal: Refusal, why: &str) -> Refused {
        Refused::new(refusal).at(&self.site).because(why)
    }

    fn answers_for_its_name(&self) -> Result<(), Refused> {
        let name = self.session().server_name().and_then(|name| name.parse().ok());
        match name.as_ref() == Some(&self.host) && self.site.answers(&self.host) {
            true => Ok(()),
            false => Err(self.refuse(Refusal::UnknownName, "the session is for another name")),
        }
    }
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
    /// Of a handshake in which the certificate of `identity` was verified.
    pub(super) fn new(finished: Finished, identity: Identity, desk: Option<Arc<Desk>>) -> Self {
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

    /// Who the peer's certificate says it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
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

    /// What stands behind it.
    #[must_use]
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The certificate that the peer authenticated with, in DER; `None` where nothing is proven.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        match &self.proof {
            Proof::Certificate { .. } => Some(self.finished.chain().first()?.as_ref()),
            Proof::Nothing(_) => None,
        }
    }

    /// What is known of the handshake. Where nothing is proven, it has no certificate.
    #[must_use]
    pub fn handshake(&self) -> Handshake {
        let session = self.finished.session();
        let certificate = self.certificate().map(|der| CertificateDer::from(der.to_vec()));
        Handshake {
            host: self.finished.host.clone(),
            alpn: session.alpn_protocol().map(Into::into),
            presented: session.handshake_kind() != Some(HandshakeKind::Resumed),
            version: session.protocol_version(),
            cipher: session.negotiated_cipher_suite().map(|suite| suite.suite()),
            certificate,
        }
    }

    /// The peer's bytes, in clear, and the leave to relay them.
    #[must_use]
    pub fn into_parts(self) -> (Session, Warrant) {
        let Finished { stream, site, host, peer } = *self.finished;
        let proven = matches!(self.proof, Proof::Certificate { .. });
        let protocol = Protocol::of(&stream);
        (stream, Warrant { site, host, peer, protocol, proven })
    }
}

impl Warrant {
    /// Whether a certificate was verified; else the site observed when the peer came.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }

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
