//! Tests of whole configurations.

use std::path::Path;

use crate::{Config, SiteConfig};

mod documents;
mod files;
mod lookups;
mod refusals;
mod values;
mod warnings;

/// The parts that the shortest configuration with a terminator has.
pub(crate) const LISTENER: &str = "[[listener]]\nbind = [\"0.0.0.0:443\"]\n";
pub(crate) const SITE: &str = "[[site]]\nhosts = [\"example.org\"]\ncertificate = \"a.pem\"\n\
                               key = \"a.key\"\nclient_ca = [\"a.pem\"]\n\
                               upstream = \"http://127.0.0.1:1\"\n";

/// Reads `text` as the content of `aop.toml`.
pub(crate) fn read(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("aop.toml"), text).map_err(|error| error.to_string())
}

/// The only site, if it has these further lines.
pub(crate) fn site_with(lines: &str) -> Result<SiteConfig, String> {
    let config = read(&format!("{LISTENER}{SITE}{lines}"))?;
    Ok(config.live.sites.into_iter().next().expect("a site"))
}
