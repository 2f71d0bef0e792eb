//! Finds the sections of a PEM file in the forms that operators make: sections joined without a
//! line end, behind a byte order mark or blanks, between other text, with any line ends, in UTF-8
//! or UTF-16.
//!
//! Every marker counts. A section that cannot be read is an error with its line, so that no
//! certificate is lost in silence.

use std::borrow::Cow;

use data_encoding::BASE64;
use rustls::pki_types::{
    PrivateKeyDer,
    pem::{PemObject, SectionKind},
};
use thiserror::Error;
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// A section that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// The line of its first marker, from 1.
    pub line: usize,
    /// Its content.
    pub content: SectionContent,
}

/// The content of a section, in DER.
#[derive(Debug, PartialEq, Eq)]
pub enum SectionContent {
    /// A certificate.
    Certificate(Vec<u8>),
    /// A revocation list.
    Crl(Vec<u8>),
    /// A request for a certificate (PKCS #10).
    Request(Vec<u8>),
    /// A private key.
    Key(PrivateKeyDer<'static>),
    /// A private key under a passphrase (PKCS #8).
    EncryptedKey(Vec<u8>),
    /// The same in the older form, whose encryption is weak. It is not decoded.
    OlderEncryptedKey,
    /// Parameters, a public key: nothing that aop could miss.
    Other,
}

/// A section that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line}: {fault}")]
pub struct SectionError {
    /// The line, from 1.
    pub line: usize,
    /// The error in it.
    #[source]
    pub fault: SectionFault,
}

/// The error in a section, and its remedy.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SectionFault {
    /// A line that was meant as a marker.
    #[error(
        "it looks like a PEM marker, but is none; a marker has five hyphens on each side, as in \
         \"-----BEGIN CERTIFICATE-----\""
    )]
    Marker,
    /// The end marker is missing, or has another label.
    #[error("\"-----BEGIN {0}-----\" has no \"-----END {0}-----\"; copy the file again")]
    NoEnd(String),
    /// The begin marker is missing.
    #[error("an end marker has no begin marker; copy the file again")]
    NoBegin,
    /// The text between the markers is damaged.
    #[error("the section is not valid base64; copy the file again")]
    Base64,
    /// A form that may hold certificates, and that aop does not read.
    #[error("aop does not read \"{label}\"; {cure}")]
    Unsupported {
        /// The label of the section.
        label: String,
        /// The remedy.
        cure: &'static str,
    },
}

/// All sections of a file, in order.
///
/// # Errors
/// The first section that cannot be read.
pub fn sections(bytes: &[u8]) -> Result<Vec<Section>, SectionError> {
    // The copies of the text may hold a key.
    let text = Zeroizing::new(decoded(bytes).replace("\r\n", "\n"));
    let text = Zeroizing::new(text.replace('\r', "\n"));
    let line = |rest: &str| text[..text.len() - rest.len()].matches('\n').count() + 1;
    let mut sections = Vec::new();
    let mut rest = &text[..];
    loop {
        let begin = rest.find(BEGIN);
        let outside = &rest[..begin.unwrap_or(rest.len())];
        if let Some((at, fault)) = stray_marker(outside) {
            return Err(SectionError { line: line(&rest[at..]), fault });
        }
        let Some(begin) = begin else { return Ok(sections) };
        let marker = &rest[begin..];
        let error = |fault| SectionError { line: line(marker), fault };
        let (label, behind) =
            split_label(&marker[BEGIN.len()..]).ok_or(SectionFault::Marker).map_err(error)?;
        let no_end = || error(SectionFault::NoEnd(label.to_owned()));
        let (body, behind) = behind.split_once(END).ok_or_else(no_end)?;
        let (end_label, behind) = split_label(behind).ok_or_else(no_end)?;
        if end_label != label || body.contains(BEGIN) {
            return Err(no_end());
        }
        let content = content(label, body).map_err(error)?;
        sections.push(Section { line: line(marker), content });
        rest = behind;
    }
}

