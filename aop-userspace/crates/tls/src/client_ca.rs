//! Loads the client CAs of a site as trust anchors for its verifier.
//!
//! rustls uses only the subject and the key of an anchor. An expired anchor would go on verifying
//! peers, and the certificate of a peer does not work as an anchor. The verifier checks expiry;
//! this module warns of an anchor that is not a CA.

use std::path::Path;

use aop_config::{ClientCa, SiteConfig};
use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::{
    cloudflare_ca,
    error::FileError,
    expiry::{ExpiryKind, FileExpiry},
    file_warnings::{self, FileWarning, FileWarnings},
    identity, pem,
    signed_der::Signer,
    site_files::SiteFiles,
    validity::Validity,
};

/// A trust anchor, with the facts that rustls does not check.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    pub(crate) trust: TrustAnchor<'static>,
    /// Its name in the configuration: `cloudflare-global`, or a path.
    pub(crate) name: String,
    /// Seconds since 1970.
    pub(crate) not_after: u64,
}

impl Anchor {
    pub(crate) fn signer(&self) -> Signer {
        let key = webpki::spki_for_anchor(&self.trust).into_owned();
        Signer { name: self.trust.subject.to_vec(), key }
    }

    /// Whether it is Cloudflare's global CA, built in or from a file.
    pub(crate) fn is_cloudflares(&self) -> bool {
        self.trust.subject_public_key_info == cloudflare_ca::anchor().subject_public_key_info
    }
}

/// The name of the built-in anchor.
pub(crate) const BUILT_IN: &str = "cloudflare-global";

/// The anchors of `client_ca`, which `site` names; at least one. `public_issuers` are those of its
/// server certificate.
pub(crate) fn load(
    client_ca: &ClientCa,
    site: &SiteConfig,
    public_issuers: &[Vec<u8>],
    files: &SiteFiles,
    warnings: &mut FileWarnings,
) -> Result<Vec<Anchor>, FileError> {
    match client_ca {
        ClientCa::CloudflareGlobal => {
            let not_after = cloudflare_ca::NOT_AFTER;
            warnings.expiries.push(FileExpiry {
                site: site.name.clone(),
                subject: BUILT_IN.into(),
                file: BUILT_IN.into(),
                validity: Validity { not_before: 0, not_after },
                kind: ExpiryKind::BuiltInCa(site.rules.expired_ca),
                list: None,
            });
            let trust = cloudflare_ca::anchor();
            Ok(vec![Anchor { trust, name: BUILT_IN.into(), not_after }])
        }
        ClientCa::File(file) => pem::client_cas(file, files)?
            .iter()
            .map(|certificate| anchor(certificate, file, site, public_issuers, warnings))
            .collect(),
    }
}

fn anchor(
    certificate: &CertificateDer<'_>,
    file: &Path,
    site: &SiteConfig,
    public_issuers: &[Vec<u8>],
    warnings: &mut FileWarnings,
) -> Result<Anchor, FileError> {
    let trust = webpki::anchor_from_trusted_cert(certificate)
        .map_err(|error| pem::not_x509(&error, file))?
        .to_owned();
    let parsed = pem::parse(certificate, file)?;
    let validity = Validity::from(&parsed);
    let name = file.display().to_string();
    warnings.expiries.push(FileExpiry {
        site: site.name.clone(),
        subject: identity::distinguished_name(parsed.subject()),
        file: name.clone(),
        validity,
        kind: ExpiryKind::ClientCa(site.rules.expired_ca),
        list: None,
    });
    let found = file_warnings::on_client_ca(&parsed, &site.rules, public_issuers);
    for FileWarning { text, severity } in found {
        let text = format!("client CA {name} {text}");
        warnings.warnings.push(FileWarning { text, severity });
    }
    Ok(Anchor { trust, name, not_after: validity.not_after })
}
