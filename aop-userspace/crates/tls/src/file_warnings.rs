//! Warnings about the files of the sites: valid ones that will not do what the operator expects,
//! and those that expire.

use std::collections::HashSet;

use aop_config::{CertificateRules, HostPattern, RequiredKey};
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension};

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

/// Why a certificate should not be a client CA of a site without any rule.
#[must_use]
pub fn client_ca_objections(ca: &X509Certificate<'_>) -> Vec<String> {
    let found = on_client_ca(ca, &CertificateRules::default(), &[]);
    found.into_iter().map(|warning| warning.text).collect()
}

/// About a certificate that is named as a client CA. `public_issuers` are those of the server
/// certificate of the site.
pub(crate) fn on_client_ca(
    ca: &X509Certificate<'_>,
    rules: &CertificateRules,
    public_issuers: &[Vec<u8>],
) -> Vec<FileWarning> {
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
    let is_public = is_public(ca) || public_issuers.iter().any(|it| it == ca.subject().as_raw());
    let names_one_peer = !rules.san.is_empty() || rules.cn.is_some() || !rules.pins.is_empty();
    if ca.is_ca() && is_public && !names_one_peer {
        warn(
            Severity::Mistake,
            "is a public CA, which signs server certificates: no edge presents one of these, and \
             everybody can get one. Name the CA of the certificate that you uploaded for \
             authenticated origin pulls, or cloudflare-global"
                .into(),
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

/// The names (DER) of the issuers in this server chain, if its first certificate is public.
pub(crate) fn public_issuers(chain: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
    let parsed = chain.iter().filter_map(|it| x509_parser::parse_x509_certificate(it).ok());
    let parsed: Vec<X509Certificate<'_>> = parsed.map(|(_, parsed)| parsed).collect();
    match parsed.first() {
        Some(first) if is_public(first) => {
            parsed.iter().map(|it| it.issuer().as_raw().to_vec()).collect()
        }
        Some(_) | None => Vec::new(),
    }
}

/// Whether a CA that browsers trust issued the certificate: it then has one of the policies that
/// the CA/Browser Forum reserves (Baseline Requirements, 7.1.6.1), and its issuer is never a root
/// (6.1.7). Cloudflare's Origin CA and private CAs have none of these policies.
fn is_public(certificate: &X509Certificate<'_>) -> bool {
    let reserved = |oid: &str| oid == "2.23.140.1.1" || oid.starts_with("2.23.140.1.2.");
    certificate.iter_extensions().any(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::CertificatePolicies(policies)
            if policies.iter().any(|it| reserved(&it.policy_id.to_id_string())))
    })
}

/// About a server certificate and the certificates after it in its file.
pub(crate) fn on_server_chain(
    chain: &[X509Certificate<'_>],
    hosts: &[HostPattern],
) -> Vec<FileWarning> {
    let Some(first) = chain.first() else { return Vec::new() };
    let warning = |text| FileWarning { text, severity: Severity::Warning };
    let mut warnings: Vec<FileWarning> =
        on_served_chain(first, chain, hosts).into_iter().map(warning).collect();
    let is_issuer = |it: &X509Certificate<'_>| it.subject().as_raw() == first.issuer().as_raw();
    if is_public(first) && !chain.iter().any(is_issuer) {
        let text = format!(
            "has no intermediate certificate ({}): an edge that verifies it (Full (strict)) will \
             not connect. Name the file with the whole chain (certbot: fullchain.pem, not \
             cert.pem)",
            identity::distinguished_name(first.issuer())
        );
        warnings.push(FileWarning { text, severity: Severity::Mistake });
    }
    warnings
}

/// Its warnings that are no mistakes.
fn on_served_chain(
    first: &X509Certificate<'_>,
    chain: &[X509Certificate<'_>],
    hosts: &[HostPattern],
) -> Vec<String> {
    let mut warnings = Vec::new();
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
