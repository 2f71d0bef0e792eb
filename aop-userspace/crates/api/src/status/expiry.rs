//! Certificates and revocation lists that expire, in the status document.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::stable_names;

/// How many of them one document shows.
pub const MAX_EXPIRIES: usize = 32;

/// A certificate or revocation list with its expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// Its kind.
    pub what: ExpiryKind,
    /// The site; where several share the file, the first; empty for files of the fleet.
    pub site: String,
    /// The certificate's subject, or the issuer of a revocation list; `cloudflare-global`.
    pub subject: String,
    /// Its file; `cloudflare-global` for the built-in CA.
    pub file: String,
    /// Its expiry; in the past where it has expired.
    pub not_after: Timestamp,
}

stable_names! {
    /// The kind of the object that expires.
    ExpiryKind {
        /// The certificate that a site presents.
        ServerCertificate = "server_certificate",
        /// A CA that issues client certificates.
        ClientCa = "client_ca",
        /// A revocation list.
        Crl = "crl",
        /// The certificate of this host for the etcd of its fleet.
        FleetCertificate = "fleet_certificate",
        /// A CA of that etcd.
        FleetCa = "fleet_ca",
    }
}
