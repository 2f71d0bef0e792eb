//! The certificates that Cloudflare takes.

use rcgen::{KeyPair, PublicKeyData};
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Version;

/// Why an upload is refused: a number of our own, and a text.
pub(super) type UploadError = (i64, &'static str);

/// Checks a certificate, leaf first, and its key, both in PEM.
pub(super) fn check(certificate: &str, key: &str) -> Result<(), UploadError> {
    let unreadable = (1401, "The certificate cannot be parsed");
    let pems: Vec<Pem> = Pem::iter_from_buffer(certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable)?;
    let leaf = pems.first().ok_or(unreadable)?;
    let leaf = leaf.parse_x509().map_err(|_| unreadable)?;
    // Cloudflare looks for a leaf, and takes a CA for none. A v1 certificate cannot say that it is
    // no CA.
    if leaf.is_ca() {
        return Err((1402, "missing leaf certificate"));
    }
    if leaf.version() != X509Version::V3 {
        return Err((1403, "The certificate is not X.509 version 3"));
    }
    if let Ok(PublicKey::RSA(rsa)) = leaf.public_key().parsed()
        && rsa.key_size() < 2048
    {
        return Err((1404, "The key of the certificate is too weak"));
    }
    let key = KeyPair::from_pem(key).map_err(|_| (1405, "The private key cannot be parsed"))?;
    match key.subject_public_key_info() == leaf.public_key().raw {
        true => Ok(()),
        false => Err((1406, "The private key does not belong to the certificate")),
    }
}

/// The issuer, and the end of validity in seconds since 1970, of a certificate in PEM.
pub(super) fn facts(certificate: &str) -> Option<(String, String, i64)> {
    let pem = Pem::iter_from_buffer(certificate.as_bytes()).next()?.ok()?;
    let leaf = pem.parse_x509().ok()?;
    let end = leaf.validity().not_after.timestamp();
    Some((leaf.issuer().to_string(), leaf.raw_serial_as_string(), end))
}
