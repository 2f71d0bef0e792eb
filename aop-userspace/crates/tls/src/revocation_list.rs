//! One revocation list, in the form in which handshakes look serial numbers up.
//!
//! webpki parses a list and refuses the kinds that it does not support: deltas, indirect lists and
//! lists of some reasons. This keeps what is needed of such a list, without dates and reasons of
//! its entries: sites that name the same list share it, so it is in memory once.

use aws_lc_rs::digest::{SHA256, digest};
use webpki::{BorrowedCertRevocationList, Cert, CertRevocationList};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    oid_registry::OID_X509_EXT_CRL_DISTRIBUTION_POINTS,
    prelude::FromDer,
    time::ASN1Time,
    x509::X509Name,
};

use super::{
    error::FileErrorKind,
    identity,
    signed_der::{SignedDer, elements},
    validity::{Validity, seconds},
};

/// A revocation list.
#[derive(Debug)]
pub(crate) struct RevocationList {
    /// The DER name of its issuer, without the outer SEQUENCE header.
    pub(crate) issuer: Vec<u8>,
    /// The same, for people.
    pub(crate) issuer_name: String,
    /// From thisUpdate to nextUpdate.
    pub(crate) validity: Validity,
    /// The DER of its issuing distribution point: the part of its issuer's certificates that it
    /// covers. `None` means all.
    pub(crate) part: Option<Vec<u8>>,
    scope: Option<Scope>,
    /// In ascending order.
    serials: Box<[Box<[u8]>]>,
    /// SHA-256 of its DER.
    digest: [u8; 32],
}

/// The certificates that a list with an issuing distribution point covers.
#[derive(Debug, Default)]
struct Scope {
    only_leaves: bool,
    only_cas: bool,
    uris: Vec<Vec<u8>>,
}

/// The role of a certificate in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainRole {
    Leaf,
    Ca,
}

impl RevocationList {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, FileErrorKind> {
        let unusable = |error| {
            FileErrorKind::Malformed(format!(
                "this kind of revocation list cannot be used ({error})"
            ))
        };
        let malformed = || FileErrorKind::Malformed("not a revocation list".into());
        let parsed = BorrowedCertRevocationList::from_der(der).map_err(unusable)?;
        let serials: Result<Vec<Box<[u8]>>, _> = parsed
            .into_iter()
            .map(|revoked| revoked.map(|revoked| revoked.serial_number.into()))
            .collect();
        let mut serials = serials.map_err(unusable)?;
        serials.sort_unstable();
        let parsed = CertRevocationList::from(parsed);
        let (issuer_name, validity) = heading(der).ok_or_else(malformed)?;
        let part = parsed.issuing_distribution_point().map(<[u8]>::to_vec);
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, der).as_ref());
        Ok(Self {
            issuer: parsed.issuer().to_vec(),
            issuer_name,
            validity,
            scope: part.as_deref().map(Scope::of),
            part,
            serials: serials.into(),
            digest: sum,
        })
    }

    /// The number of certificates that it revokes.
    pub(crate) fn len(&self) -> usize {
        self.serials.len()
    }

    /// Whether it revokes the certificate of its issuer with this serial number.
    pub(crate) fn revokes(&self, serial: &[u8]) -> bool {
        self.serials.binary_search_by(|revoked| (**revoked).cmp(serial)).is_ok()
    }

    /// Whether each serial number is in one of `others`.
    pub(crate) fn is_within(&self, others: &[&Self]) -> bool {
        others.iter().any(|other| self.digest == other.digest)
            || self.serials.iter().all(|serial| others.iter().any(|other| other.revokes(serial)))
    }

    /// Whether two lists of one issuer cover the same certificates.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.part.is_none() || other.part.is_none() || self.part == other.part
    }

    /// Whether it covers `certificate`, which its issuer signed (RFC 5280, 6.3.3, b).
    pub(crate) fn covers(&self, certificate: &Cert<'_>, role: ChainRole) -> bool {
        let Some(scope) = &self.scope else { return true };
        match role {
            ChainRole::Leaf if scope.only_cas => return false,
            ChainRole::Ca if scope.only_leaves => return false,
            ChainRole::Leaf | ChainRole::Ca => {}
        }
        let der = certificate.der();
        let Ok((_, parsed)) = X509Certificate::from_der(&der) else { return false };
        scope.is_named_by(&parsed)
    }
}

/// The issuer's name for people, and the dates. webpki has checked that they are there.
fn heading(der: &[u8]) -> Option<(String, Validity)> {
    let signed = SignedDer::parse(der)?;
    // After the version and the algorithm.
    let mut fields = elements(signed.message.content).skip(2).map(|field| field.whole);
    let (_, issuer) = X509Name::from_der(fields.next()?).ok()?;
    let mut date = || Some(seconds(ASN1Time::from_der(fields.next()?).ok()?.1));
    let (not_before, not_after) = (date()?, date()?);
    Some((identity::distinguished_name(&issuer), Validity { not_before, not_after }))
}

impl Scope {
    /// The scope in an issuing distribution point that webpki has parsed (RFC 5280, 5.2.5): it has
    /// a full name, and no reasons.
    fn of(part: &[u8]) -> Self {
        let mut scope = Self::default();
        for field in elements(part).flat_map(|sequence| elements(sequence.content)) {
            match field.tag {
                0 => {
                    let names = elements(field.content).flat_map(|full| elements(full.content));
                    // [6] is a URI.
                    let uris = names.filter(|name| name.tag == 6);
                    scope.uris.extend(uris.map(|uri| uri.content.to_vec()));
                }
                1 => scope.only_leaves = field.content != [0],
                2 => scope.only_cas = field.content != [0],
                _ => {}
            }
        }
        scope
    }

    /// Whether a certificate names one of these URIs as a place of its list, or names no place.
    fn is_named_by(&self, certificate: &X509Certificate<'_>) -> bool {
        let mut places = certificate
            .extensions()
            .iter()
            .filter(|extension| extension.oid == OID_X509_EXT_CRL_DISTRIBUTION_POINTS)
            .peekable();
        if places.peek().is_none() {
            return true;
        }
        places.any(|extension| {
            let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension()
            else {
                return false;
            };
            points
                .iter()
                .filter(|point| point.reasons.is_none() && point.crl_issuer.is_none())
                .filter_map(|point| match &point.distribution_point {
                    Some(DistributionPointName::FullName(names)) => Some(names),
                    Some(DistributionPointName::NameRelativeToCRLIssuer(_)) | None => None,
                })
                .flatten()
                .any(|name| {
                    matches!(name, GeneralName::URI(uri)
                        if self.uris.iter().any(|had| had == uri.as_bytes()))
                })
        })
    }
}
