//! From the client CAs of a site to the trust anchors that its verifier gets.
//!
//! rustls looks at an anchor's subject and key alone: an expired one would go on vouching, and one
//! that is no CA is no pin. The end is the verifier's business; that something is no CA is said.

use std::path::Path;

use aop_config::{ClientCa, PastEnd, SiteConfig, Warning};
use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::{
    cloudflare,
    error::{FileError, FileProblem},
    files::Files,
    identity, pem, remarks,
    server::Notes,
    term::{Ends, Term},
    validity::Validity,
};

/// A trust anchor with what rustls does not ask of it.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    pub(super) trust: TrustAnchor<'static>,
    /// How the configuration calls it: `cloudflare-global`, or a path.
    pub(super) name: String,
    /// Seconds since 1970.
    pub(super) not_after: u64,
}

impl Anchor {
    /// Whether it is Cloudflare's own, built in or from a file.
    pub(super) fn is_cloudflares(&self) -> bool {
        self.trust.subject_public_key_info == cloudflare::anchor().subject_public_key_info
    }
}

/// The name of the anchor that is built in.
pub(super) const BUILT_IN: &str = "cloudflare-global";

/// The anchors of `client_ca`, which `site` names; one at least.
pub(super) fn load(
    client_ca: &ClientCa,
    site: &SiteConfig,
    files: &Files,
    notes: &mut Notes,
) -> Result<Vec<Anchor>, FileError> {
    match client_ca {
        ClientCa::CloudflareGlobal => {
            notes.terms.push(Term {
                site: site.name.clone(),
                subject: BUILT_IN.into(),
                file: BUILT_IN.into(),
                validity: Validity { not_before: 0, not_after: cloudflare::NOT_AFTER },
                kind: match site.rules.expired_ca {
                    PastEnd::Refuse => Ends::BuiltIn,
                    PastEnd::Warn => Ends::ToleratedBuiltIn,
                },
            });
            Ok(vec![Anchor {
                trust: cloudflare::anchor(),
                name: BUILT_IN.into(),
                not_after: cloudflare::NOT_AFTER,
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
    notes: &mut Notes,
) -> Result<Anchor, FileError> {
    let malformed = |what: String| FileProblem::Malformed(what).of(file);
    let trust = webpki::anchor_from_trusted_cert(certificate)
        .map_err(|error| malformed(format!("a certificate in it is not X.509 ({error})")))?
        .to_owned();
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| malformed(format!("a certificate in it is not X.509 ({error})")))?;
    let validity = Validity::from(&parsed);
    notes.terms.push(Term {
        site: site.name.clone(),
        subject: identity::name(parsed.subject()),
        file: file.display().to_string(),
        validity,
        kind: match site.rules.expired_ca {
            PastEnd::Refuse => Ends::Ca,
            PastEnd::Warn => Ends::ToleratedCa,
        },
    });
    for remark in remarks::on_client_ca(&parsed, &site.rules) {
        let warning = Warning(format!("client CA {} {}", file.display(), remark.text));
        notes.mistakes.extend(remark.mistake.then(|| warning.clone()));
        notes.warnings.push(warning);
    }
    Ok(Anchor { trust, name: file.display().to_string(), not_after: validity.not_after })
}
