//! `aop cloudflare`: what Cloudflare's API says about origin pulls.

mod page;
mod status;

use std::process::ExitCode;

use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct CloudflareCommand {
    #[command(subcommand)]
    verb: CloudflareVerb,
}

#[derive(Subcommand)]
enum CloudflareVerb {
    /// Show what Cloudflare says, what this host believes and what arrives, and each disagreement;
    /// changes nothing
    Status(status::CloudflareStatusCommand),
}

impl CloudflareCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            CloudflareVerb::Status(verb) => verb.run(),
        }
    }
}
