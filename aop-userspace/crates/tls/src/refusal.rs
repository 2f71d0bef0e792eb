//! Why a connection was refused: a closed list of names, whose fault each is, and what to do.
//!
//! The names are stable: they index the counters, label logs and metrics, and stand in alerts that
//! operators write. Add, never rename.

use std::fmt;

/// The commands that make a certificate which every verifier takes: any extension makes version 3.
/// Without a backslash or quote, so that they survive the escaping of a log.
macro_rules! issue {
    () => {
        "echo extendedKeyUsage=clientAuth > leaf.ext; openssl x509 -req -in leaf.csr -CA ca.pem \
         -CAkey ca.key -CAcreateserial -days 365 -extfile leaf.ext -out leaf.pem"
    };
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The peer presented no certificate.
    CertificateRequired,
    /// No client CA of the site signed the peer's certificate.
    UnknownCa,
    /// The certificate is for another purpose than client authentication.
    WrongUsage,
    /// The certificate, or one in its chain, has run out.
    Expired,
    /// The certificate, or one in its chain, is not valid yet.
    NotYetValid,
    /// The certificate is of X.509 version 1.
    CertificateVersion,
    /// The certificate is a CA's, self-signed ones included.
    CaAsLeaf,
    /// The certificate is bad in another way: encoding, signature, constraints.
    BadCertificate,
    /// The certificate has none of the names that the site requires.
    SanMissing,
    /// The certificate's subject is not the one that the site requires.
    CnMismatch,
    /// The certificate's key is not pinned.
    PinMismatch,
    /// The certificate's key is not of the kind that the site requires.
    NotPostQuantum,
    /// The certificate, or one in its chain, is revoked.
    Revoked,
    /// The revocation list that would tell has run out.
    CrlExpired,
    /// No revocation list of the site tells about the certificate or one in its chain.
    UnknownRevocation,
    /// The client CA that vouches for the certificate has run out.
    CaExpired,
    /// No site answers for the name in the ClientHello.
    UnknownName,
    /// The ClientHello names no host.
    NoName,
    /// The peer speaks plain HTTP.
    NotTls,
    /// The first bytes are no ClientHello.
    BadHello,
    /// A PROXY header from somebody who is not to send one, or none, or a malformed one, from
    /// somebody who is.
    ProxyHeader,
    /// ClientHello or handshake were not finished in time.
    Deadline,
    /// The peer's address is not admitted.
    NotAdmitted,
    /// The peer closed or reset the connection before the handshake was finished.
    PeerGone,
    /// The peer broke off the handshake with an alert: it does not like what we present.
    PeerAlert,
    /// No common version or cipher, or a breach of the TLS protocol.
    Protocol,
    /// The site's upstream could not be reached.
    UpstreamUnreachable,
    /// It made room for a newer connection, having been silent longest of all.
    CrowdedOut,
    /// It made room for a newer connection of the same address, which had too many.
    TooMany,
    /// It authenticated, and no slot was free before the deadline.
    NoSlot,
    /// This process has no file descriptor for the connection to the upstream.
    NoDescriptor,
    /// What the upstream is to be told does not fit into a PROXY header.
    ProxyTooLong,
}

/// Who can mend a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever connected.
    Peer,
    /// The operator: a certificate was issued or installed wrongly.
    Operator,
    /// The application behind the site.
    Upstream,
    /// This host: it has too little of something.
    Host,
}

impl Fault {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Operator => "operator",
            Self::Upstream => "upstream",
            Self::Host => "host",
        }
    }
}

