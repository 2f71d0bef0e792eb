//! Everything that can be read and checked without touching the host: for check, start and reload.

use std::path::Path;

use aop_api::terminator::Bundle;
use aop_config::{Config, audit};
use aop_control::readers_group;
use aop_prefixes::Found;
use aop_sandbox::Account;
use aop_tls::{Files, Notes, Sites};
use ipnet::IpNet;

use super::{DaemonError, source::Source};

/// A configuration with all the files that it names.
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// The list to begin with.
    pub found: Found,
    /// Its prefixes, the extra ones included.
    pub prefixes: Vec<IpNet>,
    /// The configuration and the files of its sites, as the terminator process gets them.
    pub bundle: Bundle,
    /// What that was read from.
    pub source: Source,
    /// The user that processes without privilege become.
    pub account: Account,
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
    let text = Config::text(file)?;
    let config = Config::parse(file, &text)?;
    let account = Account::find(config.fixed.user.as_deref())?;
    config.fixed.readers.as_deref().map(readers_group).transpose()?;
    let found = aop_prefixes::at_start(&config.live.prefixes, &config.fixed.paths.state)?;
    let prefixes = found.held.list.with(&config.live.extra)?;
    let files = Files::on_disk();
    // Built here to be checked, by the same code and from the same bytes as where they serve.
    let (_, notes) = Sites::build(&config.live.sites, &files)?;
    let warnings = audit(&config).into_iter().map(|warning| warning.to_string()).collect();
    let (bundle, source) = pack(file, text, files);
    Ok(Prepared { config, found, prefixes, bundle, source, account, warnings, notes })
}

/// What the terminator process gets, and what is kept to tell whether it has changed.
pub(super) fn pack(file: &Path, text: String, files: Files) -> (Bundle, Source) {
    let files = files.into_held();
    let source = Source::new(text.clone(), &files);
    let files = files.into_iter().map(|(path, bytes)| (path, bytes.to_vec()));
    (Bundle::new(file.into(), text, files), source)
}

impl Prepared {
    /// All that an operator should know now.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let mut told = self.warnings.clone();
        told.extend(self.notes.told(aop_tls::now()));
        told.extend(self.found.trouble.as_ref().map(ToString::to_string));
        told
    }

    /// What of that is to be mended before the edge is served.
    #[must_use]
    pub fn mistaken(&self) -> Vec<String> {
        self.notes.mistaken(aop_tls::now())
    }

    /// Logs that.
    pub(super) fn warn(&self) {
        for warning in self.told() {
            tracing::warn!("{warning}");
        }
    }
}
