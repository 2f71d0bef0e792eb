//! Reads certificates, keys and revocation lists from PEM files. Its errors say what a file holds
//! instead.

mod sections;

use std::{fmt::Display, path::Path, sync::Arc};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;

pub use self::sections::{Section, SectionContent, SectionError, SectionFault, sections};
use super::{
    error::{FileError, FileErrorKind},
    revocation::ListFile,
    revocation_list::RevocationList,
    site_files::SiteFiles,
};

/// All certificates of `file`, in order; at least one.
pub(crate) fn certificates(
    file: &Path,
    files: &SiteFiles,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let mut certificates = Vec::new();
    let mut keys = 0_usize;
    for section in sections_in(file, files)? {
        match section.content {
            SectionContent::Certificate(der) => certificates.push(CertificateDer::from(der)),
            SectionContent::Key(_)
            | SectionContent::EncryptedKey(_)
            | SectionContent::OlderEncryptedKey => keys += 1,
            SectionContent::Crl(_) | SectionContent::Request(_) | SectionContent::Other => {}
        }
    }
    match (certificates.is_empty(), keys) {
        (false, _) => Ok(certificates),
        (true, 0) => Err(FileErrorKind::NoCertificate.of(file)),
        (true, _) => Err(FileErrorKind::KeyInsteadOfCertificate.of(file)),
    }
}

/// The certificates of a file of client CAs, in which nothing else has a meaning.
pub(crate) fn client_cas(
    file: &Path,
    files: &SiteFiles,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let is_list = |section: &Section| matches!(section.content, SectionContent::Crl(_));
    match sections_in(file, files)?.iter().find(|section| is_list(section)) {
        Some(list) => Err(FileErrorKind::ListInsteadOfCertificate { line: list.line }.of(file)),
        None => certificates(file, files),
    }
}

/// The private key of `file`.
pub(crate) fn key(file: &Path, files: &SiteFiles) -> Result<PrivateKeyDer<'static>, FileError> {
    let mut found: Option<(usize, PrivateKeyDer<'static>)> = None;
    let mut encrypted = false;
    for Section { line, content } in sections_in(file, files)? {
        let key = match content {
            SectionContent::Key(key) => key,
            SectionContent::EncryptedKey(_) | SectionContent::OlderEncryptedKey => {
                encrypted = true;
                continue;
            }
            SectionContent::Certificate(_)
            | SectionContent::Crl(_)
            | SectionContent::Request(_)
            | SectionContent::Other => continue,
        };
        match &found {
            Some((first, had)) if *had != key => {
                return Err(FileErrorKind::TwoKeys { lines: [*first, line] }.of(file));
            }
            Some(_) => {}
            None => found = Some((line, key)),
        }
    }
    match found {
        Some((_, key)) => Ok(key),
        None if encrypted => Err(FileErrorKind::EncryptedKey.of(file)),
        None => Err(FileErrorKind::NoKey.of(file)),
    }
}

/// The revocation lists of `file`, PEM or DER; at least one.
pub(crate) fn revocation_lists(file: &Path, bytes: &[u8]) -> Result<ListFile, FileError> {
    let list = |der: Vec<u8>| {
        let list = RevocationList::parse(&der).map_err(|problem| problem.of(file))?;
        Ok((CertificateRevocationListDer::from(der), Arc::new(list)))
    };
    let mut found = ListFile { lists: Vec::new(), certificates: Vec::new() };
    // A DER list is a SEQUENCE whose length takes more than one byte; PEM is text.
    if matches!(bytes[..], [0x30, 0x80..=0xff, ..]) {
        found.lists.push(list(bytes.to_vec())?);
        return Ok(found);
    }
    for section in sections_of(file, bytes)? {
        match section.content {
            SectionContent::Crl(der) => found.lists.push(list(der)?),
            SectionContent::Certificate(der) => found.certificates.push(der.into()),
            SectionContent::Key(_)
            | SectionContent::EncryptedKey(_)
            | SectionContent::OlderEncryptedKey
            | SectionContent::Request(_)
            | SectionContent::Other => {}
        }
    }
    match found.lists.is_empty() {
        false => Ok(found),
        true => Err(FileErrorKind::NoRevocationList.of(file)),
    }
}

/// Parses a certificate of `file`.
pub(crate) fn parse<'a>(
    certificate: &'a CertificateDer<'_>,
    file: &Path,
) -> Result<X509Certificate<'a>, FileError> {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) => Err(not_x509(&"bytes follow its end", file)),
        Err(error) => Err(not_x509(&error, file)),
    }
}

/// The error for a certificate of `file` that a parser refuses.
pub(crate) fn not_x509(error: &impl Display, file: &Path) -> FileError {
    FileErrorKind::Malformed(format!("a certificate in it is not X.509 ({error})")).of(file)
}

fn sections_in(file: &Path, files: &SiteFiles) -> Result<Vec<Section>, FileError> {
    sections_of(file, &files.read(file)?)
}

fn sections_of(file: &Path, bytes: &[u8]) -> Result<Vec<Section>, FileError> {
    sections(bytes).map_err(|error| FileErrorKind::Section(error).of(file))
}
