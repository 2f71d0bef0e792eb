//! The forwarded visitor: names the client behind a request in header fields and, if the site wants
//! it, in a PROXY header.
//!
//! A PROXY header describes a whole connection, but one peer's requests come from many visitors. So
//! with PROXY headers each request has an upstream connection of its own, which is not reused.

use std::net::{IpAddr, SocketAddr};

use aop_config::ProxyProtocol;
use aop_http::Fields;
use aop_tls::HandshakeFacts;

use super::{
    denial::Denial,
    headers::{self, VisitorTrust},
};
use crate::proxy::{self, ProxyAddresses};

/// The facts that all requests of a connection share.
pub(super) struct ForwardedVisitor {
    addresses: ProxyAddresses,
    visitor_trust: VisitorTrust,
}

impl ForwardedVisitor {
    pub(super) fn new(addresses: ProxyAddresses, visitor_trust: VisitorTrust) -> Self {
        Self { addresses, visitor_trust }
    }

    /// The peer's address, for requests that name no visitor.
    pub(super) fn source(&self) -> IpAddr {
        self.addresses.source.ip()
    }

    /// Whether to believe the visitors that its requests name.
    pub(super) fn visitor_trust(&self) -> VisitorTrust {
        self.visitor_trust
    }

    /// The PROXY header for a request with these `fields`, which are already rewritten, after this
    /// `handshake`. The port of a visitor that a header field names is unknown, and is 0.
    ///
    /// # Errors
    /// The header would be too long.
    pub(super) fn header(
        &self,
        protocol: ProxyProtocol,
        fields: &Fields,
        handshake: impl FnOnce() -> HandshakeFacts,
    ) -> Result<Option<Vec<u8>>, Denial> {
        if protocol == ProxyProtocol::Off {
            return Ok(None);
        }
        let visitor = headers::visitor(fields).map(|address| SocketAddr::new(address, 0));
        let addresses =
            ProxyAddresses { source: visitor.unwrap_or(self.addresses.source), ..self.addresses };
        // The upstream connection speaks HTTP/1.1, whatever the peer speaks.
        let mut handshake = handshake();
        handshake.alpn = Some(b"http/1.1".to_vec());
        match proxy::header(protocol, &addresses, &handshake) {
            Ok(header) => Ok(Some(header)),
            Err(error) => {
                tracing::error!(%error, "cannot send a PROXY header to an upstream");
                Err(Denial::ProxyTooLong)
            }
        }
    }
}
