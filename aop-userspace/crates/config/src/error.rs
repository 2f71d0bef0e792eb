//! An error in the configuration, written for the person who must correct it.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

/// An error with its file and line, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: PathBuf,
    line: Option<usize>,
    message: String,
}

impl ConfigError {
    /// An error at the bytes `span` of `text`.
    pub(crate) fn at(file: &Path, text: &str, span: Range<usize>, message: String) -> Self {
        let line = text.get(..span.start).map(|before| before.matches('\n').count() + 1);
        Self { file: file.into(), line, message }
    }

    /// An error without a line.
    pub(crate) fn whole(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, message: message.into() }
    }

    /// A file that cannot be read.
    pub(crate) fn unreadable(file: &Path, what: &str, error: &io::Error) -> Self {
        Self::whole(file, unreadable(what, error))
    }

    /// An error of the TOML parser.
    pub(crate) fn toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim().replace('\n', ", ");
        let message = match message.strip_prefix("unknown field ") {
            Some(rest) => format!("unknown key {rest}. Correct or remove it"),
            None => about_brackets(&message).unwrap_or(message),
        };
        match error.span() {
            Some(span) => Self::at(file, text, span, message),
            None => Self::whole(file, message),
        }
    }
}

/// The error of one value where the key has a list, or of a list where it has one value. The words
/// of serde ("expected a sequence") are those of a programmer.
fn about_brackets(message: &str) -> Option<String> {
    let found = message.strip_prefix("invalid type: ")?;
    if let Some(value) = found.strip_suffix(", expected a sequence") {
        let value = value.strip_prefix("string ").or(value.strip_prefix("integer "))?;
        let value = value.replace('`', "");
        return Some(format!("this key has a list: write [{value}], with brackets"));
    }
    let kind = found.strip_prefix("sequence, expected a ")?;
    Some(format!("this key has one {kind}, not a list: write it without brackets"))
}

/// Says why a file cannot be read and what to do.
fn unreadable(what: &str, error: &io::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open-ended")]
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => {
            return format!("no {what}: there is no such file; create it or correct the path");
        }
        io::ErrorKind::PermissionDenied => "run aop as root, which must be able to read it",
        _ => "it must be a readable file",
    };
    format!("cannot read the {what}: {error}; {remedy}")
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, message } = self;
        match line {
            Some(line) => write!(f, "{}:{line}: {message}", file.display()),
            None => write!(f, "{}: {message}", file.display()),
        }
    }
}

impl std::error::Error for ConfigError {}
