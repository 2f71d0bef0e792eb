//! Who may pull: rustls' verifier, and around it what rustls does not ask.
//!
//! The chain, its signatures and its revocation are webpki's. Here are the end dates of the anchors,
//! and the rules about the leaf. A refusal of either becomes a TLS alert, and keeps its reason.

use std::{fmt, sync::Arc};

use aop_config::{CrlScope, PastEnd, Rules};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{anchors::Anchor, crl::Lists, leaf, refusal::Refusal, validity::Validity};

/// Judges the certificates that are presented to one site.
#[derive(Debug)]
pub(super) struct SiteVerifier {
    /// By all anchors.
    all: Arc<dyn ClientCertVerifier>,
    /// By those that are left after a moment; `None` where none is. In the order of time.
    left: Vec<(u64, Option<Arc<dyn ClientCertVerifier>>)>,
    rules: Rules,
    /// Seconds since 1970 at which its judgement may change by itself.
    ends: Vec<u64>,
}

/// A refusal by what rustls has no error for.
#[derive(Clone, Debug)]
pub(super) struct RuleBroken {
    pub(super) refusal: Refusal,
    pub(super) detail: String,
}

impl SiteVerifier {
    pub(super) fn new(
        anchors: &[Anchor],
        rules: &Rules,
        lists: &Lists,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let by = |anchors: &[&Anchor]| {
            let roots = anchors.iter().map(|anchor| anchor.trust.clone()).collect();
            let roots = Arc::new(RootCertStore { roots });
            let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                .with_crls(lists.ders.iter().cloned());
            if rules.revocation.scope == CrlScope::Leaf {
                builder = builder.only_check_end_entity_revocation();
            }
            if rules.revocation.expired == PastEnd::Refuse {
                builder = builder.enforce_revocation_expiration();
            }
            builder.build()
        };
        let all = by(&anchors.iter().collect::<Vec<_>>())?;
        let mut left = Vec::new();
        if rules.expired_ca == PastEnd::Refuse {
            let mut ends: Vec<u64> = anchors.iter().map(|anchor| anchor.not_after).collect();
            ends.sort_unstable();
            ends.dedup();
            for end in ends {
                let rest: Vec<_> = anchors.iter().filter(|anchor| anchor.not_after > end).collect();
                left.push((end, if rest.is_empty() { None } else { Some(by(&rest)?) }));
            }
        }
        let mut ends: Vec<u64> = left.iter().map(|(end, _)| *end).collect();
        if rules.revocation.expired == PastEnd::Refuse {
            ends.extend(&lists.ends);
        }
        Ok(Self { all, left, rules: rules.clone(), ends })
    }

    /// The last second at which it will surely judge `chain` as it does at `now`, if it passes now.
    pub(super) fn stands_until(&self, chain: &[CertificateDer<'_>], now: u64) -> u64 {
        let of_chain = chain.iter().map(|certificate| {
            let parsed = x509_parser::parse_x509_certificate(certificate);
            parsed.map_or(now, |(_, parsed)| Validity::from(&parsed).not_after)
        });
        // The second itself belongs to a certificate, and no more to a list.
        let ends = self.ends.iter().filter(|end| **end >= now).map(|end| end.saturating_sub(1));
        of_chain.chain(ends).min().unwrap_or(now)
    }

    /// The chain by the anchors that stand at `now`. Where it holds only by one that has ended,
    /// that is the reason.
    fn chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let by = |verifier: &Arc<dyn ClientCertVerifier>| {
            verifier.verify_client_cert(leaf, intermediates, now)
        };
        let passed = self.left.iter().rev().find(|(end, _)| now.as_secs() > *end);
        let Some((_, left)) = passed else { return by(&self.all) };
        let standing = left.as_ref().map(by);
        if let Some(Ok(verified)) = standing {
            return Ok(verified);
        }
        by(&self.all)?;
        Err(RuleBroken {
            refusal: Refusal::CaExpired,
            detail: "the client CA that vouches for the certificate has expired".into(),
        }
        .into())
    }
}

impl ClientCertVerifier for SiteVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.all.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain(leaf, intermediates, now)?;
        leaf::judge(leaf, &self.rules)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.all.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.all.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.all.supported_verify_schemes()
    }
}

impl From<RuleBroken> for Error {
    fn from(broken: RuleBroken) -> Self {
        CertificateError::Other(OtherError(Arc::new(broken))).into()
    }
}

impl fmt::Display for RuleBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for RuleBroken {}
