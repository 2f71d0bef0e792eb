//! Requests for certificates (PKCS #10): made for a CA that lives elsewhere, and read from there.

use aop_config::HostPattern;
use aop_tls::{SectionContent, key_kind, sections};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ML_DSA_44, ML_DSA_65, ML_DSA_87, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ML_DSA_44, PKCS_ML_DSA_65, PKCS_ML_DSA_87,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use crate::{CaError, PrivateKey, PublicKey, RequestError, authority};

/// A request whose signature was verified.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    /// The DNS names that it asks for; where it has no alternative names, its common name, if that
    /// is one.
    pub names: Vec<HostPattern>,
    /// A name in it that is no DNS name, as text.
    pub other_name: Option<String>,
    /// The key that the certificate is for.
    pub public_key: PublicKey,
}

/// Makes a request, as PEM text, for a leaf with these names.
///
/// # Errors
/// There is no name, or the key cannot sign.
pub fn make_request(hosts: &[HostPattern], key: &PrivateKey) -> Result<String, CaError> {
    Ok(authority::leaf(hosts)?.serialize_request(key)?.pem()?)
}

impl SigningRequest {
    /// Reads the first request of a PEM text.
    ///
    /// # Errors
    /// It is damaged, its sender does not have the key, or it asks for what a leaf cannot be.
    pub fn read(text: &[u8]) -> Result<Self, RequestError> {
        let request = sections(text)?.into_iter().find_map(|it| {
            let SectionContent::Request(der) = it.content else { return None };
            Some(der)
        });
        Self::from_der(&request.ok_or(RequestError::Missing)?)
    }

    /// The same in DER.
    pub(crate) fn from_der(request: &[u8]) -> Result<Self, RequestError> {
        let (_, parsed) = X509CertificationRequest::from_der(request)
            .map_err(|error| RequestError::Malformed(error.to_string()))?;
        let public_key = verified_key(&parsed)?;
        let (mut names, mut other_name) = (Vec::new(), None);
        let mut alternative = false;
        for extension in parsed.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::ParseError { error } = extension {
                return Err(RequestError::Malformed(format!("an extension: {error}")));
            } else if let ParsedExtension::BasicConstraints(it) = extension
                && it.ca
            {
                return Err(RequestError::WantsCa);
            } else if let ParsedExtension::KeyUsage(it) = extension
                && it.key_cert_sign()
            {
                return Err(RequestError::WantsCa);
            } else if let ParsedExtension::SubjectAlternativeName(it) = extension {
                alternative = true;
                for name in &it.general_names {
                    match dns_name(name) {
                        Ok(name) => names.push(name),
                        Err(other) => other_name = Some(other),
                    }
                }
            }
        }
        let subject = &parsed.certification_request_info.subject;
        if !alternative && let Some(name) = subject.iter_common_name().next() {
            names.extend(name.as_str().ok().and_then(|it| it.parse::<HostPattern>().ok()));
        }
        Ok(Self { names, other_name, public_key })
    }

    /// The names for the certificate: `hosts`, or those of the request where there are none.
    ///
    /// # Errors
    /// The request's names are needed, and one is no DNS name.
    pub fn names_or(&self, hosts: Vec<HostPattern>) -> Result<Vec<HostPattern>, RequestError> {
        match &self.other_name {
            _ if !hosts.is_empty() => Ok(hosts),
            Some(other) => Err(RequestError::Name(other.clone())),
            None => Ok(self.names.clone()),
        }
    }
}

fn dns_name(name: &GeneralName<'_>) -> Result<HostPattern, String> {
    if let GeneralName::DNSName(text) = name {
        text.parse().map_err(|_| aop_tls::printable(text))
    } else {
        Err(aop_tls::printable(&name.to_string()))
    }
}

/// The key of a request, which signed it.
fn verified_key(request: &X509CertificationRequest<'_>) -> Result<PublicKey, RequestError> {
    let info = &request.certification_request_info;
    let kind = key_kind(&info.subject_pki);
    let signature = request.signature_algorithm.algorithm.to_id_string();
    let known = known(&kind, &signature);
    let (algorithm, verification) =
        known.ok_or_else(|| RequestError::Key(format!("{kind}, {signature}")))?;
    let bytes = info.subject_pki.subject_public_key.data.to_vec();
    if request.signature_value.unused_bits != 0 {
        return Err(RequestError::BadSignature);
    }
    UnparsedPublicKey::new(verification, &bytes)
        .verify(info.raw, &request.signature_value.data)
        .map_err(|_| RequestError::BadSignature)?;
    Ok(PublicKey { algorithm, bytes })
}

/// The algorithms for a kind of key and the object identifier of a signature. A shorter RSA key
/// than 2048 bits has none.
fn known(
    kind: &str,
    signature: &str,
) -> Option<(&'static SignatureAlgorithm, &'static dyn VerificationAlgorithm)> {
    let bits = kind.strip_prefix("RSA ").and_then(|bits| bits.parse::<usize>().ok());
    let kind = match bits {
        Some(crate::key::LEAST_RSA_BITS..) => "RSA",
        Some(_) => return None,
        None => kind,
    };
    Some(match (kind, signature) {
        ("ECDSA P-256", "1.2.840.10045.4.3.2") => {
            (&PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_ASN1)
        }
        ("ECDSA P-256", "1.2.840.10045.4.3.3") => {
            (&PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA384_ASN1)
        }
        ("ECDSA P-384", "1.2.840.10045.4.3.2") => {
            (&PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA256_ASN1)
        }
        ("ECDSA P-384", "1.2.840.10045.4.3.3") => {
            (&PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_ASN1)
        }
        ("RSA", "1.2.840.113549.1.1.11") => (&PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA256),
        ("RSA", "1.2.840.113549.1.1.12") => (&PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA384),
        ("RSA", "1.2.840.113549.1.1.13") => (&PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA512),
        ("ML-DSA-44", "2.16.840.1.101.3.4.3.17") => (&PKCS_ML_DSA_44, &ML_DSA_44),
        ("ML-DSA-65", "2.16.840.1.101.3.4.3.18") => (&PKCS_ML_DSA_65, &ML_DSA_65),
        ("ML-DSA-87", "2.16.840.1.101.3.4.3.19") => (&PKCS_ML_DSA_87, &ML_DSA_87),
        _ => return None,
    })
}
