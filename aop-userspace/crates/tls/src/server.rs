//! The TLS configuration of one site: what we present, whom we believe, and nothing resumed.

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
    anchors::{self, Anchor},
    crl,
    error::{FileError, FileProblem, SitesProblem},
    files::Files,
    identity, pem, remarks,
    term::{Ends, Term},
    trust::Trust,
    validity::Validity,
    verifier::SiteVerifier,
};

/// What an operator should know about the files of the sites.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// What is so now.
    pub warnings: Vec<Warning>,
    /// Those of them for which the edge is refused, or strangers get in.
    pub mistakes: Vec<Warning>,
    /// What has an end.
    pub terms: Vec<Term>,
}

impl Notes {
    /// Sites often share their files; one word about each is enough.
    pub(super) fn without_repetition(&mut self) {
        let mut said = HashSet::new();
        self.warnings.retain(|warning| said.insert(warning.0.clone()));
        said.clear();
        self.mistakes.retain(|mistake| said.insert(mistake.0.clone()));
        let mut told = HashSet::new();
        let same =
            |term: &Term| (term.file.clone(), term.validity, term.kind, term.subject.clone());
        self.terms.retain(|term| told.insert(same(term)));
    }

    /// All of it in words, as it is at `now`, in seconds since 1970.
    #[must_use]
    pub fn told(&self, now: u64) -> Vec<String> {
        let warnings = self.warnings.iter().map(ToString::to_string);
        warnings.chain(self.terms.iter().filter_map(|term| term.remark(now))).collect()
    }

    /// What of that is to be mended now.
    #[must_use]
    pub fn mistaken(&self, now: u64) -> Vec<String> {
        let mistakes = self.mistakes.iter().map(ToString::to_string);
        mistakes.chain(self.terms.iter().filter_map(|term| term.mistake(now))).collect()
    }
}

/// One site's side of TLS.
pub(super) struct Equipment {
    pub(super) maker: Maker,
    pub(super) anchors: Vec<Anchor>,
    pub(super) trust: Trust,
    pub(super) verifier: Arc<SiteVerifier>,
}

/// Makes configurations of one site, which differ in who is asked about peers.
#[derive(Clone)]
pub(super) struct Maker {
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    pair: Arc<SingleCertAndKey>,
    protocols: Vec<Vec<u8>>,
}

impl Maker {
    /// The one in which `verifier` is asked. Nothing is resumed by it as it is: a resumed session would
    /// bypass the verifier, and with it every change of trust since the first handshake.
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
    notes: &mut Notes,
) -> Result<Equipment, SitesProblem> {
    let pair = pair(site, files, provider, notes)?;
    let mut anchors = Vec::new();
    for client_ca in &site.client_ca {
        anchors.extend(anchors::load(client_ca, site, files, notes)?);
    }
    let lists = crl::load(site, files, notes)?;
    let verifier = Arc::new(SiteVerifier::new(&anchors, &site.rules, &lists, provider)?);
    let trust = Trust::of(&anchors, &site.rules, lists.revoked);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let (pair, protocols) = (Arc::new(SingleCertAndKey::from(pair)), protocols(&site.upstream));
    Ok(Equipment { maker: Maker { builder, pair, protocols }, anchors, trust, verifier })
}

/// What is offered in ALPN: only what the upstream's kind can serve. An upstream that takes bytes
/// may speak anything, so nothing is promised in its name.
fn protocols(upstream: &Upstream) -> Vec<Vec<u8>> {
    match upstream {
        Upstream::Http(_) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Upstream::Bytes(_) => Vec::new(),
    }
}

/// The server certificate with its chain and key, checked to belong together.
fn pair(
    site: &SiteConfig,
    files: &Files,
    provider: &CryptoProvider,
    notes: &mut Notes,
) -> Result<CertifiedKey, SitesProblem> {
    let chain = pem::certificates(&site.certificate, files)?;
    note_chain(site, &chain, notes)?;
    let key =
        provider.key_provider.load_private_key(pem::key(&site.key, files)?).map_err(|error| {
            FileProblem::Malformed(format!("its key cannot be used ({error})")).of(&site.key)
        })?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        // Unknown: a key that cannot tell its public half. The first handshake would.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => Err(SitesProblem::KeyMismatch {
            certificate: site.certificate.clone(),
            key: site.key.clone(),
        }),
        Err(error) => {
            Err(FileProblem::Malformed(format!("its first certificate is refused ({error})"))
                .of(&site.certificate)
                .into())
        }
    }
}

/// What is to be said of the server certificate and its chain.
fn note_chain(
    site: &SiteConfig,
    chain: &[CertificateDer<'_>],
    notes: &mut Notes,
) -> Result<(), FileError> {
    let file = site.certificate.display().to_string();
    let mut parsed = Vec::new();
    for certificate in chain {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(certificate).map_err(|error| {
                FileProblem::Malformed(format!("a certificate in it is not X.509 ({error})"))
                    .of(&site.certificate)
            })?;
        let validity = Validity::from(&certificate);
        notes.terms.push(Term {
            site: site.name.clone(),
            subject: identity::name(certificate.subject()),
            file: file.clone(),
            validity,
            kind: Ends::Server,
        });
        parsed.push(certificate);
    }
    for remark in remarks::on_server_chain(&parsed, &site.hosts) {
        notes.warnings.push(Warning(format!("server certificate {file} {remark}")));
    }
    Ok(())
}
