//! Warnings about valid files of a site that will not do what the operator expects.

use aop_config::{CertificateRules, HostPattern, RequiredKey};
use x509_parser::certificate::X509Certificate;

use super::{
    cloudflare_ca, identity,
    leaf_rules::{self, is_ml_dsa},
};

/// A warning about a certificate.
pub(super) struct Remark {
    pub(super) text: String,
    /// Whether the edge is refused, or strangers are let in, until it is corrected.
    pub(super) mistake: bool,
}

/// About a certificate that is named as a client CA.
pub(super) fn on_client_ca(ca: &X509Certificate<'_>, rules: &CertificateRules) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut remark = |mistake, text: String| remarks.push(Remark { text, mistake });
    if is_origin_ca(ca.subject()) || is_origin_ca(ca.issuer()) {
        remark(
            true,
            "belongs to Cloudflare's Origin CA, which signs the server certificates of origins: no \
             edge presents one, and every Cloudflare customer can get one. Name the CA of the \
             certificate that you uploaded for authenticated origin pulls, or cloudflare-global"
                .into(),
        );
    } else if !ca.is_ca() {
        let issuer = identity::name(ca.issuer());
        remark(
            true,
            format!(
                "holds a certificate that is not a CA (no CA:TRUE): if it is the edge's own, no \
                 peer can authenticate with it. Name the CA that signed it ({issuer}). If no other \
                 peer with a certificate of that CA may pull, pin the edge's key with spki_pins"
            ),
        );
    }
    if ca.public_key().raw == &*webpki::spki_for_anchor(&cloudflare_ca::anchor()) {
        remark(
            false,
            "holds Cloudflare's global CA (the issue that expired in January 2020 has the same \
             key): write cloudflare-global, which needs no file. Note that any other Cloudflare \
             customer can pass this check"
                .into(),
        );
    }
    if rules.key == Some(RequiredKey::MlDsa) && !is_ml_dsa(ca) {
        remark(
            false,
            "has a classical key: an attacker who breaks it can sign an ML-DSA certificate, so \
             require_key gains nothing. Use a CA with an ML-DSA key"
                .into(),
        );
    }
    remarks
}

/// `C=US, O="CloudFlare, Inc.", OU=CloudFlare Origin SSL [ECC] Certificate Authority, …`
fn is_origin_ca(name: &x509_parser::x509::X509Name<'_>) -> bool {
    let mut units = name.iter_organizational_unit().filter_map(|unit| unit.as_str().ok());
    units.any(|unit| unit.to_ascii_lowercase().starts_with("cloudflare origin ssl"))
}

/// About a server certificate and the certificates after it in its file.
pub(super) fn on_server_chain(chain: &[X509Certificate<'_>], hosts: &[HostPattern]) -> Vec<String> {
    let mut remarks = Vec::new();
    let Some(first) = chain.first() else { return remarks };
    if first.is_ca() {
        remarks.push(
            "begins with a CA: put the server certificate first, intermediates after it".into(),
        );
    }
    for (at, two) in chain.windows(2).enumerate() {
        if two[0].issuer().as_raw() != two[1].subject().as_raw() {
            remarks.push(format!(
                "is out of order: certificate {} ({}) did not sign certificate {}, whose issuer \
                 is {}",
                at + 2,
                identity::name(two[1].subject()),
                at + 1,
                identity::name(two[0].issuer()),
            ));
        }
    }
    if let Ok(Some(usage)) = first.extended_key_usage()
        && !(usage.value.server_auth || usage.value.any)
    {
        remarks.push("is not for servers (its extendedKeyUsage has no serverAuth)".into());
    }
    let names: Vec<String> = leaf_rules::names(first).iter().map(leaf_rules::told).collect();
    let missing: Vec<String> =
        hosts.iter().filter(|host| !covers(&names, host)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        remarks.push(format!(
            "has no name for {}: an edge that verifies it (Full (strict)) will not connect",
            missing.join(", ")
        ));
    }
    remarks
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
