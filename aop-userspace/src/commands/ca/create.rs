//! `aop ca create`.

use std::process::ExitCode;

use anyhow::Context;
use aop_api::CaMade;
use aop_ca::{CaOrder, PrivateKey};
use aop_config::HostPattern;
use clap::Args;
use jiff::Timestamp;

use super::{
    KeyKind,
    document::{self, KnownKey},
    outputs::Out,
    page,
    passphrase::PassphraseFile,
};
use crate::arguments::Output;

/// The name of the files.
const NAME: &str = "pull-ca";

#[derive(Args)]
pub(super) struct CreateCommand {
    #[command(flatten)]
    out: Out,
    /// The CA's name [default: "HOST origin pull CA", or "origin pull CA"]
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Let the CA sign only for this host and all names below it; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<HostPattern>,
    /// Its validity in days: 1 to 7300
    #[arg(long, value_name = "DAYS", default_value_t = 3650)]
    days: u32,
    #[command(flatten)]
    kind: KeyKind,
    /// Put the key under a passphrase, from the systemd credential ca-passphrase, or asked for on
    /// the terminal
    #[arg(long)]
    passphrase: bool,
    #[command(flatten)]
    passphrase_file: PassphraseFile,
    #[command(flatten)]
    output: Output,
}

impl CreateCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut files = self.out.choose(NAME, &["pem", "key"])?;
        let name = self.name.unwrap_or_else(|| match self.hosts.first() {
            Some(host) => aop_ca::default_ca_name(host),
            None => aop_ca::DEFAULT_CA_NAME.to_owned(),
        });
        let passphrase = self.passphrase_file.for_new_key(self.passphrase, &files.path("key"))?;
        let key = PrivateKey::generate(self.kind.algorithm)?;
        let order = CaOrder { name, hosts: self.hosts, days: self.days };
        let pem = aop_ca::create(&order, &key, Timestamp::now()).context("no CA was made")?;
        let key_text = match &passphrase {
            Some(passphrase) => key.to_encrypted_pem(passphrase)?,
            None => key.to_pem()?,
        };
        let key_file = files.write_key(&key_text)?.display().to_string();
        let certificate_file = files.write_public("pem", &pem)?.display().to_string();
        let known = KnownKey { file: key_file.clone(), spki_sha256: key.spki_sha256() };
        let made = CaMade {
            certificate_file: Some(certificate_file),
            key_file: Some(key_file),
            request_file: None,
            encrypted: passphrase.is_some(),
            shortened: false,
            certificate: Some(document::made(&pem, &[known])?),
        };
        self.output.print(&made, page::created)?;
        Ok(ExitCode::SUCCESS)
    }
}
