//! The names in a fleet. They become keys in etcd and words on terminals, so their characters and
//! their lengths are bounded.

use std::{collections::BTreeMap, fmt, str::FromStr};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{ConfigError, parse::SourceFile};

/// The longest name of a host: that of a name in the DNS.
const MAX_NAME: usize = 253;
/// The longest key or value of a label.
const MAX_LABEL: usize = 63;
/// The most labels of a host.
const MAX_LABELS: usize = 16;
/// The longest prefix in etcd.
const MAX_PREFIX: usize = 200;

/// The scheme of an operator's key.
const ED25519: &str = "ed25519:";

fn is_name(text: &str, longest: usize) -> bool {
    let valid = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    (1..=longest).contains(&text.len()) && text.chars().all(valid)
}

/// The name of a host in its fleet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FleetName(String);

impl FleetName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FleetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_name(text, MAX_NAME) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is no name of a host in a fleet: use 1 to {MAX_NAME} letters, digits, dots, \
             hyphens and underscores"
        ))
    }
}

impl TryFrom<String> for FleetName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FleetName> for String {
    fn from(name: FleetName) -> Self {
        name.0
    }
}

impl fmt::Display for FleetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The place in etcd of everything that belongs to a fleet: `/NAME`, or several names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetPrefix(String);

impl FleetPrefix {
    /// The prefix, with a slash at its beginning and none at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for FleetPrefix {
    fn default() -> Self {
        Self("/aop".to_owned())
    }
}

impl FromStr for FleetPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.strip_prefix('/').map(|names| names.split('/'));
        let valid = names.is_some_and(|mut names| names.all(|name| is_name(name, MAX_PREFIX)));
        if valid && text.len() <= MAX_PREFIX {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?}: fleet.prefix is a slash and names, such as \"/aop/production\", of letters, \
             digits, dots, hyphens and underscores, without a slash at the end"
        ))
    }
}

impl fmt::Display for FleetPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The labels of a host: `region = "eu"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetLabels(BTreeMap<String, String>);

impl FleetLabels {
    /// The labels, by key.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

pub(super) fn labels(
    raw: Option<&Spanned<BTreeMap<String, Spanned<String>>>>,
    src: &SourceFile<'_>,
) -> Result<FleetLabels, ConfigError> {
    let Some(table) = raw else { return Ok(FleetLabels::default()) };
    if table.get_ref().len() > MAX_LABELS {
        let message = format!("fleet.labels has more than {MAX_LABELS} labels");
        return Err(src.error(table.span(), message));
    }
    let mut labels = BTreeMap::new();
    for (key, value) in table.get_ref() {
        if !is_name(key, MAX_LABEL) || !is_name(value.get_ref(), MAX_LABEL) {
            let message = format!(
                "{key:?} = {:?} is no label: key and value are 1 to {MAX_LABEL} letters, digits, \
                 dots, hyphens and underscores",
                value.get_ref()
            );
            return Err(src.error(value.span(), message));
        }
        labels.insert(key.clone(), value.get_ref().clone());
    }
    Ok(FleetLabels(labels))
}

/// The public key of an operator: Ed25519 (RFC 8032).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorKey([u8; 32]);

impl OperatorKey {
    /// The bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for OperatorKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for OperatorKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let base64 = text.strip_prefix(ED25519).map(str::as_bytes);
        let bytes = base64.and_then(|base64| BASE64.decode(base64).ok());
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| {
            format!(
                "{text:?} is no key of an operator: write ed25519: and the 32 bytes of the public \
                 key in base64, as `aop fleet key create` prints it"
            )
        })
    }
}

impl fmt::Display for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ED25519}{}", BASE64.encode(&self.0))
    }
}
