//! Who is behind a request, for the upstream: in headers and, where it wants one, in a PROXY header.
//!
//! A PROXY header speaks for a whole connection, and a peer's requests are many visitors'. So where
//! one is wanted each request has a connection to the upstream of its own, as nobody else's may
//! follow on it.

use std::net::{IpAddr, SocketAddr};

use aop_config::ProxyProtocol;
use aop_tls::Handshake;
use hyper::HeaderMap;

use super::{
    denial::Denial,
    headers::{self, Visitors},
};
use crate::proxy::{self, Ends};

/// What all requests of a connection have in common.
pub(super) struct Introduction {
    ends: Ends,
    visitors: Visitors,
    handshake: Handshake,
}

impl Introduction {
    pub(super) fn new(ends: Ends, visitors: Visitors, mut handshake: Handshake) -> Self {
        // What is spoken over the connection to the upstream, whatever the peer speaks.
        handshake.alpn = Some(b"http/1.1".to_vec());
        Self { ends, visitors, handshake }
    }

    /// From where the peer's connection is, for requests that name no visitor.
    pub(super) fn source(&self) -> IpAddr {
        self.ends.source.ip()
    }

    /// Whether those are believed whom its requests name.
    pub(super) fn visitors(&self) -> Visitors {
        self.visitors
    }

    /// The PROXY header for a request with these `headers`, already made ours. Of a visitor whom a
    /// header names the port is not known, and is 0.
    ///
    /// # Errors
    /// It would be too long.
    pub(super) fn header(
        &self,
        protocol: ProxyProtocol,
        headers: &HeaderMap,
    ) -> Result<Option<Vec<u8>>, Denial> {
        if protocol == ProxyProtocol::Off {
            return Ok(None);
        }
        let visitor = headers::visitor(headers).map(|(address, _)| SocketAddr::new(address, 0));
        let ends = Ends { source: visitor.unwrap_or(self.ends.source), ..self.ends };
        match proxy::header(protocol, &ends, &self.handshake) {
            Ok(header) => Ok(Some(header)),
            Err(error) => {
                tracing::error!(%error, "an upstream cannot be told who connected");
                Err(Denial::ProxyTooLong)
            }
        }
    }
}
