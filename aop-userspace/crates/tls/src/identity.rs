//! The identity in a certificate, as strings that are safe to print.
//!
//! It comes from the leaf alone. Nothing here decides whether a peer is accepted.

use aop_types::{SafeText, escape, shorten};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rustls::pki_types::CertificateDer;
use x509_parser::{
    objects::{oid_registry, oid2abbrev},
    x509::X509Name,
};

use super::validity::Validity;

/// The most characters of a text from a peer.
const MAX: usize = 256;

/// The identity in a certificate. Its strings are escaped and of bounded length.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    /// Distinguished name of the subject.
    pub subject: String,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), hexadecimal.
    pub spki_sha256: String,
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
}

impl PeerIdentity {
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
        let validity = Validity::from(&parsed);
        Ok(Self {
            subject: distinguished_name(parsed.subject()),
            issuer: distinguished_name(parsed.issuer()),
            serial: HEXLOWER.encode(parsed.raw_serial()),
            spki_sha256: HEXLOWER.encode(digest(&SHA256, parsed.public_key().raw).as_ref()),
            not_before: validity.not_before,
            not_after: validity.not_after,
        })
    }
}

/// The name as OpenSSL prints it: a value that contains a separator is quoted.
pub fn distinguished_name(name: &X509Name<'_>) -> String {
    let attributes: Vec<String> = name
        .iter_attributes()
        .map(|attribute| {
            let oid = attribute.attr_type();
            let key = oid2abbrev(oid, oid_registry()).map_or(oid.to_id_string(), Into::into);
            let value = match attribute.as_str() {
                Ok(text) => escape(&text.replace('\\', "\\\\")),
                Err(_) => HEXLOWER.encode(attribute.as_slice()),
            };
            if value.contains([',', '+', '=', '"']) {
                format!("{key}=\"{}\"", value.replace('"', "\\\""))
            } else {
                format!("{key}={value}")
            }
        })
        .collect();
    shorten(attributes.join(", "), MAX)
}

/// `text` escaped and cut to 256 characters.
pub fn printable(text: &str) -> String {
    SafeText::<MAX>::new(text).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_peer_cannot_control_a_terminal_or_start_a_log_line() {
        assert_eq!(printable("CN=a\u{1b}[31m\nok"), "CN=a\\u{1b}[31m\\nok");
        assert_eq!(printable("\u{202e}gnp.exe"), "\\u{202e}gnp.exe");
        assert_eq!(printable("O=\"O'Neill\", CN=zoë"), "O=\"O'Neill\", CN=zoë");
        assert_eq!(printable(&"x".repeat(1000)).chars().count(), 257);
    }
}
