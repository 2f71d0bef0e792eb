//! Everything that can be read and checked without touching the host: for check, start and reload.

use std::path::Path;

use ipnet::IpNet;

use super::DaemonError;
use crate::{
    config::{Config, audit},
    prefixes::{self, Found},
    tls::{self, Notes, Sites},
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
    /// What an operator should know of the configuration itself.
    pub warnings: Vec<String>,
    /// What an operator should know of the sites' files.
    pub notes: Notes,
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
    let warnings = audit(&config).into_iter().map(|warning| warning.to_string()).collect();
    Ok(Prepared { config, found, prefixes, sites, warnings, notes })
}

impl Prepared {
    /// All that an operator should know now.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let mut told = self.warnings.clone();
        told.extend(self.notes.told(tls::now()));
        told.extend(self.found.trouble.as_ref().map(ToString::to_string));
        told
    }

    /// Logs that.
    pub(super) fn warn(&self) {
        for warning in self.told() {
            tracing::warn!("{warning}");
        }
    }
}
