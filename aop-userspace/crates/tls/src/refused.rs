//! A refused connection: the reason, what is known of it, and how it is closed.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::{
    farewell,
    pull::{Protocol, Session},
    refusal::Refusal,
    sites::Site,
};

/// A connection that was refused.
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The site that it was meant for, once that was known.
    pub site: Option<Arc<Site>>,
    /// The particulars, fit for a log.
    pub detail: String,
    stream: Option<TcpStream>,
    session: Option<Session>,
}

impl Refused {
    /// A refusal without particulars.
    #[must_use]
    pub fn new(refusal: Refusal) -> Self {
        Self { refusal, site: None, detail: String::new(), stream: None, session: None }
    }

    /// The same, of a connection for `site`.
    #[must_use]
    pub fn at(self, site: &Arc<Site>) -> Self {
        Self { site: Some(site.clone()), ..self }
    }

    /// The same, with particulars.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The same, with the connection to close.
    #[must_use]
    pub fn on(self, stream: TcpStream) -> Self {
        Self { stream: Some(stream), ..self }
    }

    /// The same, with a session over which the peer can be told why. It was finished without
    /// authenticating anybody: no permit comes of it.
    pub(super) fn over(self, session: Session) -> Self {
        Self { session: Some(session), ..self }
    }

    /// The session over which the peer can be told why, and what it speaks.
    pub fn take_session(&mut self) -> Option<(Session, Protocol)> {
        let session = self.session.take()?;
        let protocol = Protocol::of(&session);
        Some((session, protocol))
    }

    /// Closes the connection, so that the peer gets to read why.
    pub async fn farewell(self) {
        if let Some(stream) = self.stream {
            farewell::close(stream).await;
        }
    }
}
