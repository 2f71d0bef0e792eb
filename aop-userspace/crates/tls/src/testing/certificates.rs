//! Certificates, keys and revocation lists of every kind.

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams,
    CrlIssuingDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, SigningKey, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use crate::signed_der::{SEQUENCE, SignedDer, element, elements};

/// The tag byte of a BIT STRING.
const BIT_STRING: u8 = 0x03;

/// The serial number of every intermediate.
pub(crate) const INTERMEDIATE: u64 = 5;

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
}

/// A certificate with its chain and key.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: Vec<u8>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::of(KeyPair::generate().unwrap(), name, change)
    }

    /// A CA with this key.
    pub fn of(key: KeyPair, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_of(KeyPair::generate().unwrap(), name, |_| {})
    }

    /// An intermediate CA with this key, and a change.
    pub(crate) fn intermediate_of(
        &self,
        key: KeyPair,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.serial_number = Some(SerialNumber::from(INTERMEDIATE));
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A correct certificate of an edge.
    pub fn edge(&self) -> Leaf {
        self.leaf(|_| {})
    }

    /// A certificate of an edge, with a change.
    pub fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        self.leaf_of(KeyPair::generate().unwrap(), change)
    }

    /// A certificate of an edge with this key, and a change.
    pub(crate) fn leaf_of(
        &self,
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let mut params = named("edge");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }

    /// A revocation list with these serial numbers, whose next update is due at the end of `year`.
    pub fn crl(&self, serials: &[u64], year: i32) -> Vec<u8> {
        self.crl_of(None, serials, year)
    }

    /// The same, for a part of its certificates.
    pub(crate) fn crl_of(
        &self,
        part: Option<CrlIssuingDistributionPoint>,
        serials: &[u64],
        year: i32,
    ) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 12, 31),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: part,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    pub fn server(&self, hosts: &[&str]) -> Leaf {
        let sans =
            CertificateParams::new(hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
        let sans = sans.unwrap().subject_alt_names;
        self.leaf(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names = sans;
        })
    }

    /// A certificate of version 1, as `openssl x509 -req` makes without extensions. rcgen makes
    /// only version 3, so version and extensions are removed and the rest is signed again.
    pub fn version_1(&self) -> Leaf {
        let v3 = self.edge();
        let whole = SignedDer::parse(&v3.chain[0]).unwrap();
        // The version is tagged [0], the extensions [3].
        let fields = elements(whole.message.content);
        let kept: Vec<u8> = fields
            .filter(|field| !matches!(field.whole[0], 0xa0 | 0xa3))
            .flat_map(|field| field.whole)
            .copied()
            .collect();
        let signed = element(SEQUENCE, &kept);
        let signature = [&[0], &self.issuer.key().sign(&signed).unwrap()[..]].concat();
        let algorithm = element(SEQUENCE, whole.algorithm);
        let parts = [signed, algorithm, element(BIT_STRING, &signature)].concat();
        Leaf { chain: vec![element(SEQUENCE, &parts).into()], ..v3 }
    }

    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }
}

impl Leaf {
    /// A self-signed CA certificate, as `openssl req -x509` makes.
    pub fn self_signed() -> Self {
        let authority = Authority::new("self-signed");
        let key = authority.issuer.key().serialize_der();
        Self { chain: vec![authority.certificate], key }
    }

    pub fn pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

pub fn long_ago(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
}

pub fn far_ahead(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(4001, 1, 1), date_time_ymd(4002, 1, 1));
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Acme, \"Quoted\" Inc.");
    params
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let lines: String = der.chunks(48).map(|line| BASE64.encode(line) + "\n").collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}