/// The text of a file. Bytes that are no UTF-8 can only be outside of the sections.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let utf16 = |from: fn([u8; 2]) -> u16| {
        let (units, _) = bytes[2..].as_chunks();
        let units: Vec<_> = units.iter().copied().map(from).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match bytes {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// The label at the beginning of `text`, and what follows its five hyphens.
fn split_label(text: &str) -> Option<(&str, &str)> {
    let (label, behind) = text.split_once(DASHES)?;
    let label = label.trim();
    let valid =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" .#".contains(&byte);
    (!label.is_empty() && label.bytes().all(valid)).then_some((label, behind))
}

/// A marker in text outside of all sections: its offset.
fn stray_marker(text: &str) -> Option<(usize, SectionFault)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.contains(END) {
            return Some((at, SectionFault::NoBegin));
        }
        if is_damaged_marker(line) {
            return Some((at, SectionFault::Marker));
        }
        at += line.len();
    }
    None
}

const DASHES_OF_ALL_KINDS: [char; 7] =
    ['-', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'];

/// Whether a line was meant as a marker: it begins with hyphens or dashes, goes on with BEGIN or
/// END, and has the label of something that aop reads.
fn is_damaged_marker(line: &str) -> bool {
    let line = line.trim().to_uppercase();
    let label = line.trim_start_matches(|char: char| {
        DASHES_OF_ALL_KINDS.contains(&char) || char.is_whitespace()
    });
    let dashes = line[..line.len() - label.len()].chars().filter(|char| !char.is_whitespace());
    let named = ["CERTIFICATE", "CRL", "PRIVATE KEY"].iter().any(|it| label.contains(it));
    let begins = label.starts_with("BEGIN") || label.starts_with("END");
    dashes.count() >= 2 && begins && named
}

fn content(label: &str, body: &str) -> Result<SectionContent, SectionFault> {
    let unsupported = |cure| Err(SectionFault::Unsupported { label: label.to_owned(), cure });
    let label = match label {
        "CERTIFICATE" | "X509 CERTIFICATE" => "CERTIFICATE",
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => "CERTIFICATE REQUEST",
        "X509 CRL"
        | "PRIVATE KEY"
        | "RSA PRIVATE KEY"
        | "EC PRIVATE KEY"
        | "ENCRYPTED PRIVATE KEY" => label,
        // The trust settings behind the certificate would be lost.
        "TRUSTED CERTIFICATE" => {
            return unsupported("convert it with `openssl x509 -in FILE -out NEW`");
        }
        "PKCS7" | "CMS" => {
            return unsupported("convert it with `openssl pkcs7 -in FILE -print_certs -out NEW`");
        }
        _ if label.contains("CERTIFICATE") || label.contains("CRL") => {
            return unsupported("take the section out");
        }
        _ => return Ok(SectionContent::Other),
    };
    let mut body = body.trim();
    if body.contains(':') {
        // Headers (RFC 1421, 4.6), as of an encrypted key in the older format.
        let (headers, behind) = body.split_once("\n\n").ok_or(SectionFault::Base64)?;
        if headers.contains("ENCRYPTED") {
            return Ok(SectionContent::OlderEncryptedKey);
        }
        body = behind;
    }
    let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
    base64.extend(body.chars().filter(|char| !char.is_ascii_whitespace()));
    if label == "ENCRYPTED PRIVATE KEY" {
        let der = BASE64.decode(base64.as_bytes()).map_err(|_| SectionFault::Base64)?;
        return Ok(SectionContent::EncryptedKey(der));
    }
    let canonical = format!("{BEGIN}{label}{DASHES}\n{}\n{END}{label}{DASHES}\n", *base64);
    let canonical = Zeroizing::new(canonical);
    let (kind, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(canonical.as_bytes())
        .map_err(|_| SectionFault::Base64)?;
    Ok(if kind == SectionKind::Certificate {
        SectionContent::Certificate(der)
    } else if kind == SectionKind::Crl {
        SectionContent::Crl(der)
    } else if kind == SectionKind::Csr {
        SectionContent::Request(der)
    } else {
        let key = PrivateKeyDer::from_pem(kind, der);
        SectionContent::Key(key.ok_or(SectionFault::Base64)?)
    })
}

#[cfg(test)]
mod tests;
