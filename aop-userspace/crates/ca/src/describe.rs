//! Describes the contents of a PEM file, for people.

use aop_tls::{
    InspectedCertificate, Section, SectionContent, client_ca_objections, distinguished_name,
    inspect_certificate, key_kind, ml_dsa_name, sections,
};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rcgen::PublicKeyData;
use x509_parser::{
    certificate::X509Certificate,
    certification_request::X509CertificationRequest,
    extensions::ParsedExtension,
    objects::{oid_registry, oid2sn},
    prelude::FromDer,
    time::ASN1Time,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};
use zeroize::Zeroize;

use crate::{CaError, Fitness, NameConstraints, PrivateKey, SigningRequest, fitness};

/// The contents of a file.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Its certificates, in order.
    pub certificates: Vec<DescribedCertificate>,
    /// Its requests for certificates.
    pub requests: Vec<DescribedRequest>,
    /// Its private keys.
    pub keys: Vec<DescribedKey>,
    /// The number of its revocation lists.
    pub lists: usize,
}

/// A certificate.
#[derive(Clone, Debug)]
pub struct DescribedCertificate {
    /// Names, key and dates.
    pub inspected: InspectedCertificate,
    /// The version of X.509.
    pub version: u32,
    /// The algorithm of its signature, such as `ecdsa-with-SHA256`.
    pub signature: String,
    /// Of a CA: how many CAs may stand between it and a leaf; `None` for any number.
    pub path_length: Option<u32>,
    /// Its key usage, such as `digitalSignature`; empty if it has no such extension.
    pub key_usage: Vec<&'static str>,
    /// Its extended key usage, such as `clientAuth`; empty if it has no such extension.
    pub extended_key_usage: Vec<String>,
    /// The names that it may sign.
    pub constraints: NameConstraints,
    /// SHA-256 of the whole certificate, in hex.
    pub fingerprint: String,
    /// Whether it would do as the certificate that is uploaded for origin pulls.
    pub upload: Fitness,
    /// Whether it would do as a `client_ca`.
    pub client_ca: Fitness,
}

/// A request for a certificate.
#[derive(Clone, Debug)]
pub struct DescribedRequest {
    /// Its subject.
    pub subject: String,
    /// The kind of its key, such as `ECDSA P-256`.
    pub key: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// The DNS names that it asks for.
    pub names: Vec<String>,
    /// Why `aop ca issue` refuses it.
    pub error: Option<String>,
}

/// A private key. Nothing of the key itself is in it.
#[derive(Clone, Debug)]
pub struct DescribedKey {
    /// Its kind, such as `ECDSA P-256`; `None` if it is under a passphrase, or cannot be used.
    pub kind: Option<String>,
    /// SHA-256 of its public key, in hex; as for `kind`.
    pub spki_sha256: Option<String>,
    /// Whether it is under a passphrase.
    pub encrypted: bool,
    /// Why it cannot be used.
    pub error: Option<String>,
}

/// Describes the PEM text of a file.
///
/// # Errors
/// A section cannot be read, or there is nothing that is described here.
pub fn describe(text: &[u8], now: Timestamp) -> Result<Description, CaError> {
    let mut described = Description::default();
    for Section { content, .. } in sections(text)? {
        match content {
            SectionContent::Certificate(der) => {
                described.certificates.push(certificate(&der, now)?);
            }
            SectionContent::Request(der) => described.requests.push(request(&der)),
            SectionContent::Key(mut key) => {
                described.keys.push(match PrivateKey::from_der(&key) {
                    Ok(key) => plain_key(&key),
                    Err(error) => DescribedKey {
                        error: Some(error.to_string()),
                        ..DescribedKey::closed(false)
                    },
                });
                key.zeroize();
            }
            SectionContent::EncryptedKey(_) | SectionContent::OlderEncryptedKey => {
                described.keys.push(DescribedKey::closed(true));
            }
            SectionContent::Crl(_) => described.lists += 1,
            SectionContent::Other => {}
        }
    }
    let Description { certificates, requests, keys, lists } = &described;
    match certificates.is_empty() && requests.is_empty() && keys.is_empty() && *lists == 0 {
        true => Err(CaError::Nothing),
        false => Ok(described),
    }
}

