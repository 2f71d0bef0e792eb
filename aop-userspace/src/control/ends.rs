//! Certificates and revocation lists that expire, in the status document.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::timestamp;
use crate::tls::Term;

/// How many of them one document shows.
pub const MAX_ENDS: usize = 32;

/// A certificate or revocation list with its expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
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

impl End {
    /// Those of `terms` that expire first, the soonest first.
    #[must_use]
    pub fn first_of(terms: &[Term]) -> Vec<Self> {
        let mut terms: Vec<&Term> = terms.iter().collect();
        terms.sort_by_key(|term| term.not_after());
        terms.into_iter().take(MAX_ENDS).map(Self::of).collect()
    }

    fn of(term: &Term) -> Self {
        Self {
            what: term.kind().to_owned(),
            site: term.site().to_owned(),
            subject: term.subject().to_owned(),
            file: term.file().to_owned(),
            not_after: timestamp(term.not_after()),
        }
    }
}
