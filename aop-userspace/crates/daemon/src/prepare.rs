//! Reads and checks everything that does not change the host: for check, start and reload.

use std::path::Path;

use aop_api::terminator::ConfigBundle;
use aop_config::{Config, SiteConfig};
use aop_control::readers_group;
use aop_prefixes::StartList;
use aop_sandbox::{Account, channel};
use aop_tls::{FileWarnings, SiteFiles, Sites};
use ipnet::IpNet;

use super::{DaemonError, config_digest::ConfigDigest};

/// A configuration with all the files that it names.
pub struct CheckedConfig {
    /// The configuration.
    pub config: Config,
    /// The first prefix list.
    pub found: StartList,
    /// The prefixes of the list and of `firewall.extra`.
    pub prefixes: Vec<IpNet>,
    /// The configuration and the files of its sites, as they are sent to the terminator process.
    pub bundle: ConfigBundle,
    /// Digests of what they were read from.
    pub(crate) source: ConfigDigest,
    /// The user of the processes without privileges.
    pub account: Account,
    /// Warnings about the configuration.
    pub warnings: Vec<String>,
    /// Warnings about the sites' files.
    pub file_warnings: FileWarnings,
}

/// Reads `file` and every file that it names.
///
/// # Errors
/// The first error, with file and line.
pub fn prepare(file: &Path) -> Result<CheckedConfig, DaemonError> {
    prepare_text(file, Config::text(file)?)
}

/// Reads every file that `text` names, which is or will be the content of `file`.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_text(file: &Path, text: String) -> Result<CheckedConfig, DaemonError> {
    let config = Config::parse(file, &text)?;
    let account = Account::find(config.fixed.user.as_deref())?;
    config.fixed.readers.as_deref().map(readers_group).transpose()?;
    let found = aop_prefixes::at_start(&config.live.prefixes, &config.fixed.paths.state)?;
    let prefixes = found.held.list.with(&config.live.extra)?;
    let files = SiteFiles::on_disk();
    // Only a check: by the same code and from the same bytes as the terminator will build them.
    let (_, file_warnings) = Sites::build(&config.live.sites, &files)?;
    let warnings =
        aop_config::warnings(&config).into_iter().map(|warning| warning.to_string()).collect();
    let (bundle, source) = pack(file, text, files, &config.live.sites)?;
    Ok(CheckedConfig { config, found, prefixes, bundle, source, account, warnings, file_warnings })
}

/// The most bytes of a configuration with its files in a message: the message needs a few more.
const MAX_BUNDLE: usize = channel::MAX_LENGTH - 1024;

/// The message for the terminator process, and the digests by which later changes are found.
///
/// # Errors
/// The files are too large for one message.
pub(super) fn pack(
    file: &Path,
    text: String,
    files: SiteFiles,
    sites: &[SiteConfig],
) -> Result<(ConfigBundle, ConfigDigest), DaemonError> {
    let files = files.into_held();
    let largest = files.iter().max_by_key(|(_, bytes)| bytes.len());
    let largest = largest.map_or_else(|| file.into(), |(path, _)| path.clone());
    let source = ConfigDigest::new(text.clone(), &files, sites);
    let bundle = ConfigBundle::new(file.into(), text, files);
    let size = channel::encoded_len(&bundle);
    if size > MAX_BUNDLE {
        return Err(DaemonError::FilesTooLarge { file: file.into(), size, largest });
    }
    Ok((bundle, source))
}

impl CheckedConfig {
    /// All warnings.
    #[must_use]
    pub fn all_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        warnings.extend(self.file_warnings.texts(aop_types::unix_seconds()));
        warnings.extend(self.found.trouble.as_ref().map(ToString::to_string));
        warnings
    }

    /// The warnings about mistakes that must be corrected before the edge can be served.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        self.file_warnings.mistakes(aop_types::unix_seconds())
    }

    /// Logs all warnings.
    pub(super) fn warn(&self) {
        for warning in self.all_warnings() {
            tracing::warn!("{warning}");
        }
    }
}
