//! The reasons for refusing a connection, as one table: for each its stable name, the responsible
//! party, the advice for the operator, and its meaning if the peer's address is admitted.
//!
//! To add a reason, add a row: the table makes the enum, and a row without one of the columns does
//! not compile. The names index counters, label logs and metrics, and appear in alerts that
//! operators write: never rename one.

use std::fmt;

#[cfg(test)]
mod tests;

/// The party that can remove the cause of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponsibleParty {
    /// The peer.
    Peer,
    /// The operator: a certificate was issued or installed incorrectly.
    Operator,
    /// The application behind the site.
    Upstream,
    /// This host: it lacks a resource.
    Host,
}

impl ResponsibleParty {
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

/// The advice for the operator.
#[derive(Clone, Copy)]
struct Help {
    /// All of it.
    text: &'static str,
    /// The commands at its end, if it has any.
    commands: Option<&'static str>,
}

const fn text(text: &'static str) -> Option<Help> {
    Some(Help { text, commands: None })
}

/// The command that issues a certificate which every verifier accepts, in a help text behind
/// others. It contains no backslash and no quote, which a log would escape.
macro_rules! and_issue {
    ($text:literal, $command:literal) => {
        Some(Help { text: concat!($text, $command), commands: Some($command) })
    };
}

/// Meanings of a refusal of an admitted address. All customers of the CDN share its addresses.
const NO_CERTIFICATE: Option<&str> =
    Some("another tenant of the CDN, a scanner behind it, or your zone without origin pulls");
const OTHER_CA: Option<&str> =
    Some("another tenant of the CDN, or your zone: client_ca did not sign its certificate");
const OTHER_CERTIFICATE: Option<&str> =
    Some("another tenant of the CDN, or your zone with a certificate that was changed");
const OTHER_HOST: Option<&str> =
    Some("a host that points here and is in no site, or a scanner behind the CDN");

macro_rules! refusals {
    ($(
        $(#[$doc:meta])*
        $variant:ident {
            name: $name:literal, responsible: $responsible:ident, if_admitted: $meaning:expr,
            help: $help:expr $(,)?
        }
    )*) => {
        /// Why a connection was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Refusal {
            $($(#[$doc])* $variant,)*
        }

        impl Refusal {
            /// Every refusal, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The party that can remove its cause.
            #[must_use]
            pub const fn responsible(self) -> ResponsibleParty {
                match self { $(Self::$variant => ResponsibleParty::$responsible,)* }
            }

            /// Its meaning if the peer's address is admitted, in one line; `None` if that adds
            /// nothing. aop never bans such an address, because all customers of the CDN share it.
            #[must_use]
            pub const fn if_admitted(self) -> Option<&'static str> {
                match self { $(Self::$variant => $meaning,)* }
            }

            const fn full_help(self) -> Option<Help> {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

refusals! {
    /// The peer presented no certificate.
    CertificateRequired {
        name: "certificate_required", responsible: Peer, if_admitted: NO_CERTIFICATE,
        help: text("if the CDN connected, turn on authenticated origin pulls for this host"),
    }
    /// No client CA of the site signed the peer's certificate.
    UnknownCa {
        name: "unknown_ca", responsible: Peer, if_admitted: OTHER_CA,
        help: text("if the CDN connected, add the CA that signed its certificate to the site's \
                    client_ca"),
    }
    /// The certificate is for another purpose than client authentication.
    WrongUsage {
        name: "wrong_usage", responsible: Operator, if_admitted: None,
        help: text("issue the edge's certificate with extendedKeyUsage=clientAuth, or without that \
                    extension"),
    }
    /// The certificate, or one in its chain, has expired.
    Expired {
        name: "expired", responsible: Operator, if_admitted: None,
        help: text("issue and upload a new certificate for the edge"),
    }
    /// The certificate, or one in its chain, is not valid yet.
    NotYetValid {
        name: "not_yet_valid", responsible: Operator, if_admitted: None,
        help: text("check this machine's clock, then the certificate's dates"),
    }
    /// The certificate is of X.509 version 1.
    CertificateVersion {
        name: "certificate_version", responsible: Operator, if_admitted: None,
        help: and_issue!(
            "the edge's certificate is X.509 v1 (openssl x509 -req without extensions). Issue a v3 \
             one for its key: ",
            "aop ca issue --ca ca.pem --csr leaf.csr --host HOST --out leaf"
        ),
    }
    /// The certificate is a CA certificate, as self-signed ones usually are.
    CaAsLeaf {
        name: "ca_as_leaf", responsible: Operator, if_admitted: OTHER_CA,
        help: and_issue!(
            "the edge presents a CA certificate (openssl req -x509 makes one). Sign a certificate \
             with it and upload that: ",
            "aop ca issue --ca ca.pem --host HOST --out leaf"
        ),
    }
    /// The certificate is invalid in another way: encoding, signature, constraints.
    BadCertificate {
        name: "bad_certificate", responsible: Peer, if_admitted: None,
        help: text("see detail; BadSignature can also mean that a client_ca has the signer's name \
                    but another key"),
    }
    /// The certificate has none of the names that the site requires.
    SanMissing {
        name: "san_missing", responsible: Peer, if_admitted: OTHER_CERTIFICATE,
        help: text("if the peer is your edge, issue its certificate with a name in require_san, or \
                    add its name to require_san; any other peer of this CA is refused correctly"),
    }
    /// The certificate's common name is not the one that the site requires.
    CnMismatch {
        name: "cn_mismatch", responsible: Peer, if_admitted: OTHER_CERTIFICATE,
        help: text("if the peer is your edge, issue its certificate with the common name of \
                    require_cn, or correct require_cn"),
    }
    /// The certificate's key is not pinned.
    PinMismatch {
        name: "pin_mismatch", responsible: Peer, if_admitted: OTHER_CERTIFICATE,
        help: text("if the edge's key was changed on purpose, add the key in detail to spki_pins"),
    }
    /// The certificate's key is not of the kind that the site requires.
    NotPostQuantum {
        name: "not_post_quantum", responsible: Peer, if_admitted: OTHER_CERTIFICATE,
        help: text("upload an ML-DSA certificate to the CDN, or remove require_key"),
    }
    /// The certificate, or one in its chain, is revoked.
    Revoked {
        name: "revoked", responsible: Peer, if_admitted: None,
        help: text("if the peer is your edge, upload a certificate that is not revoked"),
    }
    /// The revocation list for the certificate has expired.
    CrlExpired {
        name: "crl_expired", responsible: Operator, if_admitted: None,
        help: text("fetch a new list from its issuer and reload; until then, crl_expired = warn \
                    serves these peers"),
    }
    /// No revocation list of the site covers the certificate, or one in its chain.
    UnknownRevocation {
        name: "unknown_revocation", responsible: Operator, if_admitted: None,
        help: text("each issuer in the chain needs a list in crl; with crl_scope = leaf only the \
                    leaf's issuer needs one"),
    }
    /// The client CA that issued the certificate has expired.
    CaExpired {
        name: "ca_expired", responsible: Operator, if_admitted: None,
        help: text("replace the client CA, or write cloudflare-global instead of Cloudflare's own \
                    CA file (same key); until then, expired_ca = warn serves these peers"),
    }
    /// No site has the server name in the ClientHello.
    UnknownName {
        name: "unknown_name", responsible: Peer, if_admitted: OTHER_HOST,
        help: text("if the host is yours, add it to a site's hosts"),
    }
    /// The ClientHello has no server name.
    NoName {
        name: "no_name", responsible: Peer, if_admitted: OTHER_HOST,
        help: text("the CDN always sends a server name, so this is a scanner, or a health check by \
                    address"),
    }
    /// The peer speaks plain HTTP.
    NotTls {
        name: "not_tls", responsible: Peer, if_admitted: None,
        help: text("if the CDN connected, its SSL/TLS mode uses plain HTTP to this port: set Full \
                    (strict)"),
    }
    /// The first bytes are not a ClientHello.
    BadHello {
        name: "bad_hello", responsible: Peer, if_admitted: None,
        help: None,
    }
    /// A PROXY header came from an address that is not a sender of them, or a sender sent none or a
    /// malformed one.
    ProxyHeader {
        name: "proxy_header", responsible: Peer, if_admitted: None,
        help: text("see detail; every address in the listener's proxy_from must send a PROXY \
                    header, and no other may send one"),
    }
    /// ClientHello or handshake did not finish in time.
    Deadline {
        name: "deadline", responsible: Peer, if_admitted: None,
        help: text("if these connections are the CDN's, the network or this host is slow: raise \
                    limits.deadline"),
    }
    /// The peer's address is not admitted.
    NotAdmitted {
        name: "not_admitted", responsible: Peer, if_admitted: None,
        help: text("if the address is the CDN's or yours, its prefix is missing from the list or \
                    from firewall.extra"),
    }
    /// The peer closed or reset the connection before the handshake was finished.
    PeerGone {
        name: "peer_gone", responsible: Peer, if_admitted: None,
        help: None,
    }
    /// The peer ended the handshake with an alert, usually because it does not accept the server
    /// certificate.
    PeerAlert {
        name: "peer_alert", responsible: Operator, if_admitted: None,
        help: text("the CDN may not trust the server certificate (Full (strict) requires one from \
                    a public CA or Cloudflare's Origin CA)"),
    }
    /// No common version or cipher, or a breach of the TLS protocol.
    Protocol {
        name: "protocol", responsible: Peer, if_admitted: None,
        help: text("see detail"),
    }
    /// The site's upstream could not be reached.
    UpstreamUnreachable {
        name: "upstream_unreachable", responsible: Upstream, if_admitted: None,
        help: text("start the application, or correct the site's upstream"),
    }
    /// There were too many pending handshakes, and this one was the oldest that may be closed.
    CrowdedOut {
        name: "crowded_out", responsible: Peer, if_admitted: None,
        help: text("if these connections are the CDN's, raise limits.handshakes; if not, find the \
                    source of the flood"),
    }
    /// There were too many pending handshakes from its address, and this one was the oldest.
    TooMany {
        name: "too_many", responsible: Peer, if_admitted: None,
        help: text("if the address is the CDN's, raise limits.per_peer"),
    }
    /// The peer authenticated, but no slot became free before the deadline.
    NoSlot {
        name: "no_slot", responsible: Host, if_admitted: None,
        help: text("raise limits.connections"),
    }
    /// This process has no file descriptor for the connection to the upstream.
    NoDescriptor {
        name: "no_descriptor", responsible: Host, if_admitted: None,
        help: text("raise the limit of open files (systemd: LimitNOFILE=)"),
    }
    /// The facts for the upstream do not fit into a PROXY header.
    ProxyTooLong {
        name: "proxy_too_long", responsible: Operator, if_admitted: None,
        help: text("remove proxy_certificate, or issue a smaller certificate to the edge"),
    }
}

impl Refusal {
    /// The refusal with this stable name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.name() == name)
    }

    /// Advice for the operator, if there is any.
    #[must_use]
    pub const fn help(self) -> Option<&'static str> {
        match self.full_help() {
            Some(help) => Some(help.text),
            None => None,
        }
    }

    /// The commands at the end of the help, if it has any.
    #[must_use]
    pub const fn commands(self) -> Option<&'static str> {
        match self.full_help() {
            Some(help) => help.commands,
            None => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
