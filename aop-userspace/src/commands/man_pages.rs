//! `aop man-pages`: writes the man pages of the package.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, CommandFactory};

use crate::Cli;

#[derive(Args)]
pub(crate) struct ManPagesCommand {
    /// The folder to write to, one file for each verb
    folder: PathBuf,
}

impl ManPagesCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let folder = self.folder.display();
        clap_mangen::generate_to(Cli::command(), &self.folder)
            .with_context(|| format!("cannot write man pages to {folder}"))?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_visible_verb() {
        let folder = tempfile::tempdir().expect("a folder");
        ManPagesCommand { folder: folder.path().into() }.run().expect("written");
        let page = |name: &str| std::fs::read_to_string(folder.path().join(name));
        assert!(page("aop.1").expect("a page").contains("origin pulls"));
        assert!(page("aop-unload.1").expect("a page").contains("Detach"));
        page("aop-terminate.1").expect_err("a hidden verb has no page");
    }
}
