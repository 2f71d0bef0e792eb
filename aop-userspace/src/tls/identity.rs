//! Who a certificate says the peer is, in strings that are safe to print.
//!
//! Read only after the certificate was verified, from the leaf alone. Nothing here decides.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::x509::X509Name;

use super::validity::Validity;

/// An authenticated certificate. Strings are escaped and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
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

impl Identity {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
        let validity = Validity::from(&parsed);
        Ok(Self {
            subject: name(parsed.subject()),
            issuer: name(parsed.issuer()),
            serial: hex(parsed.raw_serial()),
            spki_sha256: hex(digest(&SHA256, parsed.public_key().raw).as_ref()),
            not_before: validity.not_before,
            not_after: validity.not_after,
        })
    }
}

fn name(name: &X509Name<'_>) -> String {
    printable(&name.to_string())
}

/// `text` without anything that could move a cursor, colour a terminal, begin a line or turn the
/// direction of writing; at most 256 characters of it.
pub(super) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (at, character) in text.chars().enumerate() {
        match character {
            _ if at == 256 => {
                safe.push('…');
                break;
            }
            '"' | '\'' => safe.push(character),
            other => safe.extend(other.escape_debug()),
        }
    }
    safe
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_wrote_cannot_steer_a_terminal_or_begin_a_log_line() {
        assert_eq!(printable("CN=a\u{1b}[31m\nok"), "CN=a\\u{1b}[31m\\nok");
        assert_eq!(printable("\u{202e}gnp.exe"), "\\u{202e}gnp.exe");
        assert_eq!(printable("O=\"O'Neill\", CN=zoë"), "O=\"O'Neill\", CN=zoë");
        assert_eq!(printable(&"x".repeat(1000)).chars().count(), 257);
    }
}
