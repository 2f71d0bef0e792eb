//! The expiry of certificates and revocation lists, and the warnings before and after it.
//!
//! The warnings appear at start, at each reload and once a day, in `aop check` and in every status.

use aop_config::OnExpiry;

use super::{
    file_warnings::Severity,
    validity::{DAY, Validity},
};

/// A certificate or revocation list of a site or of the fleet, with its validity.
#[derive(Clone, Debug)]
pub struct FileExpiry {
    /// The site; the first one if several share the file, and empty for the fleet.
    pub(crate) site: String,
    /// The certificate's subject, or the issuer of a revocation list.
    pub(crate) subject: String,
    /// The file that holds it, or `cloudflare-global`.
    pub(crate) file: String,
    pub(crate) validity: Validity,
    pub(crate) kind: ExpiryKind,
    /// The certificates that a revocation list covers.
    pub(crate) list: Option<ListSubject>,
}

/// The certificates that a revocation list covers, beside the name of their issuer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ListSubject {
    /// The key of their issuer, which signed the list.
    pub(crate) key: Vec<u8>,
    /// The part of that issuer's certificates, if it is not all of them.
    pub(crate) part: Option<Vec<u8>>,
}

/// The kind of the object that expires, and the treatment of its peers then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ExpiryKind {
    /// The server certificate, or an intermediate of it.
    Server,
    /// A client CA.
    ClientCa(OnExpiry),
    /// The built-in client CA.
    BuiltInCa(OnExpiry),
    /// A revocation list.
    Crl(OnExpiry),
    /// The certificate of this host for etcd, or an intermediate of it.
    FleetCertificate,
    /// A CA of etcd's certificates.
    FleetCa,
}

/// The words and the severity for a kind.
struct KindRow {
    /// The stable name.
    name: &'static str,
    /// Its name in warnings.
    noun: &'static str,
    /// How many seconds before expiry the warning begins.
    ahead: u64,
    consequence: &'static str,
    remedy: &'static str,
    /// The severity while it is not valid.
    severity: Severity,
}

impl ExpiryKind {
    const fn row(self) -> KindRow {
        const CLIENT_CA: KindRow = KindRow {
            name: "client_ca",
            noun: "client CA",
            ahead: 90 * DAY,
            consequence: "peers with a certificate from it are refused",
            remedy: "replace it: add the new CA beside the old one, replace the edge's \
                     certificate, then remove the old CA",
            severity: Severity::Mistake,
        };
        const BUILT_IN: KindRow = KindRow {
            noun: "the built-in client CA",
            remedy: "upgrade aop, or name the CA's file",
            ..CLIENT_CA
        };
        const SERVED: &str = "peers with a certificate from it are still served (expired_ca)";
        const CRL: KindRow = KindRow {
            name: "crl",
            noun: "revocation list",
            ahead: DAY,
            consequence: "peers of its issuer are refused",
            remedy: "fetch a new list from its issuer and reload",
            severity: Severity::Mistake,
        };
        const UNREVOKED: &str = "peers that were revoked since then are still served (crl_expired)";
        match self {
            Self::Server => KindRow {
                name: "server_certificate",
                noun: "server certificate",
                ahead: 30 * DAY,
                consequence: "edges that verify it refuse to connect",
                remedy: "replace it",
                severity: Severity::Mistake,
            },
            Self::ClientCa(OnExpiry::Refuse) => CLIENT_CA,
            Self::ClientCa(OnExpiry::Warn) => CLIENT_CA.served(SERVED),
            Self::BuiltInCa(OnExpiry::Refuse) => BUILT_IN,
            Self::BuiltInCa(OnExpiry::Warn) => BUILT_IN.served(SERVED),
            Self::Crl(OnExpiry::Refuse) => CRL,
            Self::Crl(OnExpiry::Warn) => CRL.served(UNREVOKED),
            Self::FleetCertificate => KindRow {
                name: "fleet_certificate",
                noun: "certificate for the fleet",
                ahead: 30 * DAY,
                consequence: "etcd refuses this host, and the fleet does not see it",
                remedy: "replace it; aop reads it again within an hour, or with a reload",
                severity: Severity::Warning,
            },
            Self::FleetCa => KindRow {
                name: "fleet_ca",
                noun: "CA of the fleet's etcd",
                ahead: 90 * DAY,
                consequence: "this host refuses the certificates of etcd that it signed",
                remedy: "add the new CA beside it, and replace the certificates of etcd",
                severity: Severity::Warning,
            },
        }
    }
}

impl KindRow {
    const fn served(self, consequence: &'static str) -> Self {
        Self { consequence, severity: Severity::Warning, ..self }
    }
}

impl FileExpiry {
    /// The warning at `now`, in seconds since 1970, if one is due.
    #[must_use]
    pub fn warning(&self, now: u64) -> Option<String> {
        let KindRow { noun, ahead, consequence, remedy, .. } = self.kind.row();
        let warning = self.validity.warning(now, ahead, consequence, remedy)?;
        let Self { file, subject, .. } = self;
        // A file may hold several: a server certificate and its intermediates, CAs, or lists.
        let subject = match subject.is_empty() || subject == file {
            true => String::new(),
            false => format!(" ({subject})"),
        };
        Some(format!("{noun} {file}{subject} {warning}"))
    }

