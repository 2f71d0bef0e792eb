//! The contents of each file of a site, whether or not the site can be served.

use std::path::Path;

use aop_config::{ClientCa, SiteConfig};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, public_key::PublicKey};

use super::{
    client_ca::BUILT_IN,
    cloudflare_ca,
    error::FileError,
    identity::{self, PeerIdentity},
    leaf_rules, pem,
    site_files::SiteFiles,
};

/// One file, or the built-in anchor.
#[derive(Clone, Debug)]
pub struct InspectedFile {
    /// Its path, or `cloudflare-global`.
    pub file: String,
    /// Its role in the configuration.
    pub role: FileRole,
    /// Why it cannot be used.
    pub error: Option<String>,
    /// The certificates in it.
    pub certificates: Vec<InspectedCertificate>,
    /// The revocation lists in it.
    pub lists: Vec<InspectedCrl>,
}

/// The role of a file in a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// The server certificate and its chain.
    Certificate,
    /// Its key.
    Key,
    /// Client CAs.
    ClientCa,
    /// Revocation lists.
    Crl,
}

/// A certificate, described for people.
#[derive(Clone, Debug)]
pub struct InspectedCertificate {
    /// Names, key and dates.
    pub identity: PeerIdentity,
    /// The kind of its key, as `ECDSA P-256`.
    pub key: String,
    /// Whether it is marked as a CA.
    pub is_ca: bool,
    /// Its subject alternative names, as `dns:example.com`.
    pub names: Vec<String>,
}

/// A revocation list, described for people. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub struct InspectedCrl {
    /// Distinguished name of its issuer.
    pub issuer: String,
    /// When it was issued.
    pub this_update: u64,
    /// When the next list is due.
    pub next_update: u64,
    /// The number of certificates that it revokes.
    pub entries: usize,
}

impl FileRole {
    /// The configuration key that names such a file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::ClientCa => "client_ca",
            Self::Crl => "crl",
        }
    }
}

/// Reads every file of `site`.
#[must_use]
pub fn inspect(site: &SiteConfig, files: &SiteFiles) -> Vec<InspectedFile> {
    let mut inspected = vec![
        inspect_certificates(&site.certificate, FileRole::Certificate, files),
        InspectedFile::new(&site.key, FileRole::Key, pem::key(&site.key, files).err()),
    ];
    inspected.extend(site.client_ca.iter().map(|client_ca| match client_ca {
        ClientCa::CloudflareGlobal => built_in(),
        ClientCa::File(file) => inspect_certificates(file, FileRole::ClientCa, files),
    }));
    inspected.extend(site.rules.revocation.files.iter().map(|file| inspect_crls(file, files)));
    inspected
}

impl InspectedFile {
    fn new(file: &Path, role: FileRole, error: Option<FileError>) -> Self {
        Self {
            file: file.display().to_string(),
            role,
            error: error.map(|error| error.problem.to_string()),
            certificates: Vec::new(),
            lists: Vec::new(),
        }
    }

    fn add_certificates(&mut self, found: &[CertificateDer<'_>]) {
        for der in found {
            match inspect_certificate(der) {
                Ok(certificate) => self.certificates.push(certificate),
                Err(error) => {
                    self.error = Some(format!("holds a certificate that is not X.509: {error}"));
                }
            }
        }
    }
}

fn inspect_certificates(file: &Path, role: FileRole, files: &SiteFiles) -> InspectedFile {
    let read = if role == FileRole::ClientCa { pem::client_cas } else { pem::certificates };
    let found = match read(file, files) {
        Ok(found) => found,
        Err(error) => return InspectedFile::new(file, role, Some(error)),
    };
    let mut inspected = InspectedFile::new(file, role, None);
    inspected.add_certificates(&found);
    inspected
}

pub(crate) fn inspect_certificate(
    der: &CertificateDer<'_>,
) -> Result<InspectedCertificate, String> {
    let identity = PeerIdentity::read(der)?;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(der).map_err(|error| error.to_string())?;
    Ok(InspectedCertificate {
        identity,
        key: key_kind(&parsed),
        is_ca: parsed.is_ca(),
        names: leaf_rules::names(&parsed)
            .iter()
            .map(|name| identity::printable(&leaf_rules::spelled(name)))
            .collect(),
    })
}

/// The kind of a certificate's key.
fn key_kind(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    let oid = key.algorithm.algorithm.to_id_string();
    if let Some(name) = leaf_rules::ml_dsa_name(&oid) {
        return name.into();
    }
    match (oid.as_str(), key.parsed()) {
        ("1.3.101.112", _) => "Ed25519".into(),
        (_, Ok(PublicKey::RSA(rsa))) => format!("RSA {}", rsa.key_size()),
        (_, Ok(PublicKey::EC(point))) => format!("ECDSA P-{}", point.key_size()),
        _ => format!("algorithm {oid}"),
    }
}

fn built_in() -> InspectedFile {
    let anchor = cloudflare_ca::anchor();
    let subject = "CN=origin-pull.cloudflare.net, O=\"CloudFlare, Inc.\", OU=Origin Pull";
    let key = digest(&SHA256, &webpki::spki_for_anchor(&anchor));
    let certificate = InspectedCertificate {
        identity: PeerIdentity {
            subject: subject.into(),
            issuer: subject.into(),
            serial: String::new(),
            spki_sha256: HEXLOWER.encode(key.as_ref()),
            not_before: cloudflare_ca::NOT_BEFORE,
            not_after: cloudflare_ca::NOT_AFTER,
        },
        key: "RSA 4096".into(),
        is_ca: true,
        names: Vec::new(),
    };
    let file = InspectedFile::new(Path::new(BUILT_IN), FileRole::ClientCa, None);
    InspectedFile { certificates: vec![certificate], ..file }
}

fn inspect_crls(file: &Path, files: &SiteFiles) -> InspectedFile {
    let read = match files.lists(file) {
        Ok(read) => read,
        Err(error) => return InspectedFile::new(file, FileRole::Crl, Some(error)),
    };
    let lists = read.lists.iter().map(|(_, list)| InspectedCrl {
        issuer: list.issuer_name.clone(),
        this_update: list.validity.not_before,
        next_update: list.validity.not_after,
        entries: list.len(),
    });
    let mut inspected = InspectedFile::new(file, FileRole::Crl, None);
    inspected.lists = lists.collect();
    inspected.add_certificates(&read.certificates);
    inspected
}
