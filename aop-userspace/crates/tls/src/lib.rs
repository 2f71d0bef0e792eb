//! TLS: authenticates the peer of an origin pull by its client certificate.
//!
//! [`Sites`] are built from the configuration, all of them or none. [`accept`] turns a TCP
//! connection into an [`OriginPull`], and [`authorize`] turns that into a [`Permit`]. Neither can
//! be made in another way, so no relaying skips a check. Every other connection ends as a
//! [`RefusedConnection`] with a named [`Refusal`]. At a site that observes, and only there, it becomes an
//! [`UnauthenticatedPull`] instead, and [`permit_unauthenticated`] makes a [`Permit`] of it that is marked as proving nothing.
//!
//! This module decides by certificate and server name alone. The terminator checks addresses and
//! reaches upstreams. Configurations of rustls are built only here.

mod acceptor;
mod anchors;
mod client;
mod cloudflare;
mod crl;
mod error;
mod farewell;
mod files;
mod handshake;
mod identity;
mod inspect;
mod judgement;
mod leaf;
mod lenient;
mod memo;
mod observed;
mod pem;
mod plain;
mod provider;
mod pull;
mod refusal;
mod refused;
mod remarks;
mod resumption;
mod server;
mod sites;
mod term;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod trust;
mod validity;
mod verifier;
mod voucher;

pub use acceptor::accept;
pub use client::{LastSession, PresentedCertificate, TlsVersion, client};
pub use error::{FileError, FileErrorKind, SiteErrorKind, SitesError};
pub use farewell::close as farewell;
pub use files::Files;
pub use handshake::HandshakeFacts;
pub use identity::PeerIdentity;
pub use identity::printable;
pub use inspect::{FileRole, InspectedCertificate, InspectedCrl, InspectedFile, inspect};
pub use observed::{AcceptedPull, UnauthenticatedPull, WouldRefuse};
pub use provider::install_default_provider;
pub use pull::{
    Authentication, OriginPull, PeerProtocol, PeerStream, Permit, Warrant, authorize,
    permit_unauthenticated, socket,
};
pub use refusal::{Fault, Refusal};
pub use refused::RefusedConnection;
pub use server::FileWarnings;
pub use sites::{Site, Sites};
pub use term::FileExpiry;
pub use validity::now;
pub use voucher::{CaScope, IssuingCa};
