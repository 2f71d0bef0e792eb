//! The revocation lists of a site.
//!
//! The verifier reads only the first of two lists of one issuer, and would accept a certificate
//! that only the second list revokes. Two such lists are therefore refused, unless they cover
//! different certificates of that issuer.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use aop_config::SiteConfig;
use rustls::pki_types::CertificateRevocationListDer;
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use super::{
    error::{FileError, FileErrorKind, SiteErrorKind},
    expiry::{ExpiryKind, FileExpiry},
    file_warnings::FileWarnings,
    identity, pem,
    site_files::SiteFiles,
    validity::{Validity, seconds},
};

/// Revocation lists that can be used together.
#[derive(Default)]
pub(crate) struct RevocationLists {
    pub(crate) ders: Vec<CertificateRevocationListDer<'static>>,
    pub(crate) revoked: Revoked,
    /// The nextUpdate of each list, in seconds since 1970.
    pub(crate) next_updates: Vec<u64>,
}

/// The part of its issuer's certificates that a list covers: its issuing distribution point. `None`
/// means all.
type DistributionPoint = Option<Vec<u8>>;

/// Revoked serial numbers by issuer.
pub(crate) type Revoked = HashMap<Vec<u8>, BTreeSet<Vec<u8>>>;

/// Reads the revocation lists that `site` names.
pub(crate) fn load(
    site: &SiteConfig,
    files: &SiteFiles,
    warnings: &mut FileWarnings,
) -> Result<RevocationLists, SiteErrorKind> {
    let revocation = &site.rules.revocation;
    let mut lists = RevocationLists::default();
    let mut seen: HashMap<Vec<u8>, Vec<(DistributionPoint, PathBuf)>> = HashMap::new();
    for file in &revocation.files {
        for der in pem::revocation_lists(file, files)? {
            let list = parse(&der, file)?;
            let parsed = BorrowedCertRevocationList::from_der(&der)
                .map_err(|error| unusable(&error).of(file))?;
            let serials: Result<BTreeSet<_>, _> = parsed
                .into_iter()
                .map(|revoked| revoked.map(|revoked| revoked.serial_number.to_vec()))
                .collect();
            let serials = serials.map_err(|error| unusable(&error).of(file))?;
            let parsed = CertRevocationList::from(parsed);
            let issuer = parsed.issuer().to_vec();
            let part = parsed.issuing_distribution_point().map(<[u8]>::to_vec);
            let others = seen.entry(issuer.clone()).or_default();
            if let Some((_, other)) = others.iter().find(|(had, _)| overlap(had, &part)) {
                return Err(SiteErrorKind::ConflictingLists {
                    issuer: identity::distinguished_name(list.issuer()),
                    files: [other.clone(), file.clone()],
                });
            }
            others.push((part.clone(), file.clone()));
            lists.revoked.entry(issuer).or_default().extend(serials);
            let validity = validity(&list);
            warnings.expiries.push(FileExpiry {
                site: site.name.clone(),
                subject: identity::distinguished_name(list.issuer()),
                file: file.display().to_string(),
                validity,
                kind: ExpiryKind::Crl(revocation.expired),
                part,
            });
            lists.next_updates.push(validity.not_after);
            lists.ders.push(der);
        }
    }
    Ok(lists)
}

/// Whether two lists of one issuer cover the same certificates, by their distribution points. A
/// list without a distribution point covers all.
fn overlap(one: &DistributionPoint, other: &DistributionPoint) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// Parses `der` for its issuer and dates.
pub(crate) fn parse<'a>(
    der: &'a CertificateRevocationListDer<'_>,
    file: &Path,
) -> Result<CertificateRevocationList<'a>, FileError> {
    CertificateRevocationList::from_der(der).map(|(_, list)| list).map_err(|error| {
        FileErrorKind::Malformed(format!("not a revocation list: {error}")).of(file)
    })
}

/// From thisUpdate to nextUpdate.
pub(crate) fn validity(list: &CertificateRevocationList<'_>) -> Validity {
    // The verifier refuses a list without nextUpdate.
    let until = list.next_update().map_or(0, seconds);
    Validity { not_before: seconds(list.last_update()), not_after: until }
}

fn unusable(error: &webpki::Error) -> FileErrorKind {
    FileErrorKind::Malformed(format!("this kind of revocation list cannot be used ({error})"))
}
