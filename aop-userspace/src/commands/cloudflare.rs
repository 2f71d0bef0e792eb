//! `aop cloudflare`: what Cloudflare's API says about origin pulls, and changes of that.

mod page;
mod renew;
mod report;
mod roll;
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
    /// Replace the certificate that Cloudflare presents, step by step; resumes where it was
    Roll(roll::RollCommand),
    /// Go back to the zone's certificate, or to Cloudflare's global one, in the same way
    Back(roll::BackCommand),
    /// Renew the certificates of your own that end soon: one pass, as the timer makes it
    Renew(renew::RenewCommand),
    /// Note what another host has seen (`aop identities --json`), for `roll --wait-for`
    Report(report::ReportCommand),
}

impl CloudflareCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            CloudflareVerb::Status(verb) => verb.run(),
            CloudflareVerb::Roll(verb) => verb.run(),
            CloudflareVerb::Back(verb) => verb.run(),
            CloudflareVerb::Renew(verb) => verb.run(),
            CloudflareVerb::Report(verb) => verb.run(),
        }
    }
}
