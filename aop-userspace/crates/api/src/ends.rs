//! What ends by itself, in the status document.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Ends that one document tells.
pub const MAX_ENDS: usize = 32;

/// A file's content that is valid for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// `server_certificate`, `client_ca` or `crl`.
    pub what: String,
    /// The site; of those that share it the first one.
    pub site: String,
    /// The certificate's subject, or the issuer of a revocation list; `cloudflare-global`.
    pub subject: String,
    /// The file that holds it; `cloudflare-global` where it needs none.
    pub file: String,
    /// Its end. Passed, where it has ended already.
    pub not_after: Timestamp,
}
