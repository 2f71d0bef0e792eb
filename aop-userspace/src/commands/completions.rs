//! `aop completions`: prints the completion script for a shell.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, output::print};

#[derive(Args)]
pub(crate) struct CompletionsCommand {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        print(&script(self.shell)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "aop", &mut script);
    Ok(String::from_utf8(script)?)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_the_verbs() {
        for shell in Shell::value_variants() {
            let script = script(*shell).expect("text");
            assert!(script.contains("identities"), "{shell}");
        }
    }
}
