//! Everything that can be read and checked without touching the host: for check, start and reload.

use std::path::Path;

use ipnet::IpNet;

use super::DaemonError;
use crate::{
    channel::Bundle,
    config::{Config, audit},
    confined::Account,
    prefixes::{self, Found},
    tls::{Files, Sites},
};

/// A configuration with all the files that it names.
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// The list to begin with.
    pub found: Found,
    /// Its prefixes, the extra ones included.
    pub prefixes: Vec<IpNet>,
    /// The configuration and the files of its sites, as the terminator process gets them.
    pub(crate) bundle: Bundle,
    /// The user that processes without privilege become.
    pub(crate) account: Account,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Reads `file` and every file it names.
///
/// # Errors
/// The first thing that is wrong, by file and line.
pub fn prepare(file: &Path) -> Result<Prepared, DaemonError> {
    let text = Config::text(file)?;
    let config = Config::parse(file, &text)?;
    let account = Account::find(config.fixed.user.as_deref())?;
    let found = prefixes::at_start(&config.live.prefixes, &config.fixed.paths.state)?;
    let prefixes = found.held.list.with(&config.live.extra)?;
    let files = Files::on_disk();
    // Built here to be checked, by the same code and from the same bytes as where they serve.
    let (_, notes) = Sites::build(&config.live.sites, &files)?;
    let warnings = audit(&config).into_iter().map(|warning| warning.to_string());
    let warnings = warnings.chain(notes.into_iter().map(|note| note.to_string())).collect();
    let files = files.into_held().into_iter().map(|(path, bytes)| (path, bytes.to_vec()));
    let bundle = Bundle::new(file.into(), text, files);
    Ok(Prepared { config, found, prefixes, bundle, account, warnings })
}

impl Prepared {
    /// Logs the warnings.
    pub(super) fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(trouble) = &self.found.trouble {
            tracing::warn!("{trouble}");
        }
    }
}
