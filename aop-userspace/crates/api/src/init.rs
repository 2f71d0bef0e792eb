//! The document of `aop init`.

use serde::{Deserialize, Serialize};

use crate::CheckReport;

/// A configuration that was proposed for this host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InitReport {
    /// Path of the configuration.
    pub file: String,
    /// Whether it was written. If not, nothing was, and `check` has the error.
    pub written: bool,
    /// Path of the server blocks for nginx; `null` where no site needs one.
    pub nginx_file: Option<String>,
    /// The guarded TCP ports.
    pub guarded: Vec<u16>,
    /// The addresses on which aop listens.
    pub listens: Vec<String>,
    /// The sites.
    pub proposed: Vec<InitSite>,
    /// The parts that were not taken over, or that will differ.
    pub not_taken: Vec<NotTakenOver>,
    /// What `aop check` says about the configuration.
    pub check: CheckReport,
}

/// A site that was proposed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InitSite {
    /// Where the web server has it: `FILE:LINE`.
    pub at: String,
    /// The hosts that it serves.
    pub hosts: Vec<String>,
    /// The file of its certificate.
    pub certificate: String,
    /// The file of its key.
    pub key: String,
    /// Its client CAs.
    pub client_ca: Vec<String>,
    /// Whether it observes: it lets everybody in, and counts who would be refused.
    pub observes: bool,
    /// Its upstream.
    pub upstream: String,
    /// Why it is only a comment in the file; `null` where it is a site.
    pub unusable: Option<String>,
}

/// Something that the configuration does not have, or that will differ.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotTakenOver {
    /// `FILE:LINE`; `null` where it stands in no file.
    pub at: Option<String>,
    /// The text there.
    pub what: String,
    /// Why it was not taken over, and what to do.
    pub why: String,
}
