//! Certificates and revocation lists that expire, in the status document.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many of them one document shows.
pub const MAX_EXPIRIES: usize = 32;

/// A certificate or revocation list with its expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// `server_certificate`, `client_ca` or `crl`.
    pub what: String,
    /// The site; where several share the file, the first.
    pub site: String,
    /// The certificate's subject, or the issuer of a revocation list; `cloudflare-global`.
    pub subject: String,
    /// Its file; `cloudflare-global` for the built-in CA.
    pub file: String,
    /// Its expiry; in the past where it has expired.
    pub not_after: Timestamp,
}
