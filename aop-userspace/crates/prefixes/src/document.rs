//! Parses a list: one CIDR a line, or the JSON of Cloudflare's API
//! (<https://developers.cloudflare.com/api/resources/ips/methods/list/>).
//!
//! Every entry must be a prefix. An HTML page was once published in place of the list, and tools
//! accepted parts of it.

#[cfg(test)]
mod tests;

use aop_config::Networks;
use aop_types::parse_prefix;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EtagText, PrefixList, ShortText};

/// The format that a source must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ListFormat {
    /// JSON only, with these networks.
    ApiJson(Networks),
    /// JSON if it begins with a brace, otherwise lines.
    JsonOrLines,
}

/// Why a text is not a list. The message is appended to the name of the source.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A line is not a CIDR.
    #[error(":{line}: {message}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// The error in it.
        message: String,
    },
    /// An HTML page: a challenge, an error, a login.
    #[error(": this is an HTML page, not a list")]
    Html,
    /// Not the JSON that was expected.
    #[error(": this is not the JSON of a list: {0}")]
    Json(String),
    /// The API reports a failure.
    #[error(": the API reports a failure ({0})")]
    Failed(String),
    /// An entry of the JSON is not a CIDR of its family.
    #[error(": in {field}: {message}")]
    Entry {
        /// The list in the JSON.
        field: &'static str,
        /// The error.
        message: String,
    },
    /// The China network was requested, but is missing.
    #[error(": jdcloud_cidrs was requested, but is missing")]
    NoJdcloud,
    /// No prefix at all.
    #[error(
        ": the list has no prefix, so it would admit no address. Fill it, or write source = [] if \
         that is intended"
    )]
    Empty,
}

/// Parses the whole of `text`.
pub(super) fn parse(text: &str, format: ListFormat) -> Result<PrefixList, DocumentError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let list = match (text.trim_start().chars().next(), format) {
        (Some('<'), _) => return Err(DocumentError::Html),
        (_, ListFormat::ApiJson(networks)) => parse_json(text, networks)?,
        (Some('{'), ListFormat::JsonOrLines) => parse_json(text, Networks::Global)?,
        (_, ListFormat::JsonOrLines) => PrefixList::new(parse_lines(text)?, None),
    };
    if list.prefixes().is_empty() { Err(DocumentError::Empty) } else { Ok(list) }
}

fn parse_lines(text: &str) -> Result<Vec<IpNet>, DocumentError> {
    let mut prefixes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            let refused = |message| DocumentError::Line { line: index + 1, message };
            prefixes.push(parse_entry(entry).map_err(refused)?);
        }
    }
    Ok(prefixes)
}

/// The envelope of every answer of the API. Other fields are ignored.
#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Vec<Value>,
    result: Option<CidrLists>,
}

#[derive(Deserialize)]
struct CidrLists {
    ipv4_cidrs: Vec<String>,
    ipv6_cidrs: Vec<String>,
    jdcloud_cidrs: Option<Vec<String>>,
    etag: Option<String>,
}

fn parse_json(text: &str, wanted: Networks) -> Result<PrefixList, DocumentError> {
    let json = |error: serde_json::Error| DocumentError::Json(safe(&error.to_string()));
    let envelope: Envelope = serde_json::from_str(text).map_err(json)?;
    if !envelope.success {
        let errors = envelope.errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        let errors = if errors.is_empty() { "without details".into() } else { errors.join(", ") };
        return Err(DocumentError::Failed(safe(&errors)));
    }
    let Some(lists) = envelope.result else {
        return Err(DocumentError::Json("there is no result".to_owned()));
    };
    let mut prefixes = Vec::new();
    for entry in &lists.ipv4_cidrs {
        prefixes.push(of_family("ipv4_cidrs", entry, |prefix| prefix.addr().is_ipv4())?);
    }
    for entry in &lists.ipv6_cidrs {
        prefixes.push(of_family("ipv6_cidrs", entry, |prefix| prefix.addr().is_ipv6())?);
    }
    if wanted == Networks::WithChina {
        for entry in lists.jdcloud_cidrs.as_ref().ok_or(DocumentError::NoJdcloud)? {
            prefixes.push(of_family("jdcloud_cidrs", entry, |_| true)?);
        }
    }
    Ok(PrefixList::new(prefixes, lists.etag.map(|etag| EtagText::new(&etag).into_string())))
}

fn of_family(
    field: &'static str,
    entry: &str,
    belongs: impl Fn(&IpNet) -> bool,
) -> Result<IpNet, DocumentError> {
    let refused = |message| DocumentError::Entry { field, message };
    let prefix = parse_entry(entry).map_err(refused)?;
    if belongs(&prefix) {
        Ok(prefix)
    } else {
        Err(refused(format!("{prefix} is of the other family")))
    }
}

/// Parses one entry. The error quotes it, so it is made safe before.
fn parse_entry(entry: &str) -> Result<IpNet, String> {
    parse_prefix(&ShortText::new(entry))
}

fn safe(text: &str) -> String {
    ShortText::new(text).into_string()
}
