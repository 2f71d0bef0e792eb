//! From the client CAs of a site to the trust anchors that its verifier gets.
//!
//! rustls looks at an anchor's subject and key alone: an expired one goes on vouching, and one that
//! is no CA is no pin. Both are said aloud here; neither is an error.

use std::path::Path;

use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::{
    cloudflare,
    error::{FileError, FileProblem},
    files::Files,
    pem,
    validity::Validity,
};
use crate::config::{ClientCa, Warning};

/// The anchors of `client_ca`; one at least.
pub(super) fn load(
    client_ca: &ClientCa,
    files: &Files,
    now: u64,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<TrustAnchor<'static>>, FileError> {
    match client_ca {
        ClientCa::CloudflareGlobal => {
            let validity = Validity { not_before: 0, not_after: cloudflare::NOT_AFTER };
            if let Some(remark) = validity.remark(now) {
                let remark =
                    format!("the built-in client CA cloudflare-global {remark} by upgrading aop");
                warnings.push(Warning(remark));
            }
            Ok(vec![cloudflare::anchor()])
        }
        ClientCa::File(file) => pem::certificates(file, files)?
            .iter()
            .map(|certificate| anchor(certificate, file, now, warnings))
            .collect(),
    }
}

fn anchor(
    certificate: &CertificateDer<'_>,
    file: &Path,
    now: u64,
    warnings: &mut Vec<Warning>,
) -> Result<TrustAnchor<'static>, FileError> {
    let malformed = |what: String| FileProblem::Malformed(what).of(file);
    let anchor = webpki::anchor_from_trusted_cert(certificate)
        .map_err(|error| malformed(format!("a certificate in it is not X.509 ({error})")))?
        .to_owned();
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| malformed(format!("a certificate in it is not X.509 ({error})")))?;
    if let Some(remark) = Validity::from(&parsed).remark(now) {
        warnings.push(Warning(format!("client CA {} {remark}", file.display())));
    }
    if !parsed.is_ca() {
        warnings.push(Warning(format!(
            "client CA {} holds a certificate that is not a CA (no CA:TRUE): if it is the edge's \
             own, nobody will authenticate by it. Name the CA that signed it",
            file.display()
        )));
    }
    Ok(anchor)
}
