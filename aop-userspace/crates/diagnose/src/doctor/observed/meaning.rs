//! The operator's mistake behind each refusal of the edge.

use aop_api::VisitorError;
use aop_types::Refusal;

/// A mistake of the operator that a refusal reveals.
pub(super) struct Meaning {
    /// The stable name of the finding.
    pub(super) name: &'static str,
    pub(super) said: &'static str,
    pub(super) visitor: VisitorError,
    /// `None`: use the help of the refusal.
    pub(super) cure: Option<&'static str>,
}

/// The mistake that `refusal` reveals if it hits the edge; `None` if it reveals none.
pub(super) const fn meaning(refusal: Refusal) -> Option<Meaning> {
    const fn tls(
        name: &'static str,
        said: &'static str,
        cure: Option<&'static str>,
    ) -> Option<Meaning> {
        Some(Meaning { name, said, visitor: VisitorError::Tls, cure })
    }
    match refusal {
        Refusal::CertificateRequired => tls(
            "pulls_without_certificate",
            "the CDN pulls without a certificate: authenticated origin pulls are not switched on \
             for the zone or the hostname, or its SSL/TLS mode is below Full",
            Some(
                "set SSL/TLS mode Full (strict), then switch on SSL/TLS > Origin Server > \
                 Authenticated Origin Pulls (for an uploaded certificate: set enabled: true with \
                 the API, for each hostname)",
            ),
        ),
        Refusal::NotTls => Some(Meaning {
            name: "ssl_mode_flexible",
            said: "the CDN speaks plain HTTP to this port: the SSL/TLS mode is Flexible or Off",
            visitor: VisitorError::Plain,
            cure: Some("set the zone's SSL/TLS mode to Full (strict)"),
        }),
        Refusal::UnknownCa | Refusal::BadCertificate => tls(
            "pulls_of_another_ca",
            "the CDN presents a certificate that no client_ca of the site signed",
            Some(
                "set client_ca to the CA that signed the certificate that you uploaded; if none \
                 was uploaded (global authenticated origin pulls), set it to cloudflare-global",
            ),
        ),
        Refusal::CaExpired => tls(
            "pulls_of_expired_ca",
            "the CDN's certificate was issued by a client CA that has expired",
            None,
        ),
        Refusal::CertificateVersion => {
            tls("pulls_with_version_1", "the CDN presents a certificate of X.509 version 1", None)
        }
        Refusal::CaAsLeaf => {
            tls("pulls_with_ca_leaf", "the CDN presents a certificate with CA:TRUE", None)
        }
        Refusal::SanMissing | Refusal::CnMismatch | Refusal::PinMismatch => tls(
            "pulls_without_required_name",
            "the CDN's certificate is from the right CA, but lacks the name or key that the site \
             requires",
            None,
        ),
        Refusal::WrongUsage | Refusal::Expired | Refusal::NotYetValid => {
            tls("pulls_with_bad_certificate", "the CDN's certificate is refused", None)
        }
        Refusal::PeerAlert => Some(Meaning {
            name: "edge_distrusts_server",
            said: "the CDN aborts the handshake: it does not trust the server certificate",
            visitor: VisitorError::Certificate,
            cure: Some(
                "use a server certificate from a public CA or from Cloudflare's Origin CA, with \
                 the name of the host",
            ),
        }),
        Refusal::NotPostQuantum
        | Refusal::Revoked
        | Refusal::CrlExpired
        | Refusal::UnknownRevocation
        | Refusal::UnknownName
        | Refusal::NoName
        | Refusal::BadHello
        | Refusal::ProxyHeader
        | Refusal::Deadline
        | Refusal::NotAdmitted
        | Refusal::PeerGone
        | Refusal::Protocol
        | Refusal::UpstreamUnreachable
        | Refusal::CrowdedOut
        | Refusal::TooMany
        | Refusal::NoSlot
        | Refusal::NoDescriptor
        | Refusal::ProxyTooLong => None,
    }
}
