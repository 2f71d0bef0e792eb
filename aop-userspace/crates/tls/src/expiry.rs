//! The expiry of certificates and revocation lists, and the warnings before and after it.
//!
//! The warnings appear at start, at each reload and once a day, in `aop check` and in every status.

use super::validity::{DAY, Validity};

/// A certificate or revocation list of a site, with its validity.
#[derive(Clone, Debug)]
pub struct FileExpiry {
    /// The site; the first one if several share the file.
    pub(super) site: String,
    /// The certificate's subject, or the issuer of a revocation list.
    pub(super) subject: String,
    /// The file that holds it, or `cloudflare-global`.
    pub(super) file: String,
    pub(super) validity: Validity,
    pub(super) kind: Ends,
}

/// What expires, and the consequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ends {
    /// The server certificate, or an intermediate of it.
    Server,
    /// A client CA: its peers are refused after expiry.
    Ca,
    /// A client CA: its peers are still served after expiry.
    ToleratedCa,
    /// The built-in client CA: its peers are refused after expiry.
    BuiltIn,
    /// The built-in client CA: its peers are still served after expiry.
    ToleratedBuiltIn,
    /// A revocation list: the peers of its issuer are refused after expiry.
    Crl,
    /// A revocation list: the peers of its issuer are still served after expiry.
    ToleratedCrl,
}

impl FileExpiry {
    /// The warning at `now`, in seconds since 1970, if one is due.
    #[must_use]
    pub fn remark(&self, now: u64) -> Option<String> {
        let (ahead, after, mend) = self.kind.words();
        let remark = self.validity.remark(now, ahead, after, mend)?;
        Some(format!("{} {} {remark}", self.kind.noun(), self.file))
    }

    /// The same warning, but only if peers are refused or refuse to connect because of it at `now`.
    #[must_use]
    pub fn mistake(&self, now: u64) -> Option<String> {
        let valid = self.validity.not_before <= now && now <= self.validity.not_after;
        let harms = match self.kind {
            Ends::Server | Ends::Ca | Ends::BuiltIn | Ends::Crl => !valid,
            Ends::ToleratedCa | Ends::ToleratedBuiltIn | Ends::ToleratedCrl => false,
        };
        harms.then(|| self.remark(now)).flatten()
    }

    /// What expires: a stable name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Ends::Server => "server_certificate",
            Ends::Ca | Ends::ToleratedCa | Ends::BuiltIn | Ends::ToleratedBuiltIn => "client_ca",
            Ends::Crl | Ends::ToleratedCrl => "crl",
        }
    }

    /// The site; the first one if several share the file.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The certificate's subject, or the issuer of a revocation list.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The file that holds it, or `cloudflare-global`.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The time of expiry, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.validity.not_after
    }
}

impl Ends {
    /// Its name in warnings.
    const fn noun(self) -> &'static str {
        match self {
            Self::Server => "server certificate",
            Self::Ca | Self::ToleratedCa => "client CA",
            Self::BuiltIn | Self::ToleratedBuiltIn => "the built-in client CA",
            Self::Crl | Self::ToleratedCrl => "revocation list",
        }
    }

    /// How many seconds before expiry the warning begins, the consequence of expiry, and the
    /// remedy.
    const fn words(self) -> (u64, &'static str, &'static str) {
        const REPLACE: &str = "replace it";
        const CA: &str = "replace it: add the new CA beside the old one, replace the edge's \
                          certificate, then remove the old CA";
        const UPGRADE: &str = "upgrade aop, or name the CA's file";
        const LIST: &str = "fetch a new list from its issuer and reload";
        const REFUSED: &str = "peers with a certificate from it are refused";
        const TOLERATED: &str = "peers with a certificate from it are still served (expired_ca)";
        match self {
            Self::Server => (30 * DAY, "edges that verify it refuse to connect", REPLACE),
            Self::Ca => (90 * DAY, REFUSED, CA),
            Self::ToleratedCa => (90 * DAY, TOLERATED, CA),
            Self::BuiltIn => (90 * DAY, REFUSED, UPGRADE),
            Self::ToleratedBuiltIn => (90 * DAY, TOLERATED, UPGRADE),
            Self::Crl => (DAY, "peers of its issuer are refused", LIST),
            Self::ToleratedCrl => {
                (DAY, "peers that were revoked since then are still served (crl_expired)", LIST)
            }
        }
    }
}
