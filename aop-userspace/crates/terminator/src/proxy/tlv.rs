//! The fields of version 2: type, length and value (TLV).
//!
//! They are written in the order of their types, because some receivers sort them before they
//! verify the checksum.

use aop_config::ClientCertForwarding;
use aop_tls::{CertificateFrom, HandshakeFacts};
use crc::{CRC_32_ISCSI, Crc};

use super::{HeaderTooLong, MalformedProxyHeader};

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;
/// The certificate in DER. Not in HAProxy's specification; other implementations use this type.
const SSL_CLIENT_CERT: u8 = 0x28;

/// The peer connected over TLS.
const CLIENT_SSL: u8 = 0x01;
/// The peer presented its certificate in this handshake.
const CLIENT_CERT_CONN: u8 = 0x02;
/// The peer presented its certificate in this or an earlier handshake of the session.
const CLIENT_CERT_SESS: u8 = 0x04;
/// The certificate was verified.
const VERIFIED: [u8; 4] = [0; 4];
/// There was no certificate that could be verified.
const UNVERIFIED: [u8; 4] = [0, 0, 0, 1];

/// The bytes of type and length.
const HEAD: usize = 3;

static CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The facts of a connection that the fields carry. A certificate among them was verified; in
/// observe mode there may be none.
pub(super) struct TlsFields<'a> {
    alpn: Option<&'a [u8]>,
    authority: String,
    version: Option<&'static str>,
    cipher: Option<&'static str>,
    /// When the peer proved a certificate, if it did.
    certificate_from: Option<CertificateFrom>,
    common_name: Option<String>,
    certificate: Option<&'a [u8]>,
}

/// The encoded fields before and after the checksum.
#[derive(Default)]
pub(super) struct EncodedTlvs {
    before: Vec<u8>,
    behind: Vec<u8>,
}

impl<'a> TlsFields<'a> {
    pub(super) fn of(handshake: &'a HandshakeFacts, certificate: ClientCertForwarding) -> Self {
        Self {
            alpn: handshake.alpn.as_deref(),
            authority: handshake.host.to_string(),
            version: handshake.version(),
            cipher: handshake.cipher(),
            certificate_from: handshake.certificate().map(|_| handshake.certificate_from),
            common_name: handshake.common_name(),
            certificate: match certificate {
                ClientCertForwarding::Shown => handshake.certificate(),
                ClientCertForwarding::Withheld => None,
            },
        }
    }

    pub(super) fn encode(&self) -> Result<EncodedTlvs, HeaderTooLong> {
        let mut fields = EncodedTlvs::default();
        if let Some(alpn) = self.alpn {
            add(&mut fields.before, ALPN, alpn)?;
        }
        add(&mut fields.before, AUTHORITY, self.authority.as_bytes())?;
        add(&mut fields.behind, SSL, &self.ssl()?)?;
        Ok(fields)
    }

    fn ssl(&self) -> Result<Vec<u8>, HeaderTooLong> {
        let (client, verified) = match self.certificate_from {
            Some(CertificateFrom::ThisHandshake) => {
                (CLIENT_SSL | CLIENT_CERT_SESS | CLIENT_CERT_CONN, VERIFIED)
            }
            Some(CertificateFrom::EarlierHandshake) => (CLIENT_SSL | CLIENT_CERT_SESS, VERIFIED),
            None => (CLIENT_SSL, UNVERIFIED),
        };
        let mut ssl = vec![client];
        ssl.extend(verified);
        for (kind, value) in [
            (SSL_VERSION, self.version.map(str::as_bytes)),
            (SSL_CN, self.common_name.as_deref().map(str::as_bytes)),
            (SSL_CIPHER, self.cipher.map(str::as_bytes)),
            (SSL_CLIENT_CERT, self.certificate),
        ] {
            if let Some(value) = value {
                add(&mut ssl, kind, value)?;
            }
        }
        Ok(ssl)
    }
}

impl EncodedTlvs {
    /// The length in bytes, the checksum field included.
    pub(super) fn length(&self) -> usize {
        self.before.len() + HEAD + 4 + self.behind.len()
    }

    /// Appends the fields and the checksum to a header that already states its whole length.
    pub(super) fn finish(self, header: &mut Vec<u8>) {
        header.extend(self.before);
        header.extend([CRC32C, 0, 4]);
        let place = header.len();
        header.extend([0; 4]);
        header.extend(self.behind);
        let sum = CASTAGNOLI.checksum(header);
        header[place..place + 4].copy_from_slice(&sum.to_be_bytes());
    }
}

fn add(fields: &mut Vec<u8>, kind: u8, value: &[u8]) -> Result<(), HeaderTooLong> {
    let length = u16::try_from(value.len()).map_err(|_| HeaderTooLong(value.len()))?;
    fields.push(kind);
    fields.extend(length.to_be_bytes());
    fields.extend(value);
    Ok(())
}

