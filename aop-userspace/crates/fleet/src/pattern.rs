//! Patterns of host names.

use std::{fmt, str::FromStr};

use aop_config::FleetName;
use glob::Pattern;

/// A pattern of host names, in which `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Pattern);

impl NamePattern {
    /// Whether `name` fits.
    #[must_use]
    pub fn matches(&self, name: &FleetName) -> bool {
        self.0.matches(name.as_str())
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Pattern::new(text).map(Self).map_err(|error| {
            format!(
                "{text:?} is no pattern of names: {}. Write * for any characters, and ? for one",
                error.msg
            )
        })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}
