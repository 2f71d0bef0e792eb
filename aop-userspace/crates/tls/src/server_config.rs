//! The TLS configuration of one site: the server certificate, the verifier of peers, and no
//! resumption.

use std::sync::Arc;

use aop_config::{SiteConfig, Upstream};
use rustls::{
    ConfigBuilder, Error, InconsistentKeys, ServerConfig, WantsVerifier,
    crypto::CryptoProvider,
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::{
    accepted_certificates::AcceptedCertificates,
    client_ca::{self, Anchor},
    error::{FileError, FileErrorKind, SiteErrorKind},
    expiry::{ExpiryKind, FileExpiry},
    file_warnings::{self, FileWarning, FileWarnings, Severity},
    identity, pem, revocation,
    site_files::SiteFiles,
    validity::Validity,
    verifier::SiteVerifier,
};

/// The TLS parts of one site.
pub(crate) struct SiteTls {
    pub(crate) config_builder: ServerConfigBuilder,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) accepted: AcceptedCertificates,
    pub(crate) verifier: Arc<SiteVerifier>,
}

/// Makes TLS configurations of one site, which differ in their verifier.
#[derive(Clone)]
pub(crate) struct ServerConfigBuilder {
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    pair: Arc<SingleCertAndKey>,
    protocols: Vec<Vec<u8>>,
}

impl ServerConfigBuilder {
    /// The configuration with `verifier`. It resumes no session: a resumed session would bypass the
    /// verifier, and with it every change of trust since the first handshake.
    pub(crate) fn config(&self, verifier: Arc<dyn ClientCertVerifier>) -> ServerConfig {
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
pub(crate) fn load(
    site: &SiteConfig,
    files: &SiteFiles,
    provider: &Arc<CryptoProvider>,
    warnings: &mut FileWarnings,
) -> Result<SiteTls, SiteErrorKind> {
    let pair = read_pair(site, files, provider, warnings)?;
    let public_issuers = file_warnings::public_issuers(&pair.cert);
    let mut anchors = Vec::new();
    for client_ca in &site.client_ca {
        anchors.extend(client_ca::load(client_ca, site, &public_issuers, files, warnings)?);
    }
    let known = &provider.signature_verification_algorithms;
    let lists = revocation::load(site, &anchors, files, known, warnings)?;
    let verifier = Arc::new(SiteVerifier::new(&anchors, &site.rules, &lists, provider)?);
    let accepted = AcceptedCertificates::new(&anchors, &site.rules, &lists);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let (pair, protocols) = (Arc::new(SingleCertAndKey::from(pair)), protocols(&site.upstream));
    let config_builder = ServerConfigBuilder { builder, pair, protocols };
    Ok(SiteTls { config_builder, anchors, accepted, verifier })
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
fn read_pair(
    site: &SiteConfig,
    files: &SiteFiles,
    provider: &CryptoProvider,
    warnings: &mut FileWarnings,
) -> Result<CertifiedKey, SiteErrorKind> {
    let chain = pem::certificates(&site.certificate, files)?;
    collect_warnings(site, &chain, warnings)?;
    let key =
        provider.key_provider.load_private_key(pem::key(&site.key, files)?).map_err(|error| {
            FileErrorKind::Malformed(format!("its key cannot be used ({error})")).of(&site.key)
        })?;
    if files.is_open_to_all(&site.key) {
        let file = site.key.display();
        warnings.warnings.push(FileWarning {
            text: format!(
                "key {file} can be read or changed by every user of this host: `chmod o= {file}`. \
                 If one of them may have read it, get a certificate with a new key"
            ),
            severity: Severity::Mistake,
        });
    }
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
fn collect_warnings(
    site: &SiteConfig,
    chain: &[CertificateDer<'_>],
    warnings: &mut FileWarnings,
) -> Result<(), FileError> {
    let file = site.certificate.display().to_string();
    let mut parsed = Vec::new();
    for certificate in chain {
        let certificate = pem::parse(certificate, &site.certificate)?;
        warnings.expiries.push(FileExpiry {
            site: site.name.clone(),
            subject: identity::distinguished_name(certificate.subject()),
            file: file.clone(),
            validity: Validity::from(&certificate),
            kind: ExpiryKind::Server,
            list: None,
        });
        parsed.push(certificate);
    }
    for FileWarning { text, severity } in file_warnings::on_server_chain(&parsed, &site.hosts) {
        let text = format!("server certificate {file} {text}");
        warnings.warnings.push(FileWarning { text, severity });
    }
    Ok(())
}
