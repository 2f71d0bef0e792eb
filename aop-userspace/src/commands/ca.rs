//! `aop ca`: a client CA of one's own, the certificates that it signs, and what a file holds.
//!
//! `aop-ca` makes and describes them. Here are the files, the passphrases and the pages.

mod create;
mod document;
mod issue;
mod outputs;
mod page;
mod passphrase;
mod request;
mod show;

use std::process::ExitCode;

pub(super) use self::{
    issue::open_ca,
    outputs::Out,
    passphrase::{PassphraseFile, is_guarded},
};

use aop_ca::KeyAlgorithm;
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

#[derive(Args)]
pub(crate) struct CaCommand {
    #[command(subcommand)]
    verb: CaVerb,
}

#[derive(Subcommand)]
enum CaVerb {
    /// Make a client CA: a certificate for client_ca, and the key that signs
    Create(create::CreateCommand),
    /// Sign a certificate for origin pulls, with a new key or for a request
    Issue(issue::IssueCommand),
    /// Make a key, and a request for a CA that lives elsewhere
    Request(request::RequestCommand),
    /// Show what files hold: certificates, requests, keys; and whether they serve
    Show(show::ShowCommand),
}

impl CaCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            CaVerb::Create(verb) => verb.run(),
            CaVerb::Issue(verb) => verb.run(),
            CaVerb::Request(verb) => verb.run(),
            CaVerb::Show(verb) => verb.run(),
        }
    }
}

#[derive(Args)]
struct KeyKind {
    /// The kind of the new key; OpenSSL reads ml-dsa-44 from version 3.5 on
    #[arg(long, value_name = "KIND", default_value_t, value_parser = kinds())]
    algorithm: KeyAlgorithm,
}

fn kinds() -> impl TypedValueParser<Value = KeyAlgorithm> {
    let names = PossibleValuesParser::new(KeyAlgorithm::ALL.map(KeyAlgorithm::name));
    names.try_map(|name| name.parse::<KeyAlgorithm>())
}
