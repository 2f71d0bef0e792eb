//! Certificates that were uploaded to a CDN, judged as a site would judge them in a handshake.
//!
//! The CDN lists them with their chain and without their key. The judge needs the client CAs and
//! the revocation lists of the site, and neither its server certificate nor its key.

use std::{path::Path, sync::Arc};

use aop_config::SiteConfig;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rustls::{
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};

use super::{
    client_ca,
    error::{FileError, SiteErrorKind},
    file_warnings::FileWarnings,
    identity::PeerIdentity,
    inspect::{InspectedCertificate, inspect_certificate},
    pem,
    refusal_of_error::refusal_of_error,
    refused_connection::RefusedConnection,
    revocation, signature_cache,
    site_files::SiteFiles,
    verifier::SiteVerifier,
};

/// A client certificate with its chain, leaf first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedLeaf {
    chain: Vec<CertificateDer<'static>>,
}

/// The rules of one site for client certificates.
#[derive(Debug)]
pub struct LeafJudge(Arc<SiteVerifier>);

impl UploadedLeaf {
    /// Reads a chain in PEM. `name` stands for its file in an error.
    ///
    /// # Errors
    /// The text has no certificate, or is damaged.
    pub fn from_pem(text: &str, name: &str) -> Result<Self, FileError> {
        let file = Path::new(name);
        let files = SiteFiles::handed_over([(file.into(), text.as_bytes().into())]);
        pem::certificates(file, &files).map(|chain| Self { chain })
    }

    /// Takes a chain in DER, leaf first.
    #[must_use]
    pub fn from_der(chain: Vec<Vec<u8>>) -> Self {
        Self { chain: chain.into_iter().map(CertificateDer::from).collect() }
    }

    /// The chain in DER, leaf first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(AsRef::as_ref)
    }

    /// SHA-256 of the leaf, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        let leaf = self.chain.first().map_or(&[][..], AsRef::as_ref);
        HEXLOWER.encode(digest(&SHA256, leaf).as_ref())
    }

    /// The issuers of the leaf and of its intermediates.
    #[must_use]
    pub fn issuers(&self) -> Vec<String> {
        let read = |der| PeerIdentity::read(der).ok().map(|identity| identity.issuer);
        self.chain.iter().filter_map(read).collect()
    }

    /// The leaf, described for people.
    ///
    /// # Errors
    /// It is not X.509.
    pub fn inspect(&self) -> Result<InspectedCertificate, String> {
        inspect_certificate(self.chain.first().ok_or("there is no certificate")?)
    }
}

impl LeafJudge {
    /// Reads the client CAs and revocation lists of `site`.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn load(site: &SiteConfig, files: &SiteFiles) -> Result<Self, SiteErrorKind> {
        let (mut warnings, mut anchors) = (FileWarnings::default(), Vec::new());
        for client_ca in &site.client_ca {
            anchors.extend(client_ca::load(client_ca, site, &[], files, &mut warnings)?);
        }
        let provider = Arc::new(signature_cache::provider());
        let known = &provider.signature_verification_algorithms;
        let lists = revocation::load(site, &anchors, files, known, &mut warnings)?;
        let verifier = SiteVerifier::new(&anchors, &site.rules, &lists, &provider)?;
        Ok(Self(Arc::new(verifier)))
    }

    /// The refusal of this certificate in a handshake, if it would be refused.
    #[must_use]
    pub fn refusal_of(&self, leaf: &UploadedLeaf) -> Option<RefusedConnection> {
        let verified = match leaf.chain.split_first() {
            Some((leaf, between)) => {
                self.0.verify_client_cert(leaf, between, UnixTime::now()).map(drop)
            }
            None => Err(rustls::Error::NoCertificatesPresented),
        };
        verified.err().map(|error| refusal_of_error(&error))
    }
}
