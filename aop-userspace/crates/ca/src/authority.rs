//! The CA: it is made, taken up again, and signs leaves.

use aop_config::HostPattern;
use aop_tls::{SectionContent, distinguished_name, sections};
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyUsagePurpose, SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, x509::X509Version};

use crate::{
    CaError, NameConstraints, PrivateKey, PublicKey,
    describe::instant,
    names::{self, MAX_COMMON_NAME},
};

/// The most days that a new CA is valid.
pub const MAX_CA_DAYS: u32 = 7300;
/// The most days that a leaf is valid.
pub const MAX_LEAF_DAYS: u32 = 3650;

/// A certificate is valid from an hour before it is made: the clock of this host may be ahead of
/// that of an origin, as public CAs expect it, too.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A new CA, as it was ordered.
#[derive(Clone, Debug)]
pub struct CaOrder {
    /// Its common name.
    pub name: String,
    /// The only hosts for which it may sign, with all names below them; empty for no limit.
    pub hosts: Vec<HostPattern>,
    /// How long it is valid: 1 to [`MAX_CA_DAYS`].
    pub days: u32,
}

/// A leaf, as it was ordered.
#[derive(Clone, Debug)]
pub struct LeafOrder {
    /// Its names; at least one. The first one is its common name too.
    pub hosts: Vec<HostPattern>,
    /// How long it is valid: 1 to [`MAX_LEAF_DAYS`], but never longer than the CA.
    pub days: u32,
}

/// A leaf that was signed.
#[derive(Clone, Debug)]
pub struct IssuedLeaf {
    /// The certificate, as PEM text.
    pub pem: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whether it ends with the CA, before the ordered days have passed.
    pub shortened: bool,
}

/// The name of a CA without a host of its own.
pub const DEFAULT_CA_NAME: &str = "origin pull CA";

/// The name of a CA for `host`, if it gets no other.
#[must_use]
pub fn default_ca_name(host: &HostPattern) -> String {
    let (HostPattern::Exact(host) | HostPattern::Below(host)) = host;
    let name = format!("{host} {DEFAULT_CA_NAME}");
    if name.len() <= MAX_COMMON_NAME { name } else { DEFAULT_CA_NAME.to_owned() }
}

/// Makes the certificate of a new CA, as PEM text: CA:TRUE with a path length of 0, for signing
/// certificates and revocation lists.
///
/// # Errors
/// The order cannot be met.
pub fn create(order: &CaOrder, key: &PrivateKey, now: Timestamp) -> Result<String, CaError> {
    let length = order.name.chars().count();
    if !(1..=MAX_COMMON_NAME).contains(&length) || order.name.chars().any(char::is_control) {
        return Err(CaError::Name);
    }
    let mut ca = CertificateParams::default();
    ca.distinguished_name = names::subject(&order.name);
    ca.not_before = date(now - BACKDATED);
    ca.not_after = date(end(now, order.days, MAX_CA_DAYS)?);
    ca.serial_number = Some(serial()?);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let trees = names::trees(&order.hosts);
    ca.name_constraints = (!trees.is_empty()).then(|| rcgen::NameConstraints {
        permitted_subtrees: trees.into_iter().map(GeneralSubtree::DnsName).collect(),
        excluded_subtrees: Vec::new(),
    });
    Ok(ca.self_signed(key)?.pem())
}

/// A CA with its key, ready to sign.
pub struct Ca {
    issuer: Issuer<'static, PrivateKey>,
    /// Its name in DER, as it must stand in every leaf.
    subject: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    constraints: NameConstraints,
}

impl Ca {
    /// Takes up the CA whose certificate is the first one in the PEM text `certificate`.
    ///
    /// # Errors
    /// As [`check_ca`], or `key` is not its key ([`CaError::KeyMismatch`], the only error about the
    /// key).
    pub fn open(certificate: &[u8], key: PrivateKey, now: Timestamp) -> Result<Self, CaError> {
        let der = ca_certificate(certificate)?;
        let parsed = parsed_ca(&der, now)?;
        let wanted = HEXLOWER.encode(digest(&SHA256, parsed.public_key().raw).as_ref());
        if key.spki_sha256() != wanted {
            return Err(CaError::KeyMismatch { key: key.spki_sha256(), wanted });
        }
        let validity = parsed.validity();
        Ok(Self {
            subject: parsed.subject().as_raw().to_vec(),
            constraints: NameConstraints::of(&parsed),
            not_before: instant(validity.not_before),
            not_after: instant(validity.not_after),
            issuer: Issuer::from_ca_cert_der(&der[..].into(), key)?,
        })
    }