impl Refusal {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CertificateRequired => "certificate_required",
            Self::UnknownCa => "unknown_ca",
            Self::WrongUsage => "wrong_usage",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::CertificateVersion => "certificate_version",
            Self::CaAsLeaf => "ca_as_leaf",
            Self::BadCertificate => "bad_certificate",
            Self::SanMissing => "san_missing",
            Self::CnMismatch => "cn_mismatch",
            Self::PinMismatch => "pin_mismatch",
            Self::NotPostQuantum => "not_post_quantum",
            Self::Revoked => "revoked",
            Self::CrlExpired => "crl_expired",
            Self::UnknownRevocation => "unknown_revocation",
            Self::CaExpired => "ca_expired",
            Self::UnknownName => "unknown_name",
            Self::NoName => "no_name",
            Self::NotTls => "not_tls",
            Self::BadHello => "bad_hello",
            Self::ProxyHeader => "proxy_header",
            Self::Deadline => "deadline",
            Self::NotAdmitted => "not_admitted",
            Self::PeerGone => "peer_gone",
            Self::PeerAlert => "peer_alert",
            Self::Protocol => "protocol",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::CrowdedOut => "crowded_out",
            Self::TooMany => "too_many",
            Self::NoSlot => "no_slot",
            Self::NoDescriptor => "no_descriptor",
            Self::ProxyTooLong => "proxy_too_long",
        }
    }

    /// Who can mend it.
    #[must_use]
    pub const fn whose(self) -> Fault {
        match self {
            Self::CertificateRequired
            | Self::UnknownCa
            | Self::BadCertificate
            | Self::SanMissing
            | Self::CnMismatch
            | Self::PinMismatch
            | Self::NotPostQuantum
            | Self::Revoked
            | Self::UnknownName
            | Self::NoName
            | Self::NotTls
            | Self::BadHello
            | Self::ProxyHeader
            | Self::Deadline
            | Self::NotAdmitted
            | Self::PeerGone
            | Self::Protocol
            | Self::CrowdedOut
            | Self::TooMany => Fault::Peer,
            Self::WrongUsage
            | Self::Expired
            | Self::NotYetValid
            | Self::CertificateVersion
            | Self::CaAsLeaf
            | Self::CrlExpired
            | Self::UnknownRevocation
            | Self::CaExpired
            | Self::PeerAlert
            | Self::ProxyTooLong => Fault::Operator,
            Self::UpstreamUnreachable => Fault::Upstream,
            Self::NoSlot | Self::NoDescriptor => Fault::Host,
        }
    }

    /// The commands at the end of that help, where there are any.
    #[must_use]
    pub const fn commands(self) -> Option<&'static str> {
        let are_some = matches!(self, Self::CertificateVersion | Self::CaAsLeaf);
        if are_some { Some(issue!()) } else { None }
    }

    /// What an operator can do, where there is something.
    #[must_use]
    pub const fn help(self) -> Option<&'static str> {
        match self {
            Self::CertificateRequired => {
                Some("if the CDN connected, switch authenticated origin pulls on for this host")
            }
            Self::UnknownCa => Some(
                "if the CDN connected, add the CA that signed its certificate to the site's client_ca",
            ),
            Self::WrongUsage => Some(
                "issue the edge's certificate with extendedKeyUsage=clientAuth, or without that extension",
            ),
            Self::Expired => Some("issue and upload a new certificate for the edge"),
            Self::NotYetValid => Some("check this machine's clock, then the certificate's dates"),
            Self::CertificateVersion => Some(concat!(
                "the edge's certificate is X.509 v1 (openssl x509 -req without extensions). ",
                "Issue a v3 one: ",
                issue!()
            )),
            Self::CaAsLeaf => Some(concat!(
                "the edge presents a CA certificate (openssl req -x509 makes one). ",
                "Sign a certificate with it and upload that: ",
                issue!()
            )),
            Self::UnknownName => Some("if the host is yours, add it to a site's hosts"),
            Self::NotAdmitted => Some(
                "if the address is the CDN's or yours, its prefix is missing from the list or from firewall.extra",
            ),
            Self::PeerAlert => Some(
                "the CDN may not trust the server certificate (Full (strict) wants a public or an origin CA)",
            ),
            Self::UpstreamUnreachable => {
                Some("start the application, or correct the site's upstream")
            }
            Self::CrowdedOut => Some(
                "if these are the CDN's, raise limits.handshakes; else find out who floods the port",
            ),
            Self::TooMany => Some("if the address is the CDN's, raise limits.per_peer"),
            Self::NoSlot => Some("raise limits.connections"),
            Self::NoDescriptor => Some("raise the limit of open files (systemd: LimitNOFILE=)"),
            Self::ProxyHeader => Some(
                "see detail; the listener's proxy_from names those who send PROXY headers, and \
                 whoever is named must send one",
            ),
            Self::ProxyTooLong => {
                Some("leave proxy_certificate out, or issue the edge a smaller certificate")
            }
            Self::BadCertificate => Some(
                "see detail; BadSignature can also mean a client_ca of the same name as the \
                 signer, but with another key",
            ),
            Self::SanMissing => Some(
                "if it is your edge, issue its certificate with a name of require_san, or add its \
                 name there; a stranger's certificate from the same CA is refused rightly",
            ),
            Self::CnMismatch => Some(
                "if it is your edge, issue its certificate with the subject of require_cn, or \
                 correct that",
            ),
            Self::PinMismatch => {
                Some("if the edge's key was changed on purpose, add the key in detail to spki_pins")
            }
            Self::NotPostQuantum => {
                Some("upload an ML-DSA certificate to the CDN, or leave require_key out")
            }
            Self::Revoked => Some("if it is your edge, upload a certificate that is not revoked"),
            Self::CrlExpired => Some(
                "fetch a new list from its issuer and reload; crl_expired = warn serves meanwhile",
            ),
            Self::UnknownRevocation => Some(
                "each issuer in the chain needs a list in crl; crl_scope = leaf asks for the \
                 leaf's alone",
            ),
            Self::CaExpired => Some(
                "replace the client CA; for Cloudflare's own, write cloudflare-global, whose key \
                 is the same; expired_ca = warn serves meanwhile",
            ),
            Self::NoName => {
                Some("the CDN always sends a name: a scanner, or a health check by address")
            }
            Self::NotTls => Some(
                "if the CDN connected, its SSL/TLS mode speaks plain HTTP to this port: set Full (strict)",
            ),
            Self::Deadline => Some(
                "if these are the CDN's, the network or this host is slow: raise limits.deadline",
            ),
            Self::Protocol => Some("see detail"),
            Self::BadHello | Self::PeerGone => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