    /// The same warning, but only if peers are refused or refuse to connect because of it at `now`.
    #[must_use]
    pub fn mistake(&self, now: u64) -> Option<String> {
        let valid = self.validity.not_before <= now && now <= self.validity.not_after;
        let harms = !valid && self.kind.row().severity == Severity::Mistake;
        harms.then(|| self.warning(now)).flatten()
    }

    /// The stable name of the kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind.row().name
    }

    /// The site; the first one if several share the file, and empty for the fleet.
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

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1000 * 24 * 3600;
    const END: u64 = 2000 * 24 * 3600;

    fn expiry(kind: ExpiryKind) -> FileExpiry {
        FileExpiry {
            site: "example.com".into(),
            subject: "CN=ca".into(),
            file: "a.pem".into(),
            validity: Validity { not_before: BEGIN, not_after: END },
            kind,
            list: None,
        }
    }

    #[test]
    fn each_kind_is_warned_of_early_enough_to_replace_it() {
        use ExpiryKind::{BuiltInCa, ClientCa, Crl, FleetCa, FleetCertificate, Server};
        for (kind, noun, days) in [
            (FleetCertificate, "certificate for the fleet a.pem", 30),
            (FleetCa, "CA of the fleet's etcd a.pem", 90),
            (Server, "server certificate a.pem", 30),
            (ClientCa(OnExpiry::Refuse), "client CA a.pem", 90),
            (ClientCa(OnExpiry::Warn), "client CA a.pem", 90),
            (BuiltInCa(OnExpiry::Refuse), "the built-in client CA a.pem", 90),
            (BuiltInCa(OnExpiry::Warn), "the built-in client CA a.pem", 90),
            (Crl(OnExpiry::Refuse), "revocation list a.pem", 1),
            (Crl(OnExpiry::Warn), "revocation list a.pem", 1),
        ] {
            let expiry = expiry(kind);
            let first = END - days * 24 * 3600;
            assert_eq!(expiry.warning(first - 1), None, "{kind:?}");
            let warning = expiry.warning(first).unwrap();
            let begin = format!("{noun} (CN=ca) expires in {days} days");
            assert!(warning.starts_with(&begin), "{warning}");
        }
    }

    #[test]
    fn two_certificates_of_one_file_are_told_apart_by_their_subjects() {
        let of =
            |subject: &str| FileExpiry { subject: subject.into(), ..expiry(ExpiryKind::Server) };
        let early = |subject: &str| of(subject).warning(BEGIN - 1).unwrap();
        assert!(early("CN=leaf").starts_with("server certificate a.pem (CN=leaf) is not valid"));
        assert!(early("CN=intermediate").contains("a.pem (CN=intermediate) is not valid"));
        // A certificate may have names and no subject; the built-in CA has no file.
        for nothing in ["", "a.pem"] {
            assert!(early(nothing).starts_with("server certificate a.pem is not valid"));
        }
    }

    #[test]
    fn only_dates_by_which_peers_are_refused_are_mistakes() {
        use ExpiryKind::{BuiltInCa, ClientCa, Crl, FleetCa, FleetCertificate, Server};
        for (kind, refuses) in [
            (FleetCertificate, false),
            (FleetCa, false),
            (Server, true),
            (ClientCa(OnExpiry::Refuse), true),
            (ClientCa(OnExpiry::Warn), false),
            (BuiltInCa(OnExpiry::Refuse), true),
            (BuiltInCa(OnExpiry::Warn), false),
            (Crl(OnExpiry::Refuse), true),
            (Crl(OnExpiry::Warn), false),
        ] {
            let expiry = expiry(kind);
            for (now, valid) in [(BEGIN - 1, false), (BEGIN, true), (END, true), (END + 1, false)] {
                let mistake = expiry.mistake(now);
                assert_eq!(mistake.is_some(), refuses && !valid, "{kind:?} {now}");
                assert!(mistake.is_none() || mistake == expiry.warning(now));
            }
        }
    }

    #[test]
    fn peers_that_are_still_served_are_named_in_the_warning() {
        use ExpiryKind::{BuiltInCa, ClientCa, Crl};
        for (kind, consequence) in [
            (ClientCa(OnExpiry::Refuse), "are refused"),
            (ClientCa(OnExpiry::Warn), "are still served (expired_ca)"),
            (BuiltInCa(OnExpiry::Refuse), "are refused; upgrade aop"),
            (BuiltInCa(OnExpiry::Warn), "are still served (expired_ca); upgrade aop"),
            (Crl(OnExpiry::Refuse), "of its issuer are refused"),
            (Crl(OnExpiry::Warn), "that were revoked since then are still served (crl_expired)"),
        ] {
            let warning = expiry(kind).warning(END + 1).unwrap();
            assert!(warning.contains(consequence), "{warning}");
        }
    }

    #[test]
    fn an_expiry_says_what_expires_where_and_when() {
        for (kind, name) in [
            (ExpiryKind::Server, "server_certificate"),
            (ExpiryKind::ClientCa(OnExpiry::Warn), "client_ca"),
            (ExpiryKind::BuiltInCa(OnExpiry::Refuse), "client_ca"),
            (ExpiryKind::Crl(OnExpiry::Warn), "crl"),
            (ExpiryKind::FleetCertificate, "fleet_certificate"),
            (ExpiryKind::FleetCa, "fleet_ca"),
        ] {
            let it = expiry(kind);
            assert_eq!(it.kind(), name);
            assert_eq!((it.site(), it.subject(), it.file()), ("example.com", "CN=ca", "a.pem"));
            assert_eq!(it.not_after(), END);
        }
    }
}
