//! Encodes certificates in DER. No library in use writes version 1, or an issuer name byte for byte
//! as another CA has it.

/// AlgorithmIdentifier: ecdsa-with-SHA256.
const SIGNED_BY: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
/// AlgorithmIdentifier: id-ecPublicKey on P-256.
const KEY_OF: &[u8] =
    b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// basicConstraints, critical: CA:TRUE.
const CA: &[u8] = b"\x30\x0f\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x05\x30\x03\x01\x01\xff";
/// extendedKeyUsage: clientAuth.
const FOR_CLIENTS: &[u8] =
    b"\x30\x13\x06\x03\x55\x1d\x25\x04\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02";

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// The fields of a certificate.
pub(super) struct Content<'a> {
    /// Name, as a DER sequence; `subject` likewise.
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// The point of the public key.
    pub(super) key: &'a [u8],
    /// notBefore and notAfter: the first of January of these years, counted from 2000.
    pub(super) years: (u8, u8),
    pub(super) ca: bool,
    /// Version 3 with extensions; otherwise version 1.
    pub(super) modern: bool,
}

/// A DER element with the content `parts`.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let digits = length.get(zeros..).unwrap_or_default();
    let mut whole = vec![tag];
    match digits {
        [] => whole.push(0),
        [short @ 0..=127] => whole.push(*short),
        long => {
            whole.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            whole.extend(long);
        }
    }
    whole.extend(content);
    whole
}

/// A Name that consists of one common name.
pub(super) fn common_name(text: &str) -> Vec<u8> {
    let text = element(0x0c, &[text.as_bytes()]);
    let attribute = element(SEQUENCE, &[b"\x06\x03\x55\x04\x03", &text]);
    element(SEQUENCE, &[&element(SET, &[&attribute])])
}

/// A SEQUENCE with this content.
pub(super) fn sequence(content: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[content])
}

impl Content<'_> {
    /// TBSCertificate: the part that is signed.
    pub(super) fn unsigned(&self) -> Vec<u8> {
        let version: &[u8] = if self.modern { b"\xa0\x03\x02\x01\x02" } else { b"" };
        let year = |year: u8| element(0x17, &[format!("{year:02}0101000000Z").as_bytes()]);
        let validity = element(SEQUENCE, &[&year(self.years.0), &year(self.years.1)]);
        let key = element(0x03, &[b"\0", self.key]);
        let key = element(SEQUENCE, &[KEY_OF, &key]);
        let own: &[u8] = if self.ca { CA } else { FOR_CLIENTS };
        let extensions = element(0xa3, &[&element(SEQUENCE, &[own])]);
        let extensions: &[u8] = if self.modern { &extensions } else { b"" };
        let serial = b"\x02\x01\x01";
        element(
            SEQUENCE,
            &[version, serial, SIGNED_BY, self.issuer, &validity, self.subject, &key, extensions],
        )
    }
}

/// The certificate of a signed TBSCertificate.
pub(super) fn certificate(unsigned: &[u8], signature: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[unsigned, SIGNED_BY, &element(0x03, &[b"\0", signature])])
}
