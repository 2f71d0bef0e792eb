//! A refused connection: the reason, the known facts, and how it is closed.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::{
    lingering_close,
    permit::{PeerProtocol, PeerStream},
    refusal::Refusal,
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
    stream: Option<TcpStream>,
    session: Option<PeerStream>,
}

impl RefusedConnection {
    /// A refusal without details.
    #[must_use]
    pub fn new(refusal: Refusal) -> Self {
        Self { refusal, site: None, detail: String::new(), stream: None, session: None }
    }

    /// Adds the site of the connection.
    #[must_use]
    pub fn at(self, site: &Arc<Site>) -> Self {
        Self { site: Some(site.clone()), ..self }
    }

    /// Adds details.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// Adds the connection, to be closed.
    #[must_use]
    pub fn on(self, stream: TcpStream) -> Self {
        Self { stream: Some(stream), ..self }
    }

    /// Adds a session in which the reason can be sent to the peer. Its handshake was finished
    /// without authenticating the peer, so no permit can be made of it.
    pub(super) fn over(self, session: PeerStream) -> Self {
        Self { session: Some(session), ..self }
    }

    /// The session in which the reason can be sent to the peer, and its protocol.
    pub fn take_session(&mut self) -> Option<(PeerStream, PeerProtocol)> {
        let session = self.session.take()?;
        let protocol = PeerProtocol::of(&session);
        Some((session, protocol))
    }

    /// Closes the connection so that the peer can read the reason.
    pub async fn farewell(self) {
        if let Some(stream) = self.stream {
            lingering_close::close(stream).await;
        }
    }
}
