//! `aop ca request`.

use std::process::ExitCode;

use anyhow::Context;
use aop_api::CaMade;
use aop_ca::PrivateKey;
use aop_config::HostPattern;
use clap::Args;

use super::{KeyKind, outputs::Out, page};
use crate::arguments::Output;

/// The name of the files.
const NAME: &str = "pull";

#[derive(Args)]
pub(super) struct RequestCommand {
    /// A name for the certificate, which a site can require (require_san); may be repeated
    #[arg(long = "host", value_name = "HOST", required = true)]
    hosts: Vec<HostPattern>,
    #[command(flatten)]
    kind: KeyKind,
    #[command(flatten)]
    out: Out,
    #[command(flatten)]
    output: Output,
}

impl RequestCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut files = self.out.choose(NAME, &["csr", "key"])?;
        let key = PrivateKey::generate(self.kind.algorithm)?;
        let request = aop_ca::make_request(&self.hosts, &key).context("no request was made")?;
        let key_file = files.write_key(&key.to_pem()?)?.display().to_string();
        let request_file = files.write_public("csr", &request)?.display().to_string();
        let made = CaMade {
            certificate_file: None,
            key_file: Some(key_file),
            request_file: Some(request_file),
            encrypted: false,
            shortened: false,
            certificate: None,
        };
        self.output.print(&made, page::requested)?;
        Ok(ExitCode::SUCCESS)
    }
}
