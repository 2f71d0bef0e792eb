//! What ends by itself, in the status document.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::timestamp;
use crate::tls::Term;

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

impl End {
    /// Those of `terms` that end first, the soonest first.
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
