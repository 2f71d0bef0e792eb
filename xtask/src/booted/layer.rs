//! The files of one booted system: a layer of its own over a base.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{folder, remove};
use crate::command;

/// Dropping it removes the files.
pub(crate) struct Layer {
    name: String,
    folder: PathBuf,
}

impl Layer {
    /// `name` is that of the system: two of one name cannot be there at the same time.
    pub(crate) fn over(base: &Path, name: &str) -> Result<Self> {
        let layer = Self { name: name.to_owned(), folder: folder().join(name) };
        // A killed run may have left one.
        layer.clear()?;
        for part in ["upper", "work", "root"] {
            fs::create_dir_all(layer.folder.join(part))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            base.display(),
            layer.folder.join("upper").display(),
            layer.folder.join("work").display()
        );
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &options]).arg(layer.root());
        command::run(&mut mount)?;
        Ok(layer)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// A path of the system, as this machine sees it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Writes a file of the system, with the folders above it.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.with_file_name(""))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn clear(&self) -> Result<()> {
        let mut unmount = Command::new("umount");
        // Fails if nothing is mounted, which is fine.
        unmount.arg("--lazy").arg(self.root()).stderr(std::process::Stdio::null()).status()?;
        remove(&self.folder)
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("warning: {error:#}");
        }
    }
}
