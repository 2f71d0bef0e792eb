//! Finds the client CA of a peer by the names in its chain.
//!
//! Only for display: the chain was verified before, and not here. If two anchors have the same
//! name, the first one is shown.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::client_ca::Anchor;

/// The client CA at the end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuingCa {
    /// Its name in the configuration: `cloudflare-global`, or a path.
    pub name: String,
    /// How much its signature proves.
    pub scope: CaScope,
}

/// How much a client CA's signature proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaScope {
    /// The Cloudflare network, which all its customers share.
    CloudflareGlobal,
    /// A zone or hostname of the operator; the origin cannot distinguish the two.
    Own,
}

impl CaScope {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloudflareGlobal => "global",
            Self::Own => "own",
        }
    }
}

/// The anchor among `anchors` to which the names of `chain` lead. The chain is leaf first.
pub(crate) fn find(chain: &[CertificateDer<'_>], anchors: &[Anchor]) -> Option<IssuingCa> {
    let parsed: Vec<EndEntityCert<'_>> =
        chain.iter().filter_map(|der| EndEntityCert::try_from(der).ok()).collect();
    let mut issuer = parsed.first()?.issuer().to_vec();
    // Bounded, since the names in a chain can form a loop.
    for _ in 0..=chain.len() {
        if let Some(anchor) = anchors.iter().find(|anchor| anchor.trust.subject.as_ref() == issuer)
        {
            let scope =
                if anchor.is_cloudflares() { CaScope::CloudflareGlobal } else { CaScope::Own };
            return Some(IssuingCa { name: anchor.name.clone(), scope });
        }
        let next = parsed.iter().find(|certificate| certificate.subject() == issuer)?;
        issuer = next.issuer().to_vec();
    }
    None
}
