//! Warnings about the files of the sites: valid ones that will not do what the operator expects,
//! and those that expire.

use std::collections::HashSet;

use aop_config::{CertificateRules, HostPattern, RequiredKey};
use x509_parser::certificate::X509Certificate;

use super::{
    cloudflare_ca,
    expiry::FileExpiry,
    identity,
    leaf_rules::{self, is_ml_dsa},
};

/// Warnings about the files of the sites.
#[derive(Clone, Debug, Default)]
pub struct FileWarnings {
    /// Warnings that hold at any time.
    pub(crate) warnings: Vec<FileWarning>,
    /// Certificates and lists that expire.
    pub expiries: Vec<FileExpiry>,
}

/// A warning about a file.
#[derive(Clone, Debug)]
pub(crate) struct FileWarning {
    pub(crate) text: String,
    pub(crate) severity: Severity,
}

/// How much a warning matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Peers are served as configured.
    Warning,
    /// The edge is refused, or strangers are let in, until it is corrected.
    Mistake,
}

impl FileWarnings {
    /// Removes duplicates: sites often share their files.
    pub(crate) fn remove_duplicates(&mut self) {
        let mut texts = HashSet::new();
        self.warnings.retain(|warning| texts.insert(warning.text.clone()));
        let mut expiries = HashSet::new();
        self.expiries.retain(|it| {
            let list = it.list.clone();
            expiries.insert((it.file.clone(), it.validity, it.kind, it.subject.clone(), list))
        });
    }

    /// All warnings as text, at `now` in seconds since 1970.
    #[must_use]
    pub fn texts(&self, now: u64) -> Vec<String> {
        let warnings = self.warnings.iter().map(|warning| warning.text.clone());
        warnings.chain(self.expiries.iter().filter_map(|it| it.warning(now))).collect()
    }

    /// The warnings that must be corrected now.
    #[must_use]
    pub fn mistakes(&self, now: u64) -> Vec<String> {
        let mistakes = self.warnings.iter().filter(|it| it.severity == Severity::Mistake);
        let mistakes = mistakes.map(|mistake| mistake.text.clone());
        mistakes.chain(self.expiries.iter().filter_map(|it| it.mistake(now))).collect()
    }
}

/// About a certificate that is named as a client CA.
pub(crate) fn on_client_ca(ca: &X509Certificate<'_>, rules: &CertificateRules) -> Vec<FileWarning> {
    let mut warnings = Vec::new();
    let mut warn = |severity, text: String| warnings.push(FileWarning { text, severity });
    if is_origin_ca(ca.subject()) || is_origin_ca(ca.issuer()) {
        warn(
            Severity::Mistake,
            "belongs to Cloudflare's Origin CA, which signs the server certificates of origins: no \
             edge presents one, and every Cloudflare customer can get one. Name the CA of the \
             certificate that you uploaded for authenticated origin pulls, or cloudflare-global"
                .into(),
        );
    } else if !ca.is_ca() {
        let issuer = identity::distinguished_name(ca.issuer());
        warn(
            Severity::Mistake,
            format!(
                "holds a certificate that is not a CA (no CA:TRUE): if it is the edge's own, no \
                 peer can authenticate with it. Name the CA that signed it ({issuer}). If no other \
                 peer with a certificate of that CA may pull, pin the edge's key with spki_pins"
            ),
        );
    }
    if ca.public_key().raw == &*webpki::spki_for_anchor(&cloudflare_ca::anchor()) {
        warn(
            Severity::Warning,
            "holds Cloudflare's global CA (the issue that expired in January 2020 has the same \
             key): write cloudflare-global, which needs no file. Note that any other Cloudflare \
             customer can pass this check"
                .into(),
        );
    }
    if rules.key == Some(RequiredKey::MlDsa) && !is_ml_dsa(ca) {
        warn(
            Severity::Warning,
            "has a classical key: an attacker who breaks it can sign an ML-DSA certificate, so \
             require_key gains nothing. Use a CA with an ML-DSA key"
                .into(),
        );
    }
    warnings
}

/// `C=US, O="CloudFlare, Inc.", OU=CloudFlare Origin SSL [ECC] Certificate Authority, …`
fn is_origin_ca(name: &x509_parser::x509::X509Name<'_>) -> bool {
    let mut units = name.iter_organizational_unit().filter_map(|unit| unit.as_str().ok());
    units.any(|unit| unit.to_ascii_lowercase().starts_with("cloudflare origin ssl"))
}

/// About a server certificate and the certificates after it in its file.
pub(crate) fn on_server_chain(chain: &[X509Certificate<'_>], hosts: &[HostPattern]) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(first) = chain.first() else { return warnings };
    if first.is_ca() {
        warnings.push(
            "begins with a CA: put the server certificate first, intermediates after it".into(),
        );
    }
    for (at, two) in chain.windows(2).enumerate() {
        if two[0].issuer().as_raw() != two[1].subject().as_raw() {
            warnings.push(format!(
                "is out of order: certificate {} ({}) did not sign certificate {}, whose issuer \
                 is {}",
                at + 2,
                identity::distinguished_name(two[1].subject()),
                at + 1,
                identity::distinguished_name(two[0].issuer()),
            ));
        }
    }
    if let Ok(Some(usage)) = first.extended_key_usage()
        && !(usage.value.server_auth || usage.value.any)
    {
        warnings.push("is not for servers (its extendedKeyUsage has no serverAuth)".into());
    }
    let names: Vec<String> = leaf_rules::names(first).iter().map(leaf_rules::spelled).collect();
    let missing: Vec<String> =
        hosts.iter().filter(|host| !covers(&names, host)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        warnings.push(format!(
            "has no name for {}: an edge that verifies it (Full (strict)) will not connect",
            missing.join(", ")
        ));
    }
    warnings
}

fn covers(names: &[String], host: &HostPattern) -> bool {
    let has =
        |name: String| names.iter().any(|had| had.eq_ignore_ascii_case(&format!("dns:{name}")));
    match host {
        HostPattern::Exact(host) => {
            has(host.to_string()) || host.parent().is_some_and(|parent| has(format!("*.{parent}")))
        }
        HostPattern::Below(_) => has(host.to_string()),
    }
}