/// Checks the fields of `header`, which begin at `start`, and verifies the checksum if there is
/// one.
pub(super) fn check(header: &[u8], start: usize) -> Result<(), MalformedProxyHeader> {
    let mut at = start;
    let mut sum = None;
    while let Some((&[kind, high, low], _)) =
        header.get(at..).and_then(|rest| rest.split_first_chunk::<HEAD>())
    {
        let value = at + HEAD;
        at = value + usize::from(u16::from_be_bytes([high, low]));
        let value = header.get(value..at).ok_or(MalformedProxyHeader::Field)?;
        if kind == CRC32C {
            let fields = value.try_into().map_err(|_| MalformedProxyHeader::Checksum)?;
            if sum.replace((u32::from_be_bytes(fields), at - 4)).is_some() {
                return Err(MalformedProxyHeader::Checksum);
            }
        }
    }
    if at != header.len() {
        return Err(MalformedProxyHeader::Field);
    }
    match sum {
        Some((fields, place)) if fields != without(header, place) => {
            Err(MalformedProxyHeader::Checksum)
        }
        Some(_) | None => Ok(()),
    }
}

/// The checksum of `header` with zeros in its own place, which is at `place`.
fn without(header: &[u8], place: usize) -> u32 {
    let mut digest = CASTAGNOLI.digest();
    digest.update(&header[..place]);
    digest.update(&[0; 4]);
    digest.update(&header[place + 4..]);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::{super::v2, *};
    use crate::proxy::ProxyAddresses;

    fn fields<'a>() -> TlsFields<'a> {
        TlsFields {
            alpn: Some(b"h2"),
            authority: "example.com".into(),
            version: Some("TLSv1.3"),
            cipher: None,
            certificate_from: Some(CertificateFrom::ThisHandshake),
            common_name: Some("zoë".into()),
            certificate: None,
        }
    }

    fn header(fields: &TlsFields<'_>) -> Result<Vec<u8>, HeaderTooLong> {
        let end = "192.0.2.1:443".parse().unwrap();
        v2::encode(&ProxyAddresses { source: end, destination: end }, fields.encode()?)
    }

    #[test]
    fn fields_are_the_bytes_of_the_specification() {
        let written = header(&fields()).unwrap();
        let sum = written[28 + 5 + 14 + 3..][..4].to_vec();
        let expected = [
            b"\x01\x00\x02h2\x02\x00\x0bexample.com\x03\x00\x04".as_slice(),
            &sum,
            b"\x20\x00\x16\x07\0\0\0\0\x21\x00\x07TLSv1.3\x22\x00\x04zo\xc3\xab",
        ]
        .concat();
        assert_eq!(written[28..], expected);
        // The check value that defines CRC-32C.
        assert_eq!(CASTAGNOLI.checksum(b"123456789"), 0xE306_9283);
        let resumed =
            TlsFields { certificate_from: Some(CertificateFrom::EarlierHandshake), ..fields() };
        assert_eq!(resumed.ssl().unwrap()[0], CLIENT_SSL | CLIENT_CERT_SESS);
        // Both the flags and the result say that no certificate was verified.
        let without = TlsFields { certificate_from: None, ..fields() };
        let without = without.ssl().unwrap();
        assert_eq!(without[..5], [CLIENT_SSL, 0, 0, 0, 1]);
    }

    #[test]
    fn a_wrong_or_repeated_checksum_is_refused() {
        let whole = header(&fields()).unwrap();
        assert_eq!(check(&whole, 28), Ok(()));
        for at in 28..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            assert!(check(&bent, 28).is_err() || is_type_of_sum(at), "{at}");
        }
        let twice = [&whole[..], b"\x03\x00\x04\0\0\0\0"].concat();
        assert_eq!(check(&twice, 28), Err(MalformedProxyHeader::Checksum));
        let short = [&whole[..28], b"\x03\x00\x03\0\0\0"].concat();
        assert_eq!(check(&short, 28), Err(MalformedProxyHeader::Checksum));
        let none = [&whole[..28], b"\x04\x00\x00"].concat();
        assert_eq!(check(&none, 28), Ok(()));
    }

    /// A changed type at this place turns the checksum into a field that is not checked.
    fn is_type_of_sum(at: usize) -> bool {
        at == 28 + 5 + 14
    }

    #[test]
    fn a_certificate_is_written_whole_or_the_header_is_refused() {
        for (length, fits) in [(600, true), (60_000, true), (65_500, false), (70_000, false)] {
            let certificate = vec![0x30; length];
            let fields = TlsFields { certificate: Some(&certificate), ..fields() };
            match header(&fields) {
                Ok(header) => {
                    assert!(fits && header.len() > length);
                    assert_eq!(check(&header, 28), Ok(()));
                    assert!(header.ends_with(&certificate));
                }
                Err(HeaderTooLong(_)) => assert!(!fits, "{length}"),
            }
        }
    }
}
