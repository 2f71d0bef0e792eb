//! Verifies client certificates: rustls' verifier, and the checks that rustls lacks.
//!
//! webpki checks the chain and its signatures. This module checks the expiry of the anchors and the
//! rules for the leaf, and `revocation_check` the revocation. A refusal here becomes a TLS alert,
//! and keeps its reason.

use std::{fmt, sync::Arc};

use aop_config::{CertificateRules, OnExpiry};
use aop_types::Refusal;
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
    client_ca::Anchor, leaf_rules::check_leaf, name_spelling, revocation::SignedList,
    revocation_check::RevocationCheck, validity::Validity,
};

/// Verifies the certificates that peers present to one site.
#[derive(Debug)]
pub(crate) struct SiteVerifier {
    /// Verifies with all anchors.
    all_anchors: ChainVerifier,
    /// For each time at which an anchor expires, in ascending order: a verifier with the anchors
    /// that expire later, `None` if there is none.
    after_expiry: Vec<(u64, Option<ChainVerifier>)>,
    /// `None` if the site has no revocation list.
    revocation: Option<RevocationCheck>,
    anchors: Vec<Anchor>,
    rules: CertificateRules,
    /// Times at which an anchor or a revocation list expires, in seconds since 1970.
    changes_at: Vec<u64>,
}

/// Verifies chains with a set of anchors, apart from revocation.
#[derive(Debug)]
struct ChainVerifier {
    webpki: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
}

/// A refusal for which rustls has no error.
#[derive(Clone, Debug)]
pub(crate) struct BrokenRule {
    pub(crate) refusal: Refusal,
    pub(crate) detail: String,
}

impl SiteVerifier {
    pub(crate) fn new(
        anchors: &[Anchor],
        rules: &CertificateRules,
        lists: &[SignedList],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let build = |anchors: &[&Anchor]| -> Result<_, VerifierBuilderError> {
            let roots = anchors.iter().map(|anchor| anchor.trust.clone()).collect();
            let roots = Arc::new(RootCertStore { roots });
            let webpki =
                WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
                    .build()?;
            Ok(ChainVerifier { webpki, roots })
        };
        let all_anchors = build(&anchors.iter().collect::<Vec<_>>())?;
        let mut after_expiry = Vec::new();
        if rules.expired_ca == OnExpiry::Refuse {
            let mut ends: Vec<u64> = anchors.iter().map(|anchor| anchor.not_after).collect();
            ends.sort_unstable();
            ends.dedup();
            for end in ends {
                let rest: Vec<_> = anchors.iter().filter(|anchor| anchor.not_after > end).collect();
                after_expiry.push((end, if rest.is_empty() { None } else { Some(build(&rest)?) }));
            }
        }
        let mut changes_at: Vec<u64> = after_expiry.iter().map(|(end, _)| *end).collect();
        if rules.revocation.expired == OnExpiry::Refuse {
            changes_at.extend(lists.iter().map(|it| it.list.validity.not_after));
        }
        let known = provider.signature_verification_algorithms;
        let revocation = RevocationCheck::new(lists, &rules.revocation, known);
        let (anchors, rules) = (anchors.to_vec(), rules.clone());
        Ok(Self { all_anchors, after_expiry, revocation, anchors, rules, changes_at })
    }

    /// Says so if the issuer is unknown only because its name is spelled in another way.
    fn explained(
        &self,
        error: Error,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Error {
        if error != Error::InvalidCertificate(CertificateError::UnknownIssuer) {
            return error;
        }
        let chain: Vec<_> = [leaf].into_iter().chain(intermediates).cloned().collect();
        let anchors = self.anchors.iter().map(|anchor| &anchor.trust);
        let found = name_spelling::is_spelled_otherwise(anchors, &chain);
        match found {
            // An unauthenticated peer may read this: it names no file.
            true => BrokenRule {
                refusal: Refusal::UnknownCa,
                detail: "the issuer has the name of a client CA, but in another string type or \
                         letter case (RFC 5280, 7.1), and names are compared byte by byte: issue \
                         the certificate with exactly the subject of that CA"
                    .into(),
            }
            .into(),
            false => error,
        }
    }

    /// For a `chain` that passes at `now`: the last second at which it surely still passes.
    pub(crate) fn session_expiry(&self, chain: &[CertificateDer<'_>], now: u64) -> u64 {
        let of_chain = chain.iter().map(|certificate| {
            let parsed = x509_parser::parse_x509_certificate(certificate);
            parsed.map_or(now, |(_, parsed)| Validity::from(&parsed).not_after)
        });
        // A certificate is still valid in the second of its notAfter, a list no longer in that of
        // its nextUpdate.
        let ends =
            self.changes_at.iter().filter(|end| **end >= now).map(|end| end.saturating_sub(1));
        of_chain.chain(ends).min().unwrap_or(now)
    }

    /// Verifies the chain with the anchors that are valid at `now`. If only an expired anchor
    /// accepts it, the refusal says so.
    fn verify_chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verify = |verifier: &ChainVerifier| {
            let verified = verifier.webpki.verify_client_cert(leaf, intermediates, now)?;
            if let Some(revocation) = &self.revocation {
                revocation.check(leaf, intermediates, &verifier.roots, now)?;
            }
            Ok(verified)
        };
        let last_expiry = self.after_expiry.iter().rev().find(|(end, _)| now.as_secs() > *end);
        let Some((_, valid)) = last_expiry else { return verify(&self.all_anchors) };
        if let Some(Ok(verified)) = valid.as_ref().map(verify) {
            return Ok(verified);
        }
        verify(&self.all_anchors)?;
        Err(BrokenRule {
            refusal: Refusal::CaExpired,
            detail: "the client CA that issued the certificate has expired".into(),
        }
        .into())
    }
}

impl ClientCertVerifier for SiteVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.all_anchors.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .verify_chain(leaf, intermediates, now)
            .map_err(|error| self.explained(error, leaf, intermediates))?;
        check_leaf(leaf, &self.rules)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.all_anchors.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.all_anchors.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.all_anchors.webpki.supported_verify_schemes()
    }
}

impl From<BrokenRule> for Error {
    fn from(broken: BrokenRule) -> Self {
        CertificateError::Other(OtherError(Arc::new(broken))).into()
    }
}

impl fmt::Display for BrokenRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for BrokenRule {}
