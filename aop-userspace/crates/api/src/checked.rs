//! What `aop check` found. Its names are stable: fields are added, never renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A configuration with every file that it names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    /// The configuration.
    pub file: String,
    /// Whether it can be run.
    pub good: bool,
    /// The first thing that stands in the way; `null` where nothing does.
    pub error: Option<String>,
    /// What an operator should know.
    pub warnings: Vec<String>,
    /// Those of them for which the edge is refused, or turns away.
    #[serde(default)]
    pub mistakes: Vec<String>,
    /// Its sites, where it can be read that far.
    pub sites: Vec<CheckedSite>,
}

/// One site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedSite {
    /// Its name.
    pub site: String,
    /// The hosts that it answers for.
    pub hosts: Vec<String>,
    /// Its files, in the order of the configuration.
    pub files: Vec<CheckedFile>,
}

/// One file of a site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedFile {
    /// Its path, or `cloudflare-global`.
    pub file: String,
    /// The key that names it: `certificate`, `key`, `client_ca` or `crl`.
    pub role: String,
    /// Why it cannot be used; `null` where it can.
    pub error: Option<String>,
    /// The certificates in it.
    pub certificates: Vec<CheckedCertificate>,
    /// The revocation lists in it.
    pub lists: Vec<CheckedList>,
}

/// A certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedCertificate {
    /// Its subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its serial number, in hex.
    pub serial: String,
    /// Its kind of key, as `ECDSA P-256`.
    pub key: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// Whether it is a CA's.
    pub ca: bool,
    /// Its subject alternative names, as `dns:example.com`.
    pub names: Vec<String>,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// A revocation list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedList {
    /// Who signed it.
    pub issuer: String,
    /// When it was made.
    pub this_update: Timestamp,
    /// When its successor is due.
    pub next_update: Timestamp,
    /// How many certificates it revokes.
    pub entries: usize,
}
