//! Reads certificates and keys from PEM files. Its errors say what a file holds instead.

use std::{fmt::Display, path::Path};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject, SectionKind},
};
use x509_parser::certificate::X509Certificate;

use super::{
    error::{FileError, FileErrorKind},
    site_files::SiteFiles,
};

/// All certificates of `file`, in order; at least one.
pub(crate) fn certificates(
    file: &Path,
    files: &SiteFiles,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = files.read(file)?;
    let mut certificates = Vec::new();
    let mut keys = 0_usize;
    for section in sections(file, &text) {
        let (kind, der) = section?;
        if kind == SectionKind::Certificate {
            certificates.push(CertificateDer::from(der));
        } else if is_key(kind) {
            keys += 1;
        }
    }
    match (certificates.is_empty(), keys) {
        (false, _) => Ok(certificates),
        (true, 0) if is_encrypted_key(&text) => {
            Err(FileErrorKind::KeyInsteadOfCertificate.of(file))
        }
        (true, 0) => Err(FileErrorKind::NoCertificate.of(file)),
        (true, _) => Err(FileErrorKind::KeyInsteadOfCertificate.of(file)),
    }
}

/// The first private key of `file`.
pub(crate) fn key(file: &Path, files: &SiteFiles) -> Result<PrivateKeyDer<'static>, FileError> {
    let text = files.read(file)?;
    for section in sections(file, &text) {
        let (kind, der) = section?;
        if let Some(key) = PrivateKeyDer::from_pem(kind, der) {
            return Ok(key);
        }
    }
    let encrypted = is_encrypted_key(&text);
    Err(if encrypted { FileErrorKind::EncryptedKey } else { FileErrorKind::NoKey }.of(file))
}

/// Parses a certificate of `file`.
pub(crate) fn parse<'a>(
    certificate: &'a CertificateDer<'_>,
    file: &Path,
) -> Result<X509Certificate<'a>, FileError> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|error| not_x509(&error, file))
}

/// The error for a certificate of `file` that a parser refuses.
pub(crate) fn not_x509(error: &impl Display, file: &Path) -> FileError {
    FileErrorKind::Malformed(format!("a certificate in it is not X.509 ({error})")).of(file)
}

fn sections<'a>(
    file: &'a Path,
    text: &'a [u8],
) -> impl Iterator<Item = Result<(SectionKind, Vec<u8>), FileError>> + 'a {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text).map(|section| {
        section.map_err(|error| FileErrorKind::Malformed(error_text(&error)).of(file))
    })
}

/// The reader's own message prints markers as lists of byte values.
fn error_text(error: &pem::Error) -> String {
    if let pem::Error::MissingSectionEnd { end_marker } = error {
        return format!("a section has no end line {:?}", String::from_utf8_lossy(end_marker));
    }
    error.to_string()
}

fn is_key(kind: SectionKind) -> bool {
    [SectionKind::PrivateKey, SectionKind::RsaPrivateKey, SectionKind::EcPrivateKey].contains(&kind)
}

/// PKCS #8 marks encryption in the label, which the PEM reader skips; the older format marks it in
/// a header.
fn is_encrypted_key(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}
