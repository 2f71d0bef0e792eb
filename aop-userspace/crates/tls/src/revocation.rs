//! The revocation lists of a site, each with the key that signed it.
//!
//! A list counts only for certificates that the same key signed. So two CAs of one name, as after a
//! renewal with a new key, each have their own list. A list that neither a client CA of the site
//! signed nor an intermediate CA below one would cover no peer: it is refused when it is loaded.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aop_config::{CrlScope, SiteConfig};
use rustls::{
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, CertificateRevocationListDer, SubjectPublicKeyInfoDer},
};
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;

use super::{
    client_ca::Anchor,
    error::{FileError, FileErrorKind, SiteErrorKind},
    expiry::{ExpiryKind, FileExpiry, ListSubject},
    file_warnings::{FileWarning, FileWarnings, Severity},
    pem,
    revocation_list::RevocationList,
    signed_der::{SignedDer, Signer},
    site_files::SiteFiles,
};

/// A list whose signature was verified.
#[derive(Clone, Debug)]
pub(crate) struct SignedList {
    pub(crate) list: Arc<RevocationList>,
    pub(crate) key: SubjectPublicKeyInfoDer<'static>,
}

/// The contents of a file of revocation lists.
pub(crate) struct ListFile {
    pub(crate) lists: Vec<(CertificateRevocationListDer<'static>, Arc<RevocationList>)>,
    /// Those of intermediate CAs whose lists are in the files of a site.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl SignedList {
    /// Whether both are of one CA: the same name and key.
    pub(crate) fn has_signer_of(&self, other: &Self) -> bool {
        self.key == other.key && self.list.issuer == other.list.issuer
    }

    fn is_of(&self, anchor: &Anchor) -> bool {
        let signer = anchor.signer();
        self.key == signer.key && self.list.issuer == signer.name
    }
}

/// Reads the revocation lists that `site` names, whose client CAs are `anchors`.
pub(crate) fn load(
    site: &SiteConfig,
    anchors: &[Anchor],
    files: &SiteFiles,
    known: &WebPkiSupportedAlgorithms,
    warnings: &mut FileWarnings,
) -> Result<Vec<SignedList>, SiteErrorKind> {
    let revocation = &site.rules.revocation;
    let mut read = Vec::new();
    for file in &revocation.files {
        read.push((file, files.lists(file)?));
    }
    let signers = signers(&read, anchors, known)?;
    let mut found: Vec<(&Path, SignedList)> = Vec::new();
    for (file, contents) in &read {
        for (der, list) in &contents.lists {
            let signer = signer(der, list, &signers, known).map_err(|problem| problem.of(file))?;
            let signed = SignedList { list: list.clone(), key: signer.key.clone() };
            let conflict = found
                .iter()
                .find(|(_, had)| had.has_signer_of(&signed) && had.list.overlaps(&signed.list));
            if let Some((other, _)) = conflict {
                return Err(SiteErrorKind::ConflictingLists {
                    issuer: list.issuer_name.clone(),
                    files: [(*other).to_owned(), (*file).clone()],
                });
            }
            warnings.expiries.push(FileExpiry {
                site: site.name.clone(),
                subject: list.issuer_name.clone(),
                file: file.display().to_string(),
                validity: list.validity,
                kind: ExpiryKind::Crl(revocation.expired),
                list: Some(ListSubject { key: signed.key.to_vec(), part: list.part.clone() }),
            });
            found.push((file, signed));
        }
    }
    let found: Vec<SignedList> = found.into_iter().map(|(_, signed)| signed).collect();
    if revocation.scope == CrlScope::Chain && !found.is_empty() {
        let unlisted = anchors.iter().filter(|anchor| !found.iter().any(|it| it.is_of(anchor)));
        warnings.warnings.extend(unlisted.map(|anchor| FileWarning {
            text: format!(
                "client CA {} has no revocation list: every peer with a certificate from it is \
                 refused. Name its list in crl too, or remove this CA",
                anchor.name
            ),
            severity: Severity::Mistake,
        }));
    }
    Ok(found)
}

/// The client CAs, and the intermediate CAs below them whose certificates are beside the lists.
fn signers(
    read: &[(&PathBuf, Arc<ListFile>)],
    anchors: &[Anchor],
    known: &WebPkiSupportedAlgorithms,
) -> Result<Vec<Signer>, FileError> {
    let mut signers: Vec<Signer> = anchors.iter().map(Anchor::signer).collect();
    let mut unplaced = Vec::new();
    for (file, contents) in read {
        for der in &contents.certificates {
            let refused = |error| pem::not_x509(&error, file);
            let certificate = EndEntityCert::try_from(der).map_err(refused)?;
            if may_sign_lists(&pem::parse(der, file)?)
                && let Some(signed) = SignedDer::parse(der)
            {
                unplaced.push((certificate, signed));
            }
        }
    }
    // A CA may stand before the one that signed it.
    while let Some(at) = unplaced.iter().position(|(certificate, signed)| {
        let by = |ca: &Signer| ca.name == certificate.issuer() && ca.signed(signed, known);
        signers.iter().any(by)
    }) {
        let (certificate, _) = unplaced.swap_remove(at);
        let (name, key) = (certificate.subject().to_vec(), certificate.subject_public_key_info());
        signers.push(Signer { name, key });
    }
    Ok(signers)
}

/// RFC 5280, 6.3.3, f: a key usage without cRLSign forbids it.
fn may_sign_lists(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage();
    certificate.is_ca() && usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.value.crl_sign()))
}

/// The one of `signers` that signed the list.
fn signer<'a>(
    der: &[u8],
    list: &RevocationList,
    signers: &'a [Signer],
    known: &WebPkiSupportedAlgorithms,
) -> Result<&'a Signer, FileErrorKind> {
    let issuer = || list.issuer_name.clone();
    let mut named = signers.iter().filter(|signer| signer.name == list.issuer).peekable();
    if named.peek().is_none() {
        return Err(FileErrorKind::ForeignList { issuer: issuer() });
    }
    let signed = SignedDer::parse(der);
    named
        .find(|signer| signed.as_ref().is_some_and(|signed| signer.signed(signed, known)))
        .ok_or_else(|| FileErrorKind::ListOfAnotherKey { issuer: issuer() })
}
