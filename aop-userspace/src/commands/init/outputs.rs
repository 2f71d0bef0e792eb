//! The files that are written. Nothing is written over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{arguments::DEFAULT_CONFIG, output::print};

/// The name of the file for nginx, beside the configuration.
const BLOCKS: &str = "nginx-loopback.conf";

/// Where the configuration goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OutputFile {
    Standard,
    Path(PathBuf),
}

/// Where everything goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InitOutputs {
    pub(super) config: OutputFile,
    /// The file for nginx; `None` if there is no place for it.
    pub(super) nginx: Option<PathBuf>,
    /// The file that aop reads, if the configuration goes to another one.
    pub(super) replaces: Option<PathBuf>,
}

impl InitOutputs {
    /// # Errors
    /// The file exists.
    pub(super) fn choose(config: Option<PathBuf>, nginx: Option<PathBuf>) -> anyhow::Result<Self> {
        Self::choose_by(Path::new(DEFAULT_CONFIG), config, nginx)
    }

    fn choose_by(
        default: &Path,
        config: Option<PathBuf>,
        nginx: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let config = match config {
            Some(path) if path == Path::new("-") => OutputFile::Standard,
            Some(path) => OutputFile::Path(std::path::absolute(path)?),
            None if exists(default) => OutputFile::Path(default.with_extension("toml.new")),
            None => OutputFile::Path(default.to_owned()),
        };
        let replaces = (config != OutputFile::Path(default.to_owned())).then(|| default.to_owned());
        let beside = match &config {
            OutputFile::Standard => None,
            OutputFile::Path(path) => {
                must_be_new(path)?;
                Some(path.with_file_name(BLOCKS))
            }
        };
        let nginx = nginx.map(std::path::absolute).transpose()?;
        Ok(Self { config, nginx: nginx.or(beside), replaces })
    }

    /// The file of the configuration, where it will be.
    pub(super) fn config_path(&self) -> &Path {
        match &self.config {
            OutputFile::Standard => Path::new(DEFAULT_CONFIG),
            OutputFile::Path(path) => path,
        }
    }

    /// Writes both files, or none.
    ///
    /// # Errors
    /// A file exists, or cannot be written.
    pub(super) fn write(&self, config: &str, blocks: Option<&str>) -> anyhow::Result<()> {
        let nginx = self.nginx.as_deref().zip(blocks);
        if let Some((path, blocks)) = nginx {
            must_be_new(path)?;
            write_new(path, blocks)?;
        }
        match &self.config {
            OutputFile::Standard => print(config),
            OutputFile::Path(path) => write_new(path, config).inspect_err(|_| {
                if let Some((path, _)) = nginx {
                    fs::remove_file(path).ok();
                }
            }),
        }
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn must_be_new(path: &Path) -> anyhow::Result<()> {
    if exists(path) {
        let option = if path.ends_with(BLOCKS) { "--nginx-output" } else { "--output" };
        bail!(
            "{0} exists, and aop init writes over nothing. Read it, and remove it (`rm {0}`), or \
             name another file: {option} FILE",
            path.display()
        );
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    aop_storage::write_new(path, text.as_bytes(), 0o644)
        .with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_configuration_gets_a_new_one_beside_it_and_nothing_is_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let default = folder.path().join("aop.toml");
        let choose = |config: Option<&Path>| {
            InitOutputs::choose_by(&default, config.map(Path::to_owned), None)
        };
        let first = choose(None).expect("nothing exists");
        assert_eq!((first.config_path(), &first.replaces), (default.as_path(), &None));
        first.write("first", Some("blocks")).expect("written");
        let again = first.write("again", None).expect_err("it exists");
        assert!(again.to_string().contains("aop.toml cannot be written"), "{again}");

        let second = choose(None).expect("beside it");
        let new = folder.path().join("aop.toml.new");
        assert_eq!((second.config_path(), second.replaces.as_ref()), (&*new, Some(&default)));
        let blocks = second.write("second", Some("others")).expect_err("the blocks exist");
        assert!(blocks.to_string().contains("nginx-loopback.conf exists"), "{blocks}");
        assert!(blocks.to_string().contains("--nginx-output FILE"), "{blocks}");
        assert!(!new.exists());
        second.write("second", None).expect("written");

        let third = choose(None).expect_err("both exist");
        assert!(third.to_string().contains("aop.toml.new exists"), "{third}");
        let named = choose(Some(&default)).expect_err("it exists");
        assert!(named.to_string().contains("--output FILE"), "{named}");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect(name);
        assert_eq!(
            [read("aop.toml"), read("aop.toml.new"), read("nginx-loopback.conf")],
            ["first", "second", "blocks"]
        );
    }

    #[test]
    fn the_blocks_go_away_again_if_the_configuration_cannot_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("missing/aop.toml");
        let nginx = folder.path().join("blocks.conf");
        let outputs = InitOutputs::choose(Some(config), Some(nginx.clone())).expect("new");
        outputs.write("text", Some("blocks")).expect_err("no such folder");
        assert!(!nginx.exists());
    }

    #[test]
    fn standard_output_has_no_place_for_the_blocks_unless_one_is_named() {
        let standard = |nginx: Option<PathBuf>| InitOutputs::choose(Some("-".into()), nginx);
        assert_eq!(standard(None).expect("it").nginx, None);
        let named = standard(Some("/blocks".into())).expect("it");
        assert_eq!((named.config, named.nginx), (OutputFile::Standard, Some("/blocks".into())));
    }
}
