//! `aop completions`, and the man pages of the package.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print};

#[derive(Args)]
pub(super) struct Completions {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManPages {
    /// The folder to write to, one file for each verb
    folder: PathBuf,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "aop", &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ManPages {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let folder = self.folder.display();
        clap_mangen::generate_to(Cli::command(), &self.folder)
            .with_context(|| format!("cannot write man pages to {folder}"))?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_the_verbs() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "aop", &mut script);
            let script = String::from_utf8(script).expect("text");
            assert!(script.contains("identities"), "{shell}");
        }
    }

    #[test]
    fn there_is_a_page_for_each_visible_verb() {
        let folder = tempfile::tempdir().expect("a folder");
        ManPages { folder: folder.path().into() }.run().expect("written");
        let page = |name: &str| std::fs::read_to_string(folder.path().join(name));
        assert!(page("aop.1").expect("a page").contains("origin pulls"));
        assert!(page("aop-unload.1").expect("a page").contains("Detach"));
        page("aop-terminate.1").expect_err("a hidden verb has no page");
    }
}
