//! Compares distinguished names as RFC 5280, 7.1 does: string types, letter case and white space do
//! not matter. webpki compares bytes, as OpenSSL does after its own normalization, so a name that
//! was spelled in another way makes an issuer unknown.

use rustls::pki_types::{CertificateDer, TrustAnchor};
use x509_parser::{
    asn1_rs::{Any, Tag},
    prelude::FromDer,
    x509::X509Name,
};

use super::signed_der::{SEQUENCE, element};

/// Whether the issuer of a certificate in `chain` has the name of an anchor in another spelling.
pub(crate) fn is_spelled_otherwise<'a>(
    anchors: impl Iterator<Item = &'a TrustAnchor<'static>>,
    chain: &[CertificateDer<'_>],
) -> bool {
    let subjects: Vec<(Vec<u8>, Option<NameKey>)> = anchors.map(subject).collect();
    chain.iter().any(|certificate| {
        let parsed = x509_parser::parse_x509_certificate(certificate);
        let Ok((_, parsed)) = parsed else { return false };
        let (raw, wanted) = (parsed.issuer().as_raw(), key(parsed.issuer()));
        subjects.iter().any(|(subject, key)| subject != raw && key.as_ref() == Some(&wanted))
    })
}

/// The attributes of each part of a name: type and normalized text.
type NameKey = Vec<Vec<(String, String)>>;

/// The subject of an anchor: its DER, and its key.
fn subject(anchor: &TrustAnchor<'_>) -> (Vec<u8>, Option<NameKey>) {
    let raw = element(SEQUENCE, &anchor.subject);
    let parsed = X509Name::from_der(&raw).ok().map(|(_, name)| key(&name));
    (raw, parsed)
}

fn key(name: &X509Name<'_>) -> NameKey {
    let part = |part: &x509_parser::x509::RelativeDistinguishedName<'_>| {
        let mut attributes: Vec<_> = part
            .iter()
            .map(|it| (it.attr_type().to_id_string(), normalized(&text(it.attr_value()))))
            .collect();
        attributes.sort();
        attributes
    };
    name.iter().map(part).collect()
}

fn text(value: &Any<'_>) -> String {
    let bytes = value.as_bytes();
    match value.tag() {
        Tag::BmpString => {
            let (units, _) = bytes.as_chunks();
            let units: Vec<u16> = units.iter().copied().map(u16::from_be_bytes).collect();
            String::from_utf16_lossy(&units)
        }
        // Used as Latin-1.
        Tag::TeletexString => bytes.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn normalized(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_string_type_is_read_in_its_own_encoding() {
        for (tag, bytes) in [
            (Tag::Utf8String, &b"caf\xc3\xa9"[..]),
            (Tag::TeletexString, b"caf\xe9"),
            (Tag::BmpString, b"\0c\0a\0f\0\xe9"),
        ] {
            assert_eq!(text(&Any::from_tag_and_data(tag, bytes)), "café", "{tag:?}");
        }
        assert_eq!(text(&Any::from_tag_and_data(Tag::PrintableString, b"cafe")), "cafe");
    }
}
