//! What has an end, and what an operator is told before and after it.
//!
//! Told at start, at each reload and once a day, in `aop check`, and in every status.

use super::validity::{DAY, Validity};

/// Something of a site that is valid for a time.
#[derive(Clone, Debug)]
pub struct Term {
    /// The site; the first one of those that share it.
    pub(super) site: String,
    /// The certificate's subject, or the issuer of a revocation list.
    pub(super) subject: String,
    /// The file that holds it, or the name of what is built in.
    pub(super) file: String,
    pub(super) validity: Validity,
    pub(super) kind: Ends,
}

/// What ends, and what follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ends {
    /// Our own certificate.
    Server,
    /// A client CA, whose peers are refused then.
    Ca,
    /// A client CA, whose peers are served on.
    ToleratedCa,
    /// The client CA that is built in, whose peers are refused then.
    BuiltIn,
    /// The same, served on.
    ToleratedBuiltIn,
    /// A revocation list, without whose successor its issuer's peers are refused.
    Crl,
    /// The same, served on.
    ToleratedCrl,
}

impl Term {
    /// What an operator should know of it at `now`, in seconds since 1970.
    #[must_use]
    pub fn remark(&self, now: u64) -> Option<String> {
        let (ahead, after, mend) = self.kind.words();
        let remark = self.validity.remark(now, ahead, after, mend)?;
        Some(format!("{} {} {remark}", self.kind.noun(), self.file))
    }

    /// The same, where somebody is refused or turned away because of it at `now`.
    #[must_use]
    pub fn mistake(&self, now: u64) -> Option<String> {
        let stands = self.validity.not_before <= now && now <= self.validity.not_after;
        let is_one = match self.kind {
            Ends::Server | Ends::Ca | Ends::BuiltIn | Ends::Crl => !stands,
            Ends::ToleratedCa | Ends::ToleratedBuiltIn | Ends::ToleratedCrl => false,
        };
        is_one.then(|| self.remark(now)).flatten()
    }

    /// What ends, in one word that is stable.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Ends::Server => "server_certificate",
            Ends::Ca | Ends::ToleratedCa | Ends::BuiltIn | Ends::ToleratedBuiltIn => "client_ca",
            Ends::Crl | Ends::ToleratedCrl => "crl",
        }
    }

    /// The site, the first one of those that share it.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The certificate's subject, or the issuer of a revocation list.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The file that holds it, or the name of what is built in.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its end, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.validity.not_after
    }
}

impl Ends {
    /// What operators call it.
    const fn noun(self) -> &'static str {
        match self {
            Self::Server => "server certificate",
            Self::Ca | Self::ToleratedCa => "client CA",
            Self::BuiltIn | Self::ToleratedBuiltIn => "the built-in client CA",
            Self::Crl | Self::ToleratedCrl => "revocation list",
        }
    }

    /// How long ahead of the end it is told, what follows from the end, and what to do.
    const fn words(self) -> (u64, &'static str, &'static str) {
        const REPLACE: &str = "replace it";
        const CA: &str = "replace it: the new CA beside the old one, then the edge's certificate, \
                          then the old CA away";
        const UPGRADE: &str = "upgrade aop, or name the CA's file";
        const LIST: &str = "fetch a new list from its issuer and reload";
        const REFUSED: &str = "peers that it vouches for are refused";
        const TOLERATED: &str = "peers that it vouches for are served all the same (expired_ca)";
        match self {
            Self::Server => (30 * DAY, "edges that verify it turn away", REPLACE),
            Self::Ca => (90 * DAY, REFUSED, CA),
            Self::ToleratedCa => (90 * DAY, TOLERATED, CA),
            Self::BuiltIn => (90 * DAY, REFUSED, UPGRADE),
            Self::ToleratedBuiltIn => (90 * DAY, TOLERATED, UPGRADE),
            Self::Crl => (DAY, "peers of its issuer are refused", LIST),
            Self::ToleratedCrl => {
                (DAY, "what was revoked since is unknown, and served (crl_expired)", LIST)
            }
        }
    }
}
