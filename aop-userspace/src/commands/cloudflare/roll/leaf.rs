//! The new leaf: signed here, or by a CA on another host for a request that is made here.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use aop_ca::{KeyAlgorithm, LeafOrder, PrivateKey, make_request};
use aop_cloudflare::{LeafFacts, RollLeaf, RollNext, RollRecord, RollStep};
use aop_config::{Config, HostPattern, RequiredSan, SiteConfig};
use jiff::Timestamp;

use super::turns::{Current, Roller};
use crate::commands::ca::{PassphraseFile, open_ca};

/// The source of the leaf.
pub(super) struct Issuing {
    pub(super) ca: Option<PathBuf>,
    pub(super) ca_key: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) days: u32,
    pub(super) passphrase_file: PassphraseFile,
}

impl Issuing {
    /// As the configuration says.
    pub(super) fn configured() -> Self {
        let passphrase_file = PassphraseFile::default();
        Self { ca: None, ca_key: None, certificate: None, days: 90, passphrase_file }
    }

    /// Whether a leaf is there, or can be signed on this host.
    pub(super) fn can_sign(&self, config: &Config) -> bool {
        self.certificate.is_some() || self.ca_key(config).exists()
    }

    fn ca(&self, config: &Config) -> PathBuf {
        self.ca.clone().unwrap_or_else(|| config.cloudflare.ca.clone())
    }

    fn ca_key(&self, config: &Config) -> PathBuf {
        match (&self.ca_key, &self.ca) {
            (Some(key), _) => key.clone(),
            (None, Some(ca)) => ca.with_extension("key"),
            (None, None) => config.cloudflare.ca_key.clone(),
        }
    }
}

impl Roller {
    /// Makes the leaf. `Some`: a CA on another host must sign first.
    pub(super) fn make_leaf(
        &mut self,
        record: &mut RollRecord,
        current: &Current,
    ) -> anyhow::Result<Option<RollNext>> {
        let site = current.site(&record.site)?;
        let (ca, ca_key) = (self.issuing.ca(&current.config), self.issuing.ca_key(&current.config));
        let write = |extension: &str, text: &str| {
            let name = format!("{}.{extension}", record.site);
            let directory = RollRecord::directory(&self.paths.state);
            aop_storage::write_private(&directory, &name, text.as_bytes())
                .with_context(|| format!("{} cannot be written", directory.join(name).display()))
        };
        let key_file = RollRecord::file(&self.paths.state, &record.site, "key");
        let pem = if let Some(file) = &self.issuing.certificate {
            let pem = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let key = own_key(&key_file)?;
            let facts = LeafFacts::of_pem(&pem).map_err(anyhow::Error::msg)?;
            if facts.spki_sha256 != key.spki_sha256() {
                bail!(
                    "{}: this certificate is not for the key of the request {}: let the CA sign \
                     that request",
                    file.display(),
                    key_file.with_extension("csr").display()
                );
            }
            pem
        } else if ca_key.exists() {
            let authority = open_ca(&ca, &ca_key, &self.issuing.passphrase_file)?;
            let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
            let order = LeafOrder { hosts: names(site), days: self.issuing.days };
            let leaf = authority
                .issue(&order, &key.public_key(), Timestamp::now())
                .context("nothing was signed")?;
            write("key", &key.to_pem()?)?;
            leaf.pem
        } else {
            if !key_file.exists() {
                let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
                let request = make_request(&names(site), &key).context("no request was made")?;
                // The key is written first: a request without its key would be of no use.
                write("key", &key.to_pem()?)?;
                write("csr", &request)?;
            }
            let csr = key_file.with_extension("csr");
            return Ok(Some(RollNext::Stopped {
                why: format!(
                    "there is no CA key {} on this host, so the request {} waits for its \
                     certificate",
                    ca_key.display(),
                    csr.display()
                ),
                cure: format!(
                    "copy the request to the host of the CA, and run there: aop ca issue --csr {} \
                     --ca CA.pem --out pull; then here: aop cloudflare roll --site {}{} \
                     --certificate pull.pem",
                    csr.file_name().unwrap_or_default().display(),
                    record.site,
                    self.arguments.file.option()
                ),
            }));
        };
        let facts = LeafFacts::of_pem(&pem).map_err(anyhow::Error::msg)?;
        write("pem", &pem)?;
        record.leaf = Some(RollLeaf::from(&facts));
        record.ca = Some(fs::canonicalize(&ca).unwrap_or(ca));
        record.reach(RollStep::Made, Timestamp::now());
        record.store(&self.paths.state)?;
        self.screen.reached(record, RollStep::Made)?;
        Ok(None)
    }
}

fn own_key(file: &std::path::Path) -> anyhow::Result<PrivateKey> {
    let text = fs::read(file).map(zeroize::Zeroizing::new).with_context(|| {
        format!(
            "{}: there is no key that waits for a certificate; run the roll without --certificate \
             first, to make a request",
            file.display()
        )
    })?;
    PrivateKey::from_pem::<aop_ca::KeyError>(&text, || Ok(None))
        .with_context(|| file.display().to_string())
}

/// The names of the leaf: those that the site requires, and its hosts.
fn names(site: &SiteConfig) -> Vec<HostPattern> {
    let required = site.rules.san.iter().filter_map(|name| match name {
        RequiredSan::Dns(name) => Some(HostPattern::Exact(name.clone())),
        RequiredSan::Uri(_) | RequiredSan::Ip(_) => None,
    });
    let mut names: Vec<HostPattern> = Vec::new();
    for name in required.chain(site.hosts.iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
