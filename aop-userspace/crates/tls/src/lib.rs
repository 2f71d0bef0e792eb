//! TLS: authenticates the peer of an origin pull by its client certificate.
//!
//! [`Sites`] are built from the configuration, all of them or none. [`accept`] turns a TCP
//! connection into an [`OriginPull`], and [`authorize`] turns that into a [`Permit`]. Neither can
//! be made in another way, so no relaying skips a check. Every other connection ends as a
//! [`RefusedConnection`] with a named [`Refusal`]. At a site that observes, and only there, it
//! becomes an [`UnauthenticatedPull`] instead, and [`permit_unauthenticated`] makes a [`Permit`] of
//! it that is marked as proving nothing.
//!
//! This crate decides by certificate and server name alone. The terminator checks addresses and
//! reaches upstreams. Configurations of rustls are built only here: the doctor's attempts use
//! [`ProbeClient`].

mod accepted_certificates;
mod acceptor;
mod client_ca;
mod cloudflare_ca;
mod deferring_verifier;
mod error;
mod expiry;
mod file_warnings;
mod handshake_facts;
mod identity;
mod inspect;
mod issuing_ca;
mod leaf_rules;
mod lingering_close;
mod list_replacement;
mod mutual_client;
mod name_spelling;
mod not_enforced;
mod pem;
mod permit;
mod presented_certificate;
mod probe_client;
mod protocol_sniff;
mod provider;
mod refusal_of_error;
mod refused_connection;
mod revocation;
mod revocation_check;
mod revocation_list;
mod server_config;
mod sessions;
mod signature_cache;
mod signed_der;
mod site_files;
mod sites;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod uploaded_leaf;
mod validity;
mod verifier;

pub use acceptor::accept;
pub use aop_types::Refusal;
pub use error::{FileError, FileErrorKind, SiteErrorKind, SitesError};
pub use expiry::FileExpiry;
pub use file_warnings::{FileWarnings, client_ca_objections};
pub use handshake_facts::{CertificateFrom, HandshakeFacts};
pub use identity::{PeerIdentity, distinguished_name, printable};
pub use inspect::{
    FileRole, InspectedCertificate, InspectedCrl, InspectedFile, inspect, inspect_certificate,
    key_kind,
};
pub use issuing_ca::{CaScope, IssuingCa};
pub use leaf_rules::ml_dsa_name;
pub use lingering_close::lingering_close;
pub use list_replacement::ListObjection;
pub use mutual_client::MutualClient;
pub use not_enforced::{AcceptedPull, UnauthenticatedPull, WouldRefuse};
pub use pem::{Section, SectionContent, SectionError, SectionFault, sections};
pub use permit::{
    Authentication, OriginPull, PeerProtocol, PeerStream, Permit, Warrant, authorize, into_tcp,
    permit_unauthenticated,
};
pub use presented_certificate::PresentedCertificate;
pub use probe_client::{LastSession, ProbeClient, ProbeConnection, Received, TlsVersion};
pub use provider::install_default_provider;
pub use refused_connection::RefusedConnection;
pub use site_files::SiteFiles;
pub use sites::{Site, Sites};
pub use uploaded_leaf::{LeafJudge, UploadedLeaf};
