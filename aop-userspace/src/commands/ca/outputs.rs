//! The files that are written: a certificate or a request for everybody, a key for root alone.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use aop_storage::OpenPath;
use clap::Args;

/// Keys are for the owner alone.
const KEY_MODE: u32 = 0o600;
/// Certificates and requests are public.
const PUBLIC_MODE: u32 = 0o644;

#[derive(Args)]
pub(in crate::commands) struct Out {
    /// A directory for the files, or their path up to the dot: PATH.pem, PATH.key
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

/// The files of one command: paths with an extension behind one stem.
pub(in crate::commands) struct OutputFiles {
    stem: PathBuf,
    written: Vec<PathBuf>,
}

impl Out {
    /// The files with these extensions, none of which exists. `name` is their name where the
    /// command line has none.
    pub(in crate::commands) fn choose(
        self,
        name: &str,
        extensions: &[&str],
    ) -> anyhow::Result<OutputFiles> {
        let stem = match self.out {
            None => PathBuf::from(name),
            Some(path) if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                path.join(name)
            }
            // A caller that names one of the files means both.
            Some(path) => match path.extension().and_then(|it| it.to_str()) {
                Some(named) if extensions.contains(&named) => path.with_extension(""),
                Some(_) | None => path,
            },
        };
        let files = OutputFiles { stem, written: Vec::new() };
        for extension in extensions {
            files.must_be_new(&files.path(extension))?;
        }
        files.check_directory()?;
        Ok(files)
    }
}

impl OutputFiles {
    pub(in crate::commands) fn path(&self, extension: &str) -> PathBuf {
        let mut path = self.stem.clone().into_os_string();
        path.push(".");
        path.push(extension);
        path.into()
    }

    /// Writes a private key.
    pub(in crate::commands) fn write_key(&mut self, text: &str) -> anyhow::Result<PathBuf> {
        self.write("key", text, KEY_MODE)
    }

    /// Writes a certificate or request. If that fails, the key of this command goes too: nobody
    /// has use for it.
    pub(in crate::commands) fn write_public(
        &mut self,
        extension: &str,
        text: &str,
    ) -> anyhow::Result<PathBuf> {
        self.write(extension, text, PUBLIC_MODE).inspect_err(|_| {
            for path in &self.written {
                fs::remove_file(path).ok();
            }
        })
    }

    fn write(&mut self, extension: &str, text: &str, mode: u32) -> anyhow::Result<PathBuf> {
        let path = self.path(extension);
        match aop_storage::write_new(&path, text.as_bytes(), mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.must_be_new(&path)?;
                Err(error.into())
            }
            written => written.with_context(|| format!("{} cannot be written", path.display())),
        }?;
        self.written.push(path.clone());
        Ok(path)
    }

    fn must_be_new(&self, path: &Path) -> anyhow::Result<()> {
        if path.symlink_metadata().is_ok() {
            bail!(
                "{} exists, and aop writes over nothing: name other files with --out PATH, or \
                 move this one away",
                path.display()
            );
        }
        Ok(())
    }

    /// Creates the directory where it is missing. A user who can write to it could exchange the
    /// files, so it must be closed to others.
    fn check_directory(&self) -> anyhow::Result<()> {
        let directory = aop_storage::directory_of(&self.stem);
        let context = || format!("the directory {} cannot be used", directory.display());
        if !directory.exists() {
            DirBuilder::new().mode(0o700).create(directory).with_context(context)?;
        }
        match aop_storage::open_directory(directory).with_context(context)? {
            None => Ok(()),
            Some(OpenPath::Writable(path)) => bail!(
                "others can write to {0}, and could exchange the files: name another directory \
                 with --out, or correct it with `chmod go-w {0}`",
                path.display()
            ),
            Some(OpenPath::OfUser(path, user)) => bail!(
                "{} belongs to another user (uid {user}), who could exchange the files: name \
                 another directory with --out, or run aop ca as that user: it needs no root",
                path.display()
            ),
        }
    }
}
