//! A refused connection: the reason, the known facts, and how it is closed.

use std::{mem, sync::Arc};

use aop_types::Refusal;
use tokio::net::TcpStream;

use super::{
    lingering_close::lingering_close,
    permit::{PeerProtocol, PeerStream},
    sites::Site,
};

/// A connection that was refused.
pub struct RefusedConnection {
    /// The reason.
    pub refusal: Refusal,
    /// The site that the peer asked for, if known.
    pub site: Option<Arc<Site>>,
    /// The details, safe to log.
    pub detail: String,
    stream: RefusedStream,
}

/// The stream of a refused connection.
enum RefusedStream {
    /// It is closed already, or was taken.
    Gone,
    /// To be closed.
    Tcp(TcpStream),
    /// The reason can be sent to the peer.
    Tls(PeerStream),
}

impl RefusedConnection {
    /// A refusal without details.
    #[must_use]
    pub fn new(refusal: Refusal) -> Self {
        Self { refusal, site: None, detail: String::new(), stream: RefusedStream::Gone }
    }

    /// Adds the site of the connection.
    #[must_use]
    pub fn with_site(self, site: &Arc<Site>) -> Self {
        Self { site: Some(site.clone()), ..self }
    }

    /// Adds details.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// Adds the connection, to be closed.
    #[must_use]
    pub fn with_stream(self, stream: TcpStream) -> Self {
        Self { stream: RefusedStream::Tcp(stream), ..self }
    }

    /// Adds a session in which the reason can be sent to the peer. Its handshake was finished
    /// without authenticating the peer, so no permit can be made of it.
    pub(crate) fn with_session(self, session: PeerStream) -> Self {
        Self { stream: RefusedStream::Tls(session), ..self }
    }

    /// The session in which the reason can be sent to the peer, and its protocol.
    pub fn take_session(&mut self) -> Option<(PeerStream, PeerProtocol)> {
        match mem::replace(&mut self.stream, RefusedStream::Gone) {
            RefusedStream::Tls(session) => {
                let protocol = PeerProtocol::of(&session);
                Some((session, protocol))
            }
            other @ (RefusedStream::Gone | RefusedStream::Tcp(_)) => {
                self.stream = other;
                None
            }
        }
    }

    /// Closes the connection so that the peer can read the reason.
    pub async fn close(self) {
        if let RefusedStream::Tcp(stream) = self.stream {
            lingering_close(stream).await;
        }
    }
}
