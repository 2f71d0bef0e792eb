//! `aop fleet key`: the key of an operator.

use std::process::ExitCode;

use aop_api::OperatorKeyMade;
use aop_fleet::orders::OperatorSecret;
use clap::{Args, Subcommand};

use crate::{
    arguments::Output,
    commands::ca::{Out, PassphraseFile},
    output::lines,
};

/// The name of the file.
const NAME: &str = "aop-operator";

#[derive(Args)]
pub(super) struct KeyCommand {
    #[command(subcommand)]
    verb: KeyVerb,
}

#[derive(Subcommand)]
enum KeyVerb {
    /// Make a key, and print the line that hosts need to obey it
    Create(KeyCreateCommand),
}

#[derive(Args)]
struct KeyCreateCommand {
    #[command(flatten)]
    out: Out,
    /// Put the key under a passphrase, which is asked for on the terminal
    #[arg(long)]
    passphrase: bool,
    #[command(flatten)]
    passphrase_file: PassphraseFile,
    #[command(flatten)]
    output: Output,
}

impl KeyCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let KeyVerb::Create(verb) = self.verb;
        verb.run()
    }
}

impl KeyCreateCommand {
    fn run(self) -> anyhow::Result<ExitCode> {
        let mut files = self.out.choose(NAME, &["key"])?;
        let passphrase = self.passphrase_file.for_new_key(self.passphrase, &files.path("key"))?;
        let secret = OperatorSecret::generate()?;
        let key_file = files.write_key(&secret.to_pem(passphrase.as_ref())?)?;
        let made = OperatorKeyMade {
            key_file: key_file.display().to_string(),
            operator: secret.public_key().to_string(),
            encrypted: passphrase.is_some(),
        };
        self.output.print(&made, page)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn page(made: &OperatorKeyMade) -> String {
    let OperatorKeyMade { key_file, operator, encrypted } = made;
    let protection = if *encrypted { "under a passphrase" } else { "without a passphrase" };
    lines([
        format!("wrote {key_file}: the private key, {protection}; keep it off the hosts"),
        String::new(),
        "Hosts obey it with this line in [fleet], after `aop reload` there:".to_owned(),
        format!("  operators = [\"{operator}\"]"),
        String::new(),
        format!("Then: aop fleet enforce --key {key_file} --host NAME --dry-run"),
    ])
}
