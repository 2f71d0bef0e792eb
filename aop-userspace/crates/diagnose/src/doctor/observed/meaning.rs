//! What it means that the edge is refused, for each reason.

use aop_tls::Refusal;

use crate::doctor::finding::visitor;

/// A mistake of an operator, as its refusals tell it.
pub(super) struct Meaning {
    /// The stable name.
    pub(super) name: &'static str,
    pub(super) said: &'static str,
    pub(super) visitor: &'static str,
    /// `None` where the refusal's own help says it.
    pub(super) cure: Option<&'static str>,
}

/// The reasons that name an operator's mistake.
pub(super) const TELLING: [Refusal; 14] = [
    Refusal::CertificateRequired,
    Refusal::NotTls,
    Refusal::UnknownCa,
    Refusal::BadCertificate,
    Refusal::CaExpired,
    Refusal::CertificateVersion,
    Refusal::CaAsLeaf,
    Refusal::WrongUsage,
    Refusal::Expired,
    Refusal::NotYetValid,
    Refusal::SanMissing,
    Refusal::CnMismatch,
    Refusal::PinMismatch,
    Refusal::PeerAlert,
];

/// What `refusal` means where the edge meets it.
pub(super) fn of(refusal: Refusal) -> Meaning {
    let meaning = |name, said, cure| Meaning { name, said, visitor: visitor::TLS, cure };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest names no mistake of its own")]
    match refusal {
        Refusal::CertificateRequired => meaning(
            "pulls_without_certificate",
            "the CDN pulls, and presents no certificate: authenticated origin pulls are not switched on \
             for the zone or the hostname, or its SSL/TLS mode is below Full",
            Some(
                "SSL/TLS mode Full (strict), then SSL/TLS > Origin Server > Authenticated Origin Pulls: on \
                 (for an uploaded certificate: enabled: true by the API, for each hostname)",
            ),
        ),
        Refusal::NotTls => Meaning {
            name: "ssl_mode_flexible",
            said: "the CDN speaks plain HTTP to this port: the zone's SSL/TLS mode is Flexible or Off",
            visitor: visitor::PLAIN,
            cure: Some("set the zone's SSL/TLS mode to Full (strict)"),
        },
        Refusal::UnknownCa | Refusal::BadCertificate => meaning(
            "pulls_of_another_ca",
            "the CDN presents a certificate that no client_ca of the site signed",
            Some(
                "name in client_ca the CA that signed the certificate that you uploaded; if none was \
                 uploaded (global authenticated origin pulls), write cloudflare-global",
            ),
        ),
        Refusal::CaExpired => meaning(
            "pulls_of_expired_ca",
            "the CDN's certificate is vouched for by a client CA that has expired",
            None,
        ),
        Refusal::CertificateVersion => meaning(
            "pulls_with_version_1",
            "the CDN presents a certificate of X.509 version 1",
            None,
        ),
        Refusal::CaAsLeaf => meaning(
            "pulls_with_ca_leaf",
            "the CDN presents a certificate that is itself a CA's",
            None,
        ),
        Refusal::SanMissing | Refusal::CnMismatch | Refusal::PinMismatch => meaning(
            "pulls_without_required_name",
            "the CDN's certificate is of the right CA, and has not the name or key that the site requires",
            None,
        ),
        Refusal::PeerAlert => Meaning {
            name: "edge_distrusts_server",
            said: "the CDN breaks the handshake off: it does not trust the server certificate",
            visitor: visitor::CERTIFICATE,
            cure: Some(
                "present a certificate of a public CA or of Cloudflare's Origin CA, with the host's name",
            ),
        },
        _ => meaning("pulls_with_bad_certificate", "the CDN's certificate is refused", None),
    }
}
