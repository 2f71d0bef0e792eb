//! Arguments that several verbs have. (No doc comments on the types: clap would show them as the
//! text of the verb.)

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aop_sandbox::UserIds;
use clap::Args;
use serde::Serialize;

use crate::output;

/// The configuration file, unless another one is named.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/aop/aop.toml";

#[derive(Args)]
pub(crate) struct ConfigFile {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

impl ConfigFile {
    /// The option in a command that is printed: empty for the default.
    pub(crate) fn option(&self) -> String {
        match self.config == Path::new(DEFAULT_CONFIG) {
            true => String::new(),
            false => format!(" --config {}", self.config.display()),
        }
    }
}

#[derive(Args)]
pub(crate) struct Output {
    /// Print JSON, with stable names
    #[arg(long)]
    pub(crate) json: bool,
}

impl Output {
    /// Prints `document`: as JSON with `--json`, otherwise as the text that `render` makes of it.
    pub(crate) fn print<D: Serialize>(
        &self,
        document: &D,
        render: impl FnOnce(&D) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            output::print(&(serde_json::to_string_pretty(document)? + "\n"))
        } else {
            output::print(&render(document))
        }
    }
}

#[derive(Args)]
pub(crate) struct TargetIds {
    /// The user and group to become, by number
    #[arg(long = "become", value_name = "USER:GROUP", value_parser = user_ids)]
    pub(crate) ids: Option<UserIds>,
}

fn user_ids(text: &str) -> Result<UserIds, String> {
    let parsed = text.split_once(':').and_then(|(user, group)| {
        Some(UserIds { user: user.parse().ok()?, group: group.parse().ok()? })
    });
    parsed.ok_or_else(|| "expected two numbers, such as 65534:65534".to_owned())
}

/// Parses a time such as 10s or 5m.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().map_err(|error| error.to_string())?;
    Duration::try_from(parsed).map_err(|_| "a duration cannot be negative".to_owned())
}
