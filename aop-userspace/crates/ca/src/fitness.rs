//! Whether a certificate serves its purpose: as a leaf that Cloudflare presents, or as a client CA
//! of a site.

use jiff::Timestamp;
use x509_parser::{certificate::X509Certificate, x509::X509Version};

use crate::{describe::instant, key::LEAST_RSA_BITS};

/// The reasons why a certificate does not serve a purpose; none if it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fitness {
    /// The reasons, each a clause without a subject, such as `has expired`.
    pub against: Vec<String>,
}

impl Fitness {
    /// Whether it serves the purpose.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.against.is_empty()
    }
}

/// As the certificate that is uploaded for origin pulls. `key` is the kind of its key.
pub(crate) fn for_upload(leaf: &X509Certificate<'_>, key: &str, now: Timestamp) -> Fitness {
    let mut against = common(leaf, key, now);
    let mut add = |reason: &str| against.push(reason.to_owned());
    if leaf.is_ca() {
        add("is a CA: Cloudflare takes a leaf alone, and peers with it would be refused here");
    } else if leaf.subject().as_raw() == leaf.issuer().as_raw() {
        add("signed itself: no client CA stands behind it");
    }
    if let Ok(Some(usage)) = leaf.extended_key_usage()
        && !usage.value.client_auth
        && !usage.value.any
    {
        add("is not for TLS clients (extended key usage without clientAuth)");
    }
    if let Ok(Some(usage)) = leaf.key_usage()
        && !leaf.is_ca()
        && !usage.value.digital_signature()
    {
        add("may not sign handshakes (key usage without digitalSignature)");
    }
    let signature = leaf.signature_algorithm.algorithm.to_id_string();
    if ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"]
        .contains(&signature.as_str())
    {
        add("has a signature with MD5 or SHA-1, which no program accepts any more");
    }
    Fitness { against }
}

/// As a `client_ca`. `objections` are those of `aop check`.
pub(crate) fn for_client_ca(
    ca: &X509Certificate<'_>,
    key: &str,
    objections: Vec<String>,
    now: Timestamp,
) -> Fitness {
    let mut against = common(ca, key, now);
    against.extend(objections);
    if let Ok(Some(usage)) = ca.key_usage()
        && ca.is_ca()
        && !usage.value.key_cert_sign()
    {
        against.push("may not sign certificates (key usage without keyCertSign)".into());
    }
    Fitness { against }
}

fn common(certificate: &X509Certificate<'_>, key: &str, now: Timestamp) -> Vec<String> {
    let mut against = Vec::new();
    if certificate.version() != X509Version::V3 {
        let version = certificate.version().0 + 1;
        against.push(format!("is X.509 version {version}, and only version 3 is accepted"));
    }
    let bits = key.strip_prefix("RSA ").and_then(|bits| bits.parse::<usize>().ok());
    match bits {
        Some(bits) if bits < LEAST_RSA_BITS => {
            against.push(format!("has an RSA key of {bits} bits, and 2048 are the fewest"));
        }
        Some(_) => {}
        None if key.starts_with("ECDSA") || key.starts_with("ML-DSA") => {}
        None => against.push(format!("has a key of the kind {key}: use ECDSA, RSA or ML-DSA")),
    }
    let [from, until] =
        [certificate.validity().not_before, certificate.validity().not_after].map(instant);
    if now > until {
        against.push(format!("expired on {until}"));
    } else if now < from {
        against.push(format!("is not valid before {from}"));
    }
    against
}
