//! The rules of a site for the leaf, in addition to a chain to one of its anchors.

use std::net::IpAddr;

use aop_config::{CertificateRules, Host, RequiredKey, RequiredSan, SpkiPin};
use aop_types::Refusal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rustls::{CertificateError, Error, pki_types::CertificateDer};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use super::{identity::printable, verifier::BrokenRule};

/// The object identifiers of ML-DSA keys (RFC 9881), with their names.
const ML_DSA: [(&str, &str); 3] = [
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];

/// Checks `leaf`, whose chain is verified, against the rules.
pub(crate) fn check_leaf(leaf: &CertificateDer<'_>, rules: &CertificateRules) -> Result<(), Error> {
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    first_broken_rule(&leaf, rules).map_or(Ok(()), |broken| Err(broken.into()))
}

fn first_broken_rule(leaf: &X509Certificate<'_>, rules: &CertificateRules) -> Option<BrokenRule> {
    // The verifier applies the other rules. A new rule must be added here or there.
    let CertificateRules { san, cn, pins, key, revocation: _, expired_ca: _, resumption: _ } =
        rules;
    if let Some(RequiredKey::MlDsa) = key
        && !is_ml_dsa(leaf)
    {
        let algorithm = leaf.public_key().algorithm.algorithm.to_id_string();
        let detail = format!("the site requires an ML-DSA key, the certificate's is {algorithm}");
        return Some(BrokenRule { refusal: Refusal::NotPostQuantum, detail });
    }
    if !pins.is_empty() {
        let key = digest(&SHA256, leaf.public_key().raw);
        if !pins.iter().any(|SpkiPin(pin)| pin == key.as_ref()) {
            let detail = format!(
                "the certificate's key is not in spki_pins: {}",
                HEXLOWER.encode(key.as_ref())
            );
            return Some(BrokenRule { refusal: Refusal::PinMismatch, detail });
        }
    }
    if let Some(wanted) = cn {
        let mut names = leaf.subject().iter_common_name();
        // With two names it is undefined which one counts, so neither matches.
        let only = names.next().filter(|_| names.next().is_none());
        let only = only.and_then(|name| name.as_str().ok());
        if only != Some(wanted) {
            // An unauthenticated peer may read this text, so it never says what is required.
            let has = only.map_or("none, or several".into(), printable);
            let detail = format!("the certificate's common name is not require_cn: {has}");
            return Some(BrokenRule { refusal: Refusal::CnMismatch, detail });
        }
    }
    if !san.is_empty() {
        let names = names(leaf);
        if !san.iter().any(|wanted| names.iter().any(|name| matches(name, wanted))) {
            let names: Vec<String> = names.iter().map(spelled).collect();
            let detail = if names.is_empty() {
                "the certificate has no subject alternative name".into()
            } else {
                format!("the certificate has other names: {}", names.join(", "))
            };
            return Some(BrokenRule { refusal: Refusal::SanMissing, detail: printable(&detail) });
        }
    }
    None
}

pub(crate) fn is_ml_dsa(certificate: &X509Certificate<'_>) -> bool {
    ml_dsa_name(&certificate.public_key().algorithm.algorithm.to_id_string()).is_some()
}

/// The name of the kind of ML-DSA key with the object identifier `oid`.
#[must_use]
pub fn ml_dsa_name(oid: &str) -> Option<&'static str> {
    ML_DSA.iter().find_map(|(of, name)| (*of == oid).then_some(*name))
}

/// The subject alternative names.
pub(crate) fn names<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a GeneralName<'a>> {
    // An error means a duplicate extension, which the verifier has already refused.
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.map_or(Vec::new(), |extension| extension.value.general_names.iter().collect())
}

fn matches(name: &GeneralName<'_>, wanted: &RequiredSan) -> bool {
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
pub(crate) fn spelled(name: &&GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("dns:{name}"),
        GeneralName::URI(uri) => format!("uri:{uri}"),
        GeneralName::IPAddress(bytes) => match address(bytes) {
            Some(address) => format!("ip:{address}"),
            None => format!("ip:{}", HEXLOWER.encode(bytes)),
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
