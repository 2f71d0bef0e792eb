//! The rules of a site for the leaf, in addition to a chain to one of its anchors.

use std::net::IpAddr;

use aop_config::{CertificateRules, Host, RequiredKey, RequiredSan, SpkiPin};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::{CertificateError, Error, pki_types::CertificateDer};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use super::{
    identity::{hex, printable},
    refusal::Refusal,
    verifier::RuleBroken,
};

/// ML-DSA-44, -65 and -87 (RFC 9881).
const ML_DSA: [&str; 3] =
    ["2.16.840.1.101.3.4.3.17", "2.16.840.1.101.3.4.3.18", "2.16.840.1.101.3.4.3.19"];

/// Checks `leaf`, whose chain is verified, against the rules.
pub(super) fn judge(leaf: &CertificateDer<'_>, rules: &CertificateRules) -> Result<(), Error> {
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    broken(&leaf, rules)
        .map_or(Ok(()), |(refusal, detail)| Err(RuleBroken { refusal, detail }.into()))
}

fn broken(leaf: &X509Certificate<'_>, rules: &CertificateRules) -> Option<(Refusal, String)> {
    if let Some(RequiredKey::MlDsa) = rules.key
        && !is_ml_dsa(leaf)
    {
        let algorithm = leaf.public_key().algorithm.algorithm.to_id_string();
        let detail = format!("the site requires an ML-DSA key, the certificate's is {algorithm}");
        return Some((Refusal::NotPostQuantum, detail));
    }
    if !rules.pins.is_empty() {
        let key = digest(&SHA256, leaf.public_key().raw);
        if !rules.pins.iter().any(|SpkiPin(pin)| pin == key.as_ref()) {
            let detail =
                format!("the certificate's key is not in spki_pins: {}", hex(key.as_ref()));
            return Some((Refusal::PinMismatch, detail));
        }
    }
    if let Some(wanted) = &rules.cn {
        let mut names = leaf.subject().iter_common_name();
        // With two names it is undefined which one counts, so neither matches.
        let only = names.next().filter(|_| names.next().is_none());
        let only = only.and_then(|name| name.as_str().ok());
        if only != Some(wanted) {
            // An unauthenticated peer may read this text, so it never says what is required.
            let has = only.map_or("none, or several".into(), printable);
            let detail = format!("the certificate's common name is not require_cn: {has}");
            return Some((Refusal::CnMismatch, detail));
        }
    }
    if !rules.san.is_empty() {
        let names = names(leaf);
        if !rules.san.iter().any(|wanted| names.iter().any(|name| is(name, wanted))) {
            let names: Vec<String> = names.iter().map(told).collect();
            let detail = match names.is_empty() {
                true => "the certificate has no subject alternative name".into(),
                false => format!("the certificate has other names: {}", names.join(", ")),
            };
            return Some((Refusal::SanMissing, printable(&detail)));
        }
    }
    None
}

pub(super) fn is_ml_dsa(certificate: &X509Certificate<'_>) -> bool {
    ML_DSA.contains(&certificate.public_key().algorithm.algorithm.to_id_string().as_str())
}

/// The subject alternative names.
pub(super) fn names<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a GeneralName<'a>> {
    // An error means a duplicate extension, which the verifier has already refused.
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.map_or(Vec::new(), |extension| extension.value.general_names.iter().collect())
}

fn is(name: &GeneralName<'_>, wanted: &RequiredSan) -> bool {
    match (name, wanted) {
        (GeneralName::DNSName(name), RequiredSan::Dns(wanted)) => {
            name.parse::<Host>().is_ok_and(|name| name == *wanted)
        }
        (GeneralName::URI(name), RequiredSan::Uri(wanted)) => name == wanted,
        (GeneralName::IPAddress(bytes), RequiredSan::Ip(wanted)) => {
            address(bytes).is_some_and(|address| address == *wanted)
        }
        _ => false,
    }
}

/// A name in the spelling of `require_san`.
pub(super) fn told(name: &&GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("dns:{name}"),
        GeneralName::URI(uri) => format!("uri:{uri}"),
        GeneralName::IPAddress(bytes) => match address(bytes) {
            Some(address) => format!("ip:{address}"),
            None => format!("ip:{}", hex(bytes)),
        },
        GeneralName::RFC822Name(name) => format!("email:{name}"),
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => "another kind of name".into(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from);
    v4().or_else(v6)
}
