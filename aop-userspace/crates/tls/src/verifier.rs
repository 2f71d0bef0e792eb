//! Verifies client certificates: rustls' verifier, and the checks that rustls lacks.
//!
//! webpki checks the chain, its signatures and its revocation. This module checks the expiry of the
//! anchors and the rules for the leaf. A refusal here becomes a TLS alert, and keeps its reason.

use std::{fmt, sync::Arc};

use aop_config::{CertificateRules, CrlScope, OnExpiry};
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

use super::{
    client_ca::Anchor, leaf_rules, refusal::Refusal, revocation::Lists, validity::Validity,
};

/// Verifies the certificates that peers present to one site.
#[derive(Debug)]
pub(super) struct SiteVerifier {
    /// Verifies with all anchors.
    all: Arc<dyn ClientCertVerifier>,
    /// For each time at which an anchor expires, in ascending order: a verifier with the anchors
    /// that expire later, `None` if there is none.
    left: Vec<(u64, Option<Arc<dyn ClientCertVerifier>>)>,
    rules: CertificateRules,
    /// Times at which an anchor or a revocation list expires, in seconds since 1970.
    ends: Vec<u64>,
}

/// A refusal for which rustls has no error.
#[derive(Clone, Debug)]
pub(super) struct RuleBroken {
    pub(super) refusal: Refusal,
    pub(super) detail: String,
}

impl SiteVerifier {
    pub(super) fn new(
        anchors: &[Anchor],
        rules: &CertificateRules,
        lists: &Lists,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let build = |anchors: &[&Anchor]| {
            let roots = anchors.iter().map(|anchor| anchor.trust.clone()).collect();
            let roots = Arc::new(RootCertStore { roots });
            let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                .with_crls(lists.ders.iter().cloned());
            if rules.revocation.scope == CrlScope::Leaf {
                builder = builder.only_check_end_entity_revocation();
            }
            if rules.revocation.expired == OnExpiry::Refuse {
                builder = builder.enforce_revocation_expiration();
            }
            builder.build()
        };
        let all = build(&anchors.iter().collect::<Vec<_>>())?;
        let mut left = Vec::new();
        if rules.expired_ca == OnExpiry::Refuse {
            let mut ends: Vec<u64> = anchors.iter().map(|anchor| anchor.not_after).collect();
            ends.sort_unstable();
            ends.dedup();
            for end in ends {
                let rest: Vec<_> = anchors.iter().filter(|anchor| anchor.not_after > end).collect();
                left.push((end, if rest.is_empty() { None } else { Some(build(&rest)?) }));
            }
        }
        let mut ends: Vec<u64> = left.iter().map(|(end, _)| *end).collect();
        if rules.revocation.expired == OnExpiry::Refuse {
            ends.extend(&lists.ends);
        }
        Ok(Self { all, left, rules: rules.clone(), ends })
    }

    /// For a `chain` that passes at `now`: the last second at which it surely still passes.
    pub(super) fn stands_until(&self, chain: &[CertificateDer<'_>], now: u64) -> u64 {
        let of_chain = chain.iter().map(|certificate| {
            let parsed = x509_parser::parse_x509_certificate(certificate);
            parsed.map_or(now, |(_, parsed)| Validity::from(&parsed).not_after)
        });
        // A certificate is still valid in the second of its notAfter, a list no longer in that of
        // its nextUpdate.
        let ends = self.ends.iter().filter(|end| **end >= now).map(|end| end.saturating_sub(1));
        of_chain.chain(ends).min().unwrap_or(now)
    }

    /// Verifies the chain with the anchors that are valid at `now`. If only an expired anchor
    /// accepts it, the refusal says so.
    fn chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verify = |verifier: &Arc<dyn ClientCertVerifier>| {
            verifier.verify_client_cert(leaf, intermediates, now)
        };
        let last_expiry = self.left.iter().rev().find(|(end, _)| now.as_secs() > *end);
        let Some((_, valid)) = last_expiry else { return verify(&self.all) };
        if let Some(Ok(verified)) = valid.as_ref().map(verify) {
            return Ok(verified);
        }
        verify(&self.all)?;
        Err(RuleBroken {
            refusal: Refusal::CaExpired,
            detail: "the client CA that issued the certificate has expired".into(),
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
        leaf_rules::judge(leaf, &self.rules)?;
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
