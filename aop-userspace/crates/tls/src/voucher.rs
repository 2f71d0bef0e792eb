//! Which client CA vouches for a peer, told from the names in its chain.
//!
//! For the operator's eyes alone: the chain was verified before, and not by this. Where two anchors
//! have one name it names the first.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::anchors::Anchor;

/// The client CA at the end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// As the configuration calls it: `cloudflare-global`, or a path.
    pub name: String,
    /// What its signature proves.
    pub level: Level,
}

/// What a client CA's signature proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The Cloudflare network, which all its customers share.
    Global,
    /// A certificate of the operator's own, for a zone or a hostname: the origin cannot tell which.
    Own,
}

impl Level {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Own => "own",
        }
    }
}

/// The anchor among `anchors` to which the names of `chain` lead, the leaf first.
pub(super) fn of(chain: &[CertificateDer<'_>], anchors: &[Anchor]) -> Option<Voucher> {
    let parsed: Vec<EndEntityCert<'_>> =
        chain.iter().filter_map(|der| EndEntityCert::try_from(der).ok()).collect();
    let mut issuer = parsed.first()?.issuer().to_vec();
    // Each step leads to another certificate, or there are more steps than certificates.
    for _ in 0..=chain.len() {
        if let Some(anchor) = anchors.iter().find(|anchor| anchor.trust.subject.as_ref() == issuer)
        {
            let level = if anchor.is_cloudflares() { Level::Global } else { Level::Own };
            return Some(Voucher { name: anchor.name.clone(), level });
        }
        let next = parsed.iter().find(|certificate| certificate.subject() == issuer)?;
        issuer = next.issuer().to_vec();
    }
    None
}
