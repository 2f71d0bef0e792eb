//! The TLS configuration of one site: the server certificate, the verifier of peers, and no
//! resumption.

use std::{collections::HashSet, sync::Arc};

use aop_config::{SiteConfig, Upstream, Warning};
use rustls::{
    ConfigBuilder, Error, InconsistentKeys, ServerConfig, WantsVerifier,
    crypto::CryptoProvider,
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::{
    accepted_certificates::Trust,
    client_ca::{self, Anchor},
    error::{FileError, FileErrorKind, SiteErrorKind},
    expiry::{Ends, FileExpiry},
    file_warnings, identity, pem, revocation,
    site_files::Files,
    validity::Validity,
    verifier::SiteVerifier,
};

/// Warnings about the files of the sites.
#[derive(Clone, Debug, Default)]
pub struct FileWarnings {
    /// Warnings that hold at any time.
    pub warnings: Vec<Warning>,
    /// Those warnings for which the edge is refused, or strangers are let in.
    pub mistakes: Vec<Warning>,
    /// Certificates and lists that expire.
    pub terms: Vec<FileExpiry>,
}

impl FileWarnings {
    /// Removes duplicates: sites often share their files.
    pub(super) fn without_repetition(&mut self) {
        let mut texts = HashSet::new();
        self.warnings.retain(|warning| texts.insert(warning.0.clone()));
        texts.clear();
        self.mistakes.retain(|mistake| texts.insert(mistake.0.clone()));
        let mut terms = HashSet::new();
        let key =
            |term: &FileExpiry| (term.file.clone(), term.validity, term.kind, term.subject.clone());
        self.terms.retain(|term| terms.insert(key(term)));
    }

    /// All warnings as text, at `now` in seconds since 1970.
    #[must_use]
    pub fn told(&self, now: u64) -> Vec<String> {
        let warnings = self.warnings.iter().map(ToString::to_string);
        warnings.chain(self.terms.iter().filter_map(|term| term.remark(now))).collect()
    }

    /// The warnings that must be corrected now.
    #[must_use]
    pub fn mistaken(&self, now: u64) -> Vec<String> {
        let mistakes = self.mistakes.iter().map(ToString::to_string);
        mistakes.chain(self.terms.iter().filter_map(|term| term.mistake(now))).collect()
    }
}

/// The TLS parts of one site.
pub(super) struct Equipment {
    pub(super) maker: Maker,
    pub(super) anchors: Vec<Anchor>,
    pub(super) trust: Trust,
    pub(super) verifier: Arc<SiteVerifier>,
}

/// Makes TLS configurations of one site, which differ in their verifier.
#[derive(Clone)]
pub(super) struct Maker {
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    pair: Arc<SingleCertAndKey>,
    protocols: Vec<Vec<u8>>,
}

impl Maker {
    /// The configuration with `verifier`. It resumes no session: a resumed session would bypass the
    /// verifier, and with it every change of trust since the first handshake.
    pub(super) fn config(&self, verifier: Arc<dyn ClientCertVerifier>) -> ServerConfig {
        let builder = self.builder.clone().with_client_cert_verifier(verifier);
        let mut config = builder.with_cert_resolver(self.pair.clone());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols.clone_from(&self.protocols);
        config
    }
}

/// Reads the files of `site`.
pub(super) fn equip(
    site: &SiteConfig,
    files: &Files,
    provider: &Arc<CryptoProvider>,
    notes: &mut FileWarnings,
) -> Result<Equipment, SiteErrorKind> {
    let pair = pair(site, files, provider, notes)?;
    let mut anchors = Vec::new();
    for client_ca in &site.client_ca {
        anchors.extend(client_ca::load(client_ca, site, files, notes)?);
    }
    let lists = revocation::load(site, files, notes)?;
    let verifier = Arc::new(SiteVerifier::new(&anchors, &site.rules, &lists, provider)?);
    let trust = Trust::of(&anchors, &site.rules, lists.revoked);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let (pair, protocols) = (Arc::new(SingleCertAndKey::from(pair)), protocols(&site.upstream));
    Ok(Equipment { maker: Maker { builder, pair, protocols }, anchors, trust, verifier })
}

/// The protocols offered in ALPN, all of which the upstream can serve. An upstream that takes bytes
/// may speak any protocol, so none is offered for it.
fn protocols(upstream: &Upstream) -> Vec<Vec<u8>> {
    match upstream {
        Upstream::Http(_) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Upstream::Bytes(_) => Vec::new(),
    }
}

/// The server certificate with its chain and key, checked to match.
fn pair(
    site: &SiteConfig,
    files: &Files,
    provider: &CryptoProvider,
    notes: &mut FileWarnings,
) -> Result<CertifiedKey, SiteErrorKind> {
    let chain = pem::certificates(&site.certificate, files)?;
    note_chain(site, &chain, notes)?;
    let key =
        provider.key_provider.load_private_key(pem::key(&site.key, files)?).map_err(|error| {
            FileErrorKind::Malformed(format!("its key cannot be used ({error})")).of(&site.key)
        })?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        // Unknown: the key cannot give its public half. The first handshake shows a mismatch.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => Err(SiteErrorKind::KeyMismatch {
            certificate: site.certificate.clone(),
            key: site.key.clone(),
        }),
        Err(error) => {
            Err(FileErrorKind::Malformed(format!("its first certificate cannot be used ({error})"))
                .of(&site.certificate)
                .into())
        }
    }
}

/// Collects the warnings and expiry dates of the server certificate and its chain.
fn note_chain(
    site: &SiteConfig,
    chain: &[CertificateDer<'_>],
    notes: &mut FileWarnings,
) -> Result<(), FileError> {
    let file = site.certificate.display().to_string();
    let mut parsed = Vec::new();
    for certificate in chain {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(certificate).map_err(|error| {
                FileErrorKind::Malformed(format!("a certificate in it is not X.509 ({error})"))
                    .of(&site.certificate)
            })?;
        let validity = Validity::from(&certificate);
        notes.terms.push(FileExpiry {
            site: site.name.clone(),
            subject: identity::name(certificate.subject()),
            file: file.clone(),
            validity,
            kind: Ends::Server,
        });
        parsed.push(certificate);
    }
    for remark in file_warnings::on_server_chain(&parsed, &site.hosts) {
        notes.warnings.push(Warning(format!("server certificate {file} {remark}")));
    }
    Ok(())
}