impl DescribedKey {
    fn closed(encrypted: bool) -> Self {
        Self { kind: None, spki_sha256: None, encrypted, error: None }
    }
}

fn plain_key(key: &PrivateKey) -> DescribedKey {
    let spki = key.subject_public_key_info();
    let kind = SubjectPublicKeyInfo::from_der(&spki).ok().map(|(_, spki)| key_kind(&spki));
    DescribedKey { kind, spki_sha256: Some(key.spki_sha256()), encrypted: false, error: None }
}

fn certificate(der: &[u8], now: Timestamp) -> Result<DescribedCertificate, CaError> {
    let inspected = inspect_certificate(der).map_err(CaError::NotX509)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(der)
        .map_err(|error| CaError::NotX509(error.to_string()))?;
    let constraints = parsed.basic_constraints().ok().flatten();
    let objections = client_ca_objections(&parsed);
    Ok(DescribedCertificate {
        version: parsed.version().0 + 1,
        signature: algorithm_name(&parsed.signature_algorithm),
        path_length: constraints.and_then(|it| it.value.path_len_constraint),
        key_usage: key_usage(&parsed),
        extended_key_usage: extended_key_usage(&parsed),
        constraints: NameConstraints::of(&parsed),
        fingerprint: HEXLOWER.encode(digest(&SHA256, der).as_ref()),
        upload: fitness::for_upload(&parsed, &inspected.key, now),
        client_ca: fitness::for_client_ca(&parsed, &inspected.key, objections, now),
        inspected,
    })
}

fn request(der: &[u8]) -> DescribedRequest {
    let read = SigningRequest::from_der(der);
    let error = match &read {
        Ok(request) => request.names_or(Vec::new()).err(),
        Err(_) => None,
    };
    let names = read.as_ref().map_or(Vec::new(), |it| it.names.clone());
    let error = error.or(read.err()).map(|error| error.to_string());
    let names = names.iter().map(ToString::to_string).collect();
    match X509CertificationRequest::from_der(der) {
        Ok((_, parsed)) => {
            let info = &parsed.certification_request_info;
            DescribedRequest {
                subject: distinguished_name(&info.subject),
                key: key_kind(&info.subject_pki),
                spki_sha256: HEXLOWER.encode(digest(&SHA256, info.subject_pki.raw).as_ref()),
                names,
                error,
            }
        }
        Err(_) => DescribedRequest {
            subject: String::new(),
            key: String::new(),
            spki_sha256: String::new(),
            names,
            error,
        },
    }
}

fn algorithm_name(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let oid = &algorithm.algorithm;
    let id = oid.to_id_string();
    match (ml_dsa_name(&id), oid2sn(oid, oid_registry())) {
        (Some(name), _) | (None, Ok(name)) => name.to_owned(),
        (None, Err(_)) => id,
    }
}

fn key_usage(certificate: &X509Certificate<'_>) -> Vec<&'static str> {
    let Some(usage) = certificate.key_usage().ok().flatten() else { return Vec::new() };
    let usage = usage.value;
    [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}

fn extended_key_usage(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::ExtendedKeyUsage(usage) = extension.parsed_extension() {
            for (set, name) in [
                (usage.any, "anyExtendedKeyUsage"),
                (usage.client_auth, "clientAuth"),
                (usage.server_auth, "serverAuth"),
                (usage.code_signing, "codeSigning"),
                (usage.email_protection, "emailProtection"),
                (usage.time_stamping, "timeStamping"),
                (usage.ocsp_signing, "OCSPSigning"),
            ] {
                found.extend(set.then(|| name.to_owned()));
            }
            found.extend(usage.other.iter().map(|oid| oid.to_id_string()));
        }
    }
    found
}

pub(crate) fn instant(time: ASN1Time) -> Timestamp {
    Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::MAX)
}