    /// The end of its validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Signs a leaf for TLS clients: version 3, CA:FALSE, with the ordered names and a random
    /// serial number. It ends with the CA at the latest.
    ///
    /// # Errors
    /// The order cannot be met.
    pub fn issue(
        &self,
        order: &LeafOrder,
        holder: &PublicKey,
        now: Timestamp,
    ) -> Result<IssuedLeaf, CaError> {
        self.constraints.allow(&order.hosts)?;
        let mut leaf = leaf(&order.hosts)?;
        let ordered = end(now, order.days, MAX_LEAF_DAYS)?;
        let not_after = ordered.min(self.not_after);
        leaf.not_before = date((now - BACKDATED).max(self.not_before));
        leaf.not_after = date(not_after);
        leaf.serial_number = Some(serial()?);
        leaf.use_authority_key_identifier_extension = true;
        let signed = leaf.signed_by(holder, &self.issuer)?;
        let issuer = x509_parser::parse_x509_certificate(signed.der())
            .map(|(_, parsed)| parsed.issuer().as_raw().to_vec());
        // Verifiers compare the bytes of both names.
        if issuer.as_deref().ok() != Some(&self.subject[..]) {
            return Err(CaError::IssuerName);
        }
        Ok(IssuedLeaf { pem: signed.pem(), not_after, shortened: not_after < ordered })
    }
}

/// The extensions of a leaf, in a certificate and in a request.
pub(crate) fn leaf(hosts: &[HostPattern]) -> Result<CertificateParams, CaError> {
    let (subject, names) = names::leaf_names(hosts)?;
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name = subject;
    leaf.subject_alt_names = names;
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(leaf)
}

/// Checks that the first certificate in a PEM text is that of a CA, and valid now.
///
/// # Errors
/// It is not, and why.
pub fn check_ca(certificate: &[u8], now: Timestamp) -> Result<(), CaError> {
    parsed_ca(&ca_certificate(certificate)?, now).map(drop)
}

fn ca_certificate(text: &[u8]) -> Result<Vec<u8>, CaError> {
    let first = sections(text)?.into_iter().find_map(|it| {
        let SectionContent::Certificate(der) = it.content else { return None };
        Some(der)
    });
    first.ok_or(CaError::NoCertificate)
}

fn parsed_ca(der: &[u8], now: Timestamp) -> Result<X509Certificate<'_>, CaError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der)
        .map_err(|error| CaError::NotX509(error.to_string()))?;
    must_be_ca(&parsed)?;
    let validity = parsed.validity();
    let [from, until] = [validity.not_before, validity.not_after].map(instant);
    if now > until {
        return Err(CaError::Expired(until));
    }
    if now < from {
        return Err(CaError::NotYetValid(from));
    }
    Ok(parsed)
}

fn must_be_ca(certificate: &X509Certificate<'_>) -> Result<(), CaError> {
    let usage = certificate.key_usage().ok().flatten();
    let why = if certificate.version() != X509Version::V3 {
        "it is not X.509 version 3"
    } else if !certificate.is_ca() {
        "no CA:TRUE"
    } else if usage.is_some_and(|it| !it.value.key_cert_sign()) {
        "its key usage lacks keyCertSign"
    } else {
        return Ok(());
    };
    Err(CaError::NotACa { subject: distinguished_name(certificate.subject()), why })
}

/// A random serial number of 126 bits, always positive and of the same length.
fn serial() -> Result<SerialNumber, CaError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn end(now: Timestamp, days: u32, most: u32) -> Result<Timestamp, CaError> {
    let valid = (1..=most).contains(&days).then(|| i32::try_from(days).ok()).flatten();
    let valid = valid.ok_or(CaError::Days { days, most })?;
    Ok(now + DAY * valid)
}

/// Certificates count whole seconds.
fn date(moment: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(moment.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
