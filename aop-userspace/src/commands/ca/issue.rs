//! `aop ca issue`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use aop_api::CaMade;
use aop_ca::{Ca, CaError, LeafOrder, PrivateKey, SigningRequest};
use aop_config::HostPattern;
use clap::Args;
use jiff::Timestamp;

use super::{
    KeyKind,
    document::{self, KnownKey},
    outputs::Out,
    page,
    passphrase::{PassphraseFile, secret_file},
};
use crate::arguments::Output;

/// The name of the files.
const NAME: &str = "pull";

#[derive(Args)]
pub(super) struct IssueCommand {
    /// The CA's certificate
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The CA's key [default: that of --ca, with .key at its end]
    #[arg(long, value_name = "FILE")]
    ca_key: Option<PathBuf>,
    /// A name in the certificate, which a site can require (require_san); may be repeated
    #[arg(long = "host", value_name = "HOST", required_unless_present = "csr")]
    hosts: Vec<HostPattern>,
    /// Sign this request, made by `aop ca request` or another program, for its key. Without
    /// --host, its names are taken
    #[arg(long, value_name = "FILE", conflicts_with = "algorithm")]
    csr: Option<PathBuf>,
    /// Its validity in days: 1 to 3650, and never longer than the CA
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: u32,
    #[command(flatten)]
    kind: KeyKind,
    #[command(flatten)]
    passphrase_file: PassphraseFile,
    #[command(flatten)]
    out: Out,
    #[command(flatten)]
    output: Output,
}

impl IssueCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let extensions = if self.csr.is_some() { &["pem"][..] } else { &["pem", "key"] };
        let mut files = self.out.choose(NAME, extensions)?;
        let request = self.csr.as_deref().map(read_request).transpose()?;
        let hosts = match &request {
            Some((request, file)) => {
                request.names_or(self.hosts).with_context(|| file.display().to_string())?
            }
            None => self.hosts,
        };
        let ca_key = self.ca_key.unwrap_or_else(|| self.ca.with_extension("key"));
        let ca = open_ca(&self.ca, &ca_key, &self.passphrase_file)?;
        let order = LeafOrder { hosts, days: self.days };
        let own = match request {
            Some(_) => None,
            None => Some(PrivateKey::generate(self.kind.algorithm)?),
        };
        let holder = match (&own, request) {
            (Some(own), _) => own.public_key(),
            (None, Some((request, _))) => request.public_key,
            (None, None) => anyhow::bail!("there is no key to sign for"),
        };
        let leaf = ca.issue(&order, &holder, Timestamp::now()).context("nothing was signed")?;
        let mut known = Vec::new();
        if let Some(own) = &own {
            let file = files.write_key(&own.to_pem()?)?.display().to_string();
            known.push(KnownKey { file, spki_sha256: own.spki_sha256() });
        }
        let certificate_file = files.write_public("pem", &leaf.pem)?.display().to_string();
        let made = CaMade {
            certificate_file: Some(certificate_file),
            key_file: known.first().map(|key| key.file.clone()),
            request_file: None,
            encrypted: false,
            shortened: leaf.shortened,
            certificate: Some(document::made(&leaf.pem, &known)?),
        };
        self.output.print(&made, |made| page::issued(made, &self.ca))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read_request(file: &Path) -> anyhow::Result<(SigningRequest, &Path)> {
    let context = || file.display().to_string();
    Ok((SigningRequest::read(&secret_file(file)?).with_context(context)?, file))
}

/// Takes up the CA with its key.
pub(in crate::commands) fn open_ca(
    certificate: &Path,
    key: &Path,
    passphrase: &PassphraseFile,
) -> anyhow::Result<Ca> {
    let text = secret_file(certificate)?;
    // A wrong certificate is found before a passphrase is asked for.
    aop_ca::check_ca(&text, Timestamp::now()).with_context(|| certificate.display().to_string())?;
    let private = passphrase.open(key)?;
    Ca::open(&text, private, Timestamp::now()).map_err(|error| {
        let about = if matches!(error, CaError::KeyMismatch { .. }) { key } else { certificate };
        anyhow::Error::from(error).context(about.display().to_string())
    })
}
