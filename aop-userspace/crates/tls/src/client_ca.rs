//! Loads the client CAs of a site as trust anchors for its verifier.
//!
//! rustls uses only the subject and the key of an anchor. An expired anchor would go on verifying
//! peers, and the certificate of a peer does not work as an anchor. The verifier checks expiry;
//! this module warns of an anchor that is not a CA.

use std::path::Path;

use aop_config::{ClientCa, OnExpiry, SiteConfig, Warning};
use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::{
    cloudflare_ca,
    error::{FileError, FileErrorKind},
    expiry::{Ends, FileExpiry},
    file_warnings, identity, pem,
    server_config::FileWarnings,
    site_files::Files,
    validity::Validity,
};

/// A trust anchor, with the facts that rustls does not check.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    pub(super) trust: TrustAnchor<'static>,
    /// Its name in the configuration: `cloudflare-global`, or a path.
    pub(super) name: String,
    /// Seconds since 1970.
    pub(super) not_after: u64,
}

impl Anchor {
    /// Whether it is Cloudflare's global CA, built in or from a file.
    pub(super) fn is_cloudflares(&self) -> bool {
        self.trust.subject_public_key_info == cloudflare_ca::anchor().subject_public_key_info
    }
}

/// The name of the built-in anchor.
pub(super) const BUILT_IN: &str = "cloudflare-global";

/// The anchors of `client_ca`, which `site` names; at least one.
pub(super) fn load(
    client_ca: &ClientCa,
    site: &SiteConfig,
    files: &Files,
    notes: &mut FileWarnings,
) -> Result<Vec<Anchor>, FileError> {
    match client_ca {
        ClientCa::CloudflareGlobal => {
            notes.terms.push(FileExpiry {
                site: site.name.clone(),
                subject: BUILT_IN.into(),
                file: BUILT_IN.into(),
                validity: Validity { not_before: 0, not_after: cloudflare_ca::NOT_AFTER },
                kind: match site.rules.expired_ca {
                    OnExpiry::Refuse => Ends::BuiltIn,
                    OnExpiry::Warn => Ends::ToleratedBuiltIn,
                },
            });
            Ok(vec![Anchor {
                trust: cloudflare_ca::anchor(),
                name: BUILT_IN.into(),
                not_after: cloudflare_ca::NOT_AFTER,
            }])
        }
        ClientCa::File(file) => pem::certificates(file, files)?
            .iter()
            .map(|certificate| anchor(certificate, file, site, notes))
            .collect(),
    }
}

fn anchor(
    certificate: &CertificateDer<'_>,
    file: &Path,
    site: &SiteConfig,
    notes: &mut FileWarnings,
) -> Result<Anchor, FileError> {
    let malformed = |detail: String| FileErrorKind::Malformed(detail).of(file);
    let trust = webpki::anchor_from_trusted_cert(certificate)
        .map_err(|error| malformed(format!("a certificate in it is not X.509 ({error})")))?
        .to_owned();
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| malformed(format!("a certificate in it is not X.509 ({error})")))?;
    let validity = Validity::from(&parsed);
    notes.terms.push(FileExpiry {
        site: site.name.clone(),
        subject: identity::name(parsed.subject()),
        file: file.display().to_string(),
        validity,
        kind: match site.rules.expired_ca {
            OnExpiry::Refuse => Ends::Ca,
            OnExpiry::Warn => Ends::ToleratedCa,
        },
    });
    for remark in file_warnings::on_client_ca(&parsed, &site.rules) {
        let warning = Warning(format!("client CA {} {}", file.display(), remark.text));
        notes.mistakes.extend(remark.mistake.then(|| warning.clone()));
        notes.warnings.push(warning);
    }
    Ok(Anchor { trust, name: file.display().to_string(), not_after: validity.not_after })
}
