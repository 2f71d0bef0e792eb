//! The TLS configuration of one site: what we present, whom we believe, and nothing resumed.

use std::{collections::HashSet, sync::Arc};

use rustls::{
    Error, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, TrustAnchor},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::{
    anchors,
    error::{FileError, FileProblem, SitesProblem},
    files::Files,
    lenient::Lenient,
    pem,
    validity::Validity,
};
use crate::config::{OnRefusal, SiteConfig, Upstream, Warning};

/// What the files of a site amount to.
pub(super) struct Built {
    pub(super) config: ServerConfig,
    pub(super) trust: Trust,
    /// Where the site explains its refusals, what judges a peer after the handshake.
    pub(super) explains_by: Option<Arc<dyn ClientCertVerifier>>,
}

/// Reads the files of `site` and builds its configuration.
///
/// Resumption is off in both versions: a resumed session would bypass the verifier, and with it
/// every change of trust since the first handshake.
pub(super) fn config(
    site: &SiteConfig,
    files: &Files,
    provider: &Arc<CryptoProvider>,
    now: u64,
    warnings: &mut Vec<Warning>,
) -> Result<Built, SitesProblem> {
    let pair = pair(site, files, provider, now, warnings)?;
    let mut roots: Vec<TrustAnchor<'static>> = Vec::new();
    for client_ca in &site.client_ca {
        roots.extend(anchors::load(client_ca, files, now, warnings)?);
    }
    let trust = Trust::of(&roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(RootCertStore { roots }),
        provider.clone(),
    )
    .build()?;
    let explains_by = match site.on_refusal {
        OnRefusal::Close => None,
        OnRefusal::Explain => Some(verifier.clone()),
    };
    let asked = match &explains_by {
        None => verifier,
        Some(strict) => Arc::new(Lenient(strict.clone())),
    };
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(asked)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = protocols(&site.upstream);
    Ok(Built { config, trust, explains_by })
}

/// What is offered in ALPN: only what the upstream's kind can serve. An upstream that takes bytes
/// may speak anything, so nothing is promised in its name.
fn protocols(upstream: &Upstream) -> Vec<Vec<u8>> {
    match upstream {
        Upstream::Http(_) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Upstream::Bytes(_) => Vec::new(),
    }
}

/// Whom a site believes: the subject and public key of each anchor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trust(HashSet<(Vec<u8>, Vec<u8>)>);

impl Trust {
    fn of(anchors: &[TrustAnchor<'_>]) -> Self {
        let key = |anchor: &TrustAnchor<'_>| {
            (anchor.subject.to_vec(), anchor.subject_public_key_info.to_vec())
        };
        Self(anchors.iter().map(key).collect())
    }

    /// Whether it believes everybody whom `other` believes.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }
}

/// The server certificate with its chain and key, checked to belong together.
fn pair(
    site: &SiteConfig,
    files: &Files,
    provider: &CryptoProvider,
    now: u64,
    warnings: &mut Vec<Warning>,
) -> Result<CertifiedKey, SitesProblem> {
    let chain = pem::certificates(&site.certificate, files)?;
    remark_on_dates(site, &chain, now, warnings)?;
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

fn remark_on_dates(
    site: &SiteConfig,
    chain: &[CertificateDer<'_>],
    now: u64,
    warnings: &mut Vec<Warning>,
) -> Result<(), FileError> {
    for certificate in chain {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| {
            FileProblem::Malformed(format!("a certificate in it is not X.509 ({error})"))
                .of(&site.certificate)
        })?;
        if let Some(remark) = Validity::from(&parsed).remark(now) {
            let file = site.certificate.display();
            warnings.push(Warning(format!("server certificate {file} {remark}")));
        }
    }
    Ok(())
}
