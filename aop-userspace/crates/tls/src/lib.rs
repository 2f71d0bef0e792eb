//! TLS: who may pull, proven by a certificate.
//!
//! [`Sites`] are what is served, built whole from the configuration or not at all. [`accept`] turns
//! a TCP connection into an [`OriginPull`], and [`authorize`] turns that into a [`Permit`]: neither
//! can be made in another way, so that no relaying skips a check. Everything else ends as a
//! [`Refused`] with a named [`Refusal`]; or, where a site observes and only there, as an [`Observed`],
//! of which [`let_in`] makes a [`Permit`] that says that it proves nothing.
//!
//! This module decides by certificate and name alone. Addresses and upstreams are the terminator's.
//! Only here are rustls' configurations built.

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
pub use client::{OneSession, Presented, TlsVersion, client};
pub use error::{FileError, FileProblem, SitesError, SitesProblem};
pub use farewell::close as farewell;
pub use files::Files;
pub use handshake::Handshake;
pub use identity::Identity;
pub use identity::printable;
pub use inspect::{FileRole, Inspected, InspectedCertificate, InspectedList, inspect};
pub use observed::{Accepted, Observed, WouldRefuse};
pub use pull::{OriginPull, Permit, Proof, Protocol, Session, Warrant, authorize, let_in, socket};
pub use refusal::{Fault, Refusal};
pub use refused::Refused;
pub use server::Notes;
pub use sites::{Site, Sites};
pub use term::Term;
pub use validity::now;
pub use voucher::{Level, Voucher};
