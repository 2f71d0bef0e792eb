//! Reads certificates and keys from PEM files. Its errors say what a file holds instead.

use std::path::Path;

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject, SectionKind},
};

use super::{
    error::{FileError, FileErrorKind},
    site_files::Files,
};

/// All certificates of `file`, in order; at least one.
pub(super) fn certificates(
    file: &Path,
    files: &Files,
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
        (true, 0) if is_encrypted_key(&text) => Err(FileErrorKind::KeyInstead.of(file)),
        (true, 0) => Err(FileErrorKind::NoCertificate.of(file)),
        (true, _) => Err(FileErrorKind::KeyInstead.of(file)),
    }
}

/// The first private key of `file`.
pub(super) fn key(file: &Path, files: &Files) -> Result<PrivateKeyDer<'static>, FileError> {
    let text = files.read(file)?;
    for section in sections(file, &text) {
        let (kind, der) = section?;
        if let Some(key) = PrivateKeyDer::from_pem(kind, der) {
            return Ok(key);
        }
    }
    match is_encrypted_key(&text) {
        true => Err(FileErrorKind::EncryptedKey.of(file)),
        false => Err(FileErrorKind::NoKey.of(file)),
    }
}

fn sections<'a>(
    file: &'a Path,
    text: &'a [u8],
) -> impl Iterator<Item = Result<(SectionKind, Vec<u8>), FileError>> + 'a {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text)
        .map(|section| section.map_err(|error| FileErrorKind::Malformed(told(&error)).of(file)))
}

/// The reader's own message prints markers as lists of byte values.
fn told(error: &pem::Error) -> String {
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
