//! Whether this host would accept an uploaded certificate. The process without privilege answers
//! this: the certificate came from the network.

use std::path::PathBuf;

use aop_config::{Config, SiteConfig};
use aop_tls::{LeafJudge, SiteFiles};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::LeafFacts;

/// The certificates, and the rules to judge them by.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JudgeRequest {
    /// The path and the text of the configuration.
    config: (String, String),
    /// The name of the site.
    site: String,
    /// The files that its rules name: client CAs and revocation lists, which are public.
    /// Their contents are in base64: a revocation list may be long.
    files: Vec<(String, String)>,
    /// The certificates.
    leaves: Vec<LeafFacts>,
}

/// The verdict on one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeafVerdict {
    /// A handshake with it would be accepted.
    Accepted,
    /// A handshake with it would be refused.
    Refused {
        /// The stable name of the refusal.
        reason: String,
        /// Details.
        detail: String,
    },
    /// The rules cannot be applied: a file is bad.
    NoRules(String),
}

impl JudgeRequest {
    /// Reads the files of `site` from the disk.
    ///
    /// # Errors
    /// A file cannot be used, for this reason.
    pub(crate) fn new(
        config: &Config,
        text: &str,
        site: &SiteConfig,
        leaves: Vec<LeafFacts>,
    ) -> Result<Self, String> {
        let disk = SiteFiles::on_disk();
        LeafJudge::load(site, &disk).map_err(|error| error.to_string())?;
        let held = disk.into_held().into_iter();
        let files =
            held.filter_map(|(path, bytes)| Some((path.to_str()?.into(), BASE64.encode(&bytes))));
        Ok(Self {
            config: (config.file.display().to_string(), text.to_owned()),
            site: site.name.clone(),
            files: files.collect(),
            leaves,
        })
    }
}

/// Judges each certificate.
pub(crate) fn judge(request: JudgeRequest) -> Vec<LeafVerdict> {
    let JudgeRequest { config: (file, text), site, files, leaves } = request;
    let decoded = |text: String| BASE64.decode(text.as_bytes()).unwrap_or_default();
    let files = files.into_iter().map(|(path, text)| (PathBuf::from(path), decoded(text).into()));
    let files = SiteFiles::handed_over(files);
    let rules = Config::parse(file.as_ref(), &text)
        .map_err(|error| error.to_string())
        .and_then(|config| {
            let of_name = |it: &SiteConfig| it.name == site;
            let found = config.live.sites.into_iter().find(of_name);
            found.ok_or_else(|| format!("no site {site}"))
        })
        .and_then(|site| LeafJudge::load(&site, &files).map_err(|error| error.to_string()));
    let verdict = |leaf: LeafFacts| match &rules {
        Err(why) => LeafVerdict::NoRules(why.clone()),
        Ok(rules) => match rules.refusal_of(&leaf.uploaded()) {
            None => LeafVerdict::Accepted,
            Some(refused) => LeafVerdict::Refused {
                reason: refused.refusal.name().to_owned(),
                detail: refused.detail.clone(),
            },
        },
    };
    leaves.into_iter().map(verdict).collect()
}
