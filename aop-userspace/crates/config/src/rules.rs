//! The rules of a site for the edge's certificate, in addition to the signature of a client CA.
//!
//! A rule that is not configured requires nothing. A configured rule is never empty.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use crate::{Host, value::config_values};

/// The rules of one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRules {
    /// The certificate must have one of these names; if empty, it needs none.
    pub san: Vec<RequiredSan>,
    /// The only common name that the subject must have.
    pub cn: Option<String>,
    /// The certificate must have one of these keys; if empty, any key.
    pub pins: Vec<SpkiPin>,
    /// The required kind of key.
    pub key: Option<RequiredKey>,
    /// The revocation lists, and how they are used.
    pub revocation: Revocation,
    /// The effect of an expired client CA.
    pub expired_ca: OnExpiry,
    /// Whether sessions are resumed.
    pub resumption: Resumption,
}

/// The revocation lists, and how they are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocation {
    /// PEM or DER files; if empty, revocation is not checked.
    pub files: Vec<PathBuf>,
    /// The certificates that are looked up.
    pub scope: CrlScope,
    /// The effect of an expired list.
    pub expired: OnExpiry,
}

/// The certificates of a chain that are looked up in revocation lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CrlScope {
    /// The leaf and its intermediates; each issuer needs a list.
    #[default]
    Chain,
    /// The leaf only.
    Leaf,
}

/// The treatment of peers whose client CA or revocation list has expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnExpiry {
    /// They are refused.
    #[default]
    Refuse,
    /// They are served, and the operator is warned repeatedly.
    Warn,
}

/// The kind of key that a certificate must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequiredKey {
    /// ML-DSA, in any of its three strengths.
    MlDsa,
}

/// Whether TLS sessions are resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resumption {
    /// Never.
    #[default]
    Off,
    /// In TLS 1.3, and every rule is checked again.
    Verified,
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequiredSan {
    /// `dns:edge.example.com`
    Dns(Host),
    /// `uri:spiffe://example.com/edge`, byte for byte.
    Uri(String),
    /// `ip:192.0.2.1`
    Ip(IpAddr),
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpkiPin(pub [u8; 32]);

impl FromStr for RequiredSan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("dns", name)) if name.contains('*') => Err(format!(
                "{text:?}: a required name must have no star; write the name in the certificate"
            )),
            Some(("dns", name)) => name.parse().map(Self::Dns),
            Some(("uri", uri)) if uri.contains(':') && uri.is_ascii() => Ok(Self::Uri(uri.into())),
            Some(("ip", address)) => address
                .parse()
                .map(Self::Ip)
                .map_err(|_| format!("{text:?}: {address:?} is not an IP address")),
            Some(_) | None => Err(format!(
                "{text:?}: write dns:edge.example.com, uri:spiffe://example.com/edge or \
                 ip:192.0.2.1"
            )),
        }
    }
}

impl FromStr for SpkiPin {
    type Err = String;

    /// 64 hexadecimal digits, or base64 in the format of `curl --pinnedpubkey`.
    fn from_str(text: &str) -> Result<Self, String> {
        let digest = ["sha256//", "sha256/", "sha256:"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        let hexadecimal = HEXLOWER_PERMISSIVE.decode(digest.replace(':', "").as_bytes());
        let bytes = hexadecimal.or_else(|_| BASE64.decode(digest.as_bytes())).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            format!(
                "{text:?} is not a SHA-256 of a public key, as 64 hexadecimal digits or 44 \
                 characters of base64. Make one with: openssl x509 -in edge.pem -noout -pubkey | \
                 openssl pkey -pubin -outform DER | sha256sum"
            )
        })
    }
}

config_values!(CrlScope, "crl_scope", "chain" => Self::Chain, "leaf" => Self::Leaf);
config_values!(OnExpiry, "this key", "refuse" => Self::Refuse, "warn" => Self::Warn);
config_values!(RequiredKey, "require_key", "ml-dsa" => Self::MlDsa);
config_values!(Resumption, "resumption", "off" => Self::Off, "verified" => Self::Verified);

impl fmt::Display for RequiredSan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(host) => write!(f, "dns:{host}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_the_same_in_hex_and_in_base64() {
        let bytes: [u8; 32] = std::array::from_fn(|at| (at * 7) as u8);
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let base64 = "AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK+2vcTL0tk=";
        for text in [hexadecimal.as_str(), base64, &format!("sha256//{base64}")] {
            assert_eq!(text.parse(), Ok(SpkiPin(bytes)), "{text}");
        }
        for text in [
            "",
            "00",
            "=",
            &hexadecimal[1..],
            &base64[1..],
            "not a pin at all, of 44 characters, is it??=",
        ] {
            assert!(text.parse::<SpkiPin>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_required_name_needs_its_kind() {
        assert_eq!(
            "dns:EDGE.example.com.".parse(),
            Ok(RequiredSan::Dns("edge.example.com".parse().unwrap()))
        );
        assert_eq!("uri:spiffe://a/b".parse(), Ok(RequiredSan::Uri("spiffe://a/b".into())));
        assert_eq!("ip:2001:db8::1".parse(), Ok(RequiredSan::Ip("2001:db8::1".parse().unwrap())));
        for text in [
            "edge.example.com",
            "dns:*.example.com",
            "dns:192.0.2.1",
            "ip:edge",
            "uri:",
            "email:a@b.c",
        ] {
            assert!(text.parse::<RequiredSan>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_required_name_is_written_as_it_was_read() {
        for text in ["dns:edge.example.com", "uri:spiffe://a/b", "ip:192.0.2.1", "ip:2001:db8::1"] {
            assert_eq!(text.parse::<RequiredSan>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn a_refused_rule_is_quoted_with_what_to_write() {
        let kinds = "write dns:edge.example.com, uri:spiffe://example.com/edge or ip:192.0.2.1";
        for (text, cure) in [
            ("edge.example.com", kinds),
            ("email:a@b.c", kinds),
            ("uri:edge", kinds),
            ("uri:spiffe://ä/b", kinds),
            ("dns:*.example.com", "must have no star; write the name in the certificate"),
            ("ip:edge", "\"edge\" is not an IP address"),
        ] {
            let error = text.parse::<RequiredSan>().expect_err(text);
            assert!(error.starts_with(&format!("{text:?}")) && error.contains(cure), "{error}");
        }
        let error = "abcd".parse::<SpkiPin>().expect_err("a short pin");
        for part in ["\"abcd\"", "64 hexadecimal digits", "44 characters", "openssl x509"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}
