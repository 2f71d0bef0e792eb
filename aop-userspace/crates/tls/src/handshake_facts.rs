//! Facts about a finished handshake, under the names that OpenSSL uses: applications behind a proxy
//! expect these names.

use aop_config::Host;
use rustls::{CipherSuite, ProtocolVersion, pki_types::CertificateDer};

/// A finished handshake.
#[derive(Clone, Debug)]
pub struct HandshakeFacts {
    /// The server name that the peer asked for.
    pub host: Host,
    /// The protocol agreed on in ALPN, if any.
    pub alpn: Option<Vec<u8>>,
    /// The handshake in which the peer presented its certificate, if it did.
    pub certificate_from: CertificateFrom,
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) cipher: Option<CipherSuite>,
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

/// The handshake in which a certificate was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFrom {
    /// The handshake of this connection.
    ThisHandshake,
    /// An earlier one, which this one resumed.
    EarlierHandshake,
}

impl HandshakeFacts {
    /// The TLS version, as `TLSv1.3`.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls names versions that it does not support"
    )]
    pub fn version(&self) -> Option<&'static str> {
        match self.version? {
            ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            _ => None,
        }
    }

    /// The cipher suite, as `TLS_AES_256_GCM_SHA384` or `ECDHE-ECDSA-AES256-GCM-SHA384`.
    #[must_use]
    pub fn cipher(&self) -> Option<&'static str> {
        cipher(self.cipher?)
    }

    /// The certificate that the peer authenticated with, in DER. `None` for an unauthenticated peer
    /// of a site that observes.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// The first common name of the certificate's subject, if any. A value of another string type
    /// is decoded as UTF-8, with U+FFFD for invalid bytes.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        let (_, leaf) = x509_parser::parse_x509_certificate(self.certificate()?).ok()?;
        let name = leaf.subject().iter_common_name().next()?;
        Some(match name.as_str() {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(name.as_slice()).into_owned(),
        })
    }
}

#[cfg(any(test, feature = "testing"))]
impl HandshakeFacts {
    /// A full handshake in TLS 1.3 for `host`.
    pub fn of(host: &str, certificate: CertificateDer<'static>) -> Self {
        Self {
            host: host.parse().expect("a host"),
            alpn: None,
            certificate_from: CertificateFrom::ThisHandshake,
            version: Some(ProtocolVersion::TLSv1_3),
            cipher: Some(CipherSuite::TLS13_AES_256_GCM_SHA384),
            certificate: Some(certificate),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "rustls names suites that it does not support")]
fn cipher(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs;

    use super::*;

    #[test]
    fn every_supported_cipher_suite_has_an_openssl_name() {
        let suites = aws_lc_rs::default_provider().cipher_suites;
        for suite in &suites {
            let name = cipher(suite.suite());
            assert!(name.is_some(), "{:?}", suite.suite());
        }
        assert_eq!(suites.len(), 9);
    }
}
