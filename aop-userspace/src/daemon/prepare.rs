//! Everything that can be read and checked without touching the host: for check, start and reload.

use std::path::Path;

use ipnet::IpNet;

use super::DaemonError;
use crate::{
    config::{Config, audit},
    prefixes::{self, Found},
    tls::Sites,
};

/// A configuration with all the files that it names.
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// The list to begin with.
    pub found: Found,
    /// Its prefixes, the extra ones included.
    pub prefixes: Vec<IpNet>,
    /// The sites, ready for handshakes.
    pub sites: Sites,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Reads `file` and every file it names.
///
/// # Errors
/// The first thing that is wrong, by file and line.
pub fn prepare(file: &Path) -> Result<Prepared, DaemonError> {
    let config = Config::load(file)?;
    let found = prefixes::at_start(&config.live.prefixes, &config.fixed.paths.state)?;
    let prefixes = found.held.list.with(&config.live.extra)?;
    let (sites, notes) = Sites::build(&config.live.sites)?;
    let warnings = audit(&config).into_iter().map(|warning| warning.to_string());
    let warnings = warnings.chain(notes.into_iter().map(|note| note.to_string())).collect();
    Ok(Prepared { config, found, prefixes, sites, warnings })
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
