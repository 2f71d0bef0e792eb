//! The reasons for refusing a connection: a closed list of names, each with the party at fault and
//! what to do.
//!
//! The names are stable: they index counters, label logs and metrics, and appear in alerts that
//! operators write. Add names, never rename one.

use std::fmt;

/// The commands that issue a certificate which every verifier accepts: any extension makes it
/// version 3. They contain no backslash and no quote, which a log would escape.
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
    /// The certificate, or one in its chain, has expired.
    Expired,
    /// The certificate, or one in its chain, is not valid yet.
    NotYetValid,
    /// The certificate is of X.509 version 1.
    CertificateVersion,
    /// The certificate is a CA certificate, as self-signed ones usually are.
    CaAsLeaf,
    /// The certificate is invalid in another way: encoding, signature, constraints.
    BadCertificate,
    /// The certificate has none of the names that the site requires.
    SanMissing,
    /// The certificate's common name is not the one that the site requires.
    CnMismatch,
    /// The certificate's key is not pinned.
    PinMismatch,
    /// The certificate's key is not of the kind that the site requires.
    NotPostQuantum,
    /// The certificate, or one in its chain, is revoked.
    Revoked,
    /// The revocation list for the certificate has expired.
    CrlExpired,
    /// No revocation list of the site covers the certificate, or one in its chain.
    UnknownRevocation,
    /// The client CA that issued the certificate has expired.
    CaExpired,
    /// No site has the server name in the ClientHello.
    UnknownName,
    /// The ClientHello has no server name.
    NoName,
    /// The peer speaks plain HTTP.
    NotTls,
    /// The first bytes are not a ClientHello.
    BadHello,
    /// A PROXY header came from an address that is not a sender of them, or a sender sent none or a
    /// malformed one.
    ProxyHeader,
    /// ClientHello or handshake did not finish in time.
    Deadline,
    /// The peer's address is not admitted.
    NotAdmitted,
    /// The peer closed or reset the connection before the handshake was finished.
    PeerGone,
    /// The peer ended the handshake with an alert, usually because it does not accept the server
    /// certificate.
    PeerAlert,
    /// No common version or cipher, or a breach of the TLS protocol.
    Protocol,
    /// The site's upstream could not be reached.
    UpstreamUnreachable,
    /// There were too many pending handshakes, and this one was the oldest that may be closed.
    CrowdedOut,
    /// There were too many pending handshakes from its address, and this one was the oldest.
    TooMany,
    /// The peer authenticated, but no slot became free before the deadline.
    NoSlot,
    /// This process has no file descriptor for the connection to the upstream.
    NoDescriptor,
    /// The facts for the upstream do not fit into a PROXY header.
    ProxyTooLong,
}

/// The party that can remove the cause of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer.
    Peer,
    /// The operator: a certificate was issued or installed incorrectly.
    Operator,
    /// The application behind the site.
    Upstream,
    /// This host: it lacks a resource.
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
    /// All reasons, in the order of their numbers.
    pub const ALL: &[Self] = &[
        Self::CertificateRequired,
        Self::UnknownCa,
        Self::WrongUsage,
        Self::Expired,
        Self::NotYetValid,
        Self::CertificateVersion,
        Self::CaAsLeaf,
        Self::BadCertificate,
        Self::SanMissing,
        Self::CnMismatch,
        Self::PinMismatch,
        Self::NotPostQuantum,
        Self::Revoked,
        Self::CrlExpired,
        Self::UnknownRevocation,
        Self::CaExpired,
        Self::UnknownName,
        Self::NoName,
        Self::NotTls,
        Self::BadHello,
        Self::ProxyHeader,
        Self::Deadline,
        Self::NotAdmitted,
        Self::PeerGone,
        Self::PeerAlert,
        Self::Protocol,
        Self::UpstreamUnreachable,
        Self::CrowdedOut,
        Self::TooMany,
        Self::NoSlot,
        Self::NoDescriptor,
        Self::ProxyTooLong,
    ];

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

    /// The party that can remove its cause.
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

    /// The commands at the end of the help, if it has any.
    #[must_use]
    pub const fn commands(self) -> Option<&'static str> {
        let has_some = matches!(self, Self::CertificateVersion | Self::CaAsLeaf);
        if has_some { Some(issue!()) } else { None }
    }

    /// Advice for the operator, if there is any.
    #[must_use]
    pub const fn help(self) -> Option<&'static str> {
        match self {
            Self::CertificateRequired => {
                Some("if the CDN connected, turn on authenticated origin pulls for this host")
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
                "the CDN may not trust the server certificate (Full (strict) requires one from a \
                 public CA or Cloudflare's Origin CA)",
            ),
            Self::UpstreamUnreachable => {
                Some("start the application, or correct the site's upstream")
            }
            Self::CrowdedOut => Some(
                "if these connections are the CDN's, raise limits.handshakes; if not, find the \
                 source of the flood",
            ),
            Self::TooMany => Some("if the address is the CDN's, raise limits.per_peer"),
            Self::NoSlot => Some("raise limits.connections"),
            Self::NoDescriptor => Some("raise the limit of open files (systemd: LimitNOFILE=)"),
            Self::ProxyHeader => Some(
                "see detail; every address in the listener's proxy_from must send a PROXY header, \
                 and no other may send one",
            ),
            Self::ProxyTooLong => {
                Some("remove proxy_certificate, or issue a smaller certificate to the edge")
            }
            Self::BadCertificate => Some(
                "see detail; BadSignature can also mean that a client_ca has the signer's name but \
                 another key",
            ),
            Self::SanMissing => Some(
                "if the peer is your edge, issue its certificate with a name in require_san, or add \
                 its name to require_san; any other peer of this CA is refused correctly",
            ),
            Self::CnMismatch => Some(
                "if the peer is your edge, issue its certificate with the common name of \
                 require_cn, or correct require_cn",
            ),
            Self::PinMismatch => {
                Some("if the edge's key was changed on purpose, add the key in detail to spki_pins")
            }
            Self::NotPostQuantum => {
                Some("upload an ML-DSA certificate to the CDN, or remove require_key")
            }
            Self::Revoked => {
                Some("if the peer is your edge, upload a certificate that is not revoked")
            }
            Self::CrlExpired => Some(
                "fetch a new list from its issuer and reload; until then, crl_expired = warn \
                 serves these peers",
            ),
            Self::UnknownRevocation => Some(
                "each issuer in the chain needs a list in crl; with crl_scope = leaf only the \
                 leaf's issuer needs one",
            ),
            Self::CaExpired => Some(
                "replace the client CA, or write cloudflare-global instead of Cloudflare's own CA \
                 file (same key); until then, expired_ca = warn serves these peers",
            ),
            Self::NoName => Some(
                "the CDN always sends a server name, so this is a scanner, or a health check by \
                 address",
            ),
            Self::NotTls => Some(
                "if the CDN connected, its SSL/TLS mode uses plain HTTP to this port: set Full \
                 (strict)",
            ),
            Self::Deadline => Some(
                "if these connections are the CDN's, the network or this host is slow: raise \
                 limits.deadline",
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
