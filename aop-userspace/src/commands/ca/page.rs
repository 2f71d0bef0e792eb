//! The pages for people.

use std::path::Path;

use aop_api::{CaCertificate, CaFile, CaFitness, CaKey, CaMade, CaRequest, CaShown};

use crate::output::{count, date, hanging, terminal_columns};

/// The columns of a label.
const LABEL: usize = 12;

pub(super) fn created(made: &CaMade) -> String {
    let mut page = Page::default();
    page.made(made);
    let certificate = made.certificate_file.as_deref().unwrap_or_default();
    let key = made.key_file.as_deref().unwrap_or_default();
    page.paragraph("");
    page.paragraph(&format!(
        "The key signs whatever your origins believe. It need not stay on this host: keep {key} \
         where only you have it."
    ));
    page.paragraph("Next, sign a certificate for Cloudflare to present:");
    let host = made.certificate.as_ref().and_then(|it| it.permitted.first());
    let host = host.map_or("HOST".to_owned(), |host| format!("origin-pull.{host}"));
    page.command(&format!("aop ca issue --ca {certificate} --host {host}"));
    page.paragraph("On every origin, name the CA's certificate as client_ca:");
    page.command(&format!("install -m 644 {certificate} /etc/aop/"));
    page.text
}

/// `ca` is the certificate of the CA.
pub(super) fn issued(made: &CaMade, ca: &Path) -> String {
    let mut page = Page::default();
    page.made(made);
    let certificate = made.certificate_file.as_deref().unwrap_or_default();
    let ca = ca.display();
    page.paragraph("");
    if made.shortened {
        page.paragraph("The certificate ends with its CA, before the days that you asked for.");
    }
    match &made.key_file {
        Some(key) => {
            page.paragraph("Look at both again:");
            page.command(&format!("aop ca show {certificate} {key}"));
            page.paragraph(
                "To upload both at Cloudflare by hand, go on as docs/certificates.md says. Or let \
                 aop replace the certificate there, with a leaf of its own from this CA:",
            );
            page.command(&format!("aop cloudflare roll --site HOST --ca {ca}"));
        }
        None => {
            page.paragraph(
                "Next, where the key is, with the certificate beside it. If `aop cloudflare roll` \
                 made the request:",
            );
            page.command(&format!("aop cloudflare roll --site HOST --certificate {certificate}"));
            page.paragraph("Otherwise look at both again:");
            page.command(&format!("aop ca show {certificate} KEY"));
        }
    }
    page.text
}

pub(super) fn requested(made: &CaMade) -> String {
    let mut page = Page::default();
    page.made(made);
    let request = made.request_file.as_deref().unwrap_or_default();
    page.paragraph("");
    page.paragraph("Next, where the CA's key is; the key stays here:");
    page.command(&format!("aop ca issue --ca pull-ca.pem --csr {request}"));
    page.text
}

pub(super) fn shown(shown: &CaShown) -> String {
    let mut page = Page::default();
    for file in &shown.files {
        page.file(file);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        for line in hanging("", "", text, terminal_columns()) {
            self.line(&line);
        }
    }

    /// A command to copy, which never breaks.
    fn command(&mut self, command: &str) {
        self.line(&format!("  {command}"));
    }

    fn row(&mut self, label: &str, text: &str) {
        let first = format!("  {label:<LABEL$}");
        for line in hanging(&first, &" ".repeat(LABEL + 2), text, terminal_columns()) {
            self.line(&line);
        }
    }

    fn made(&mut self, made: &CaMade) {
        if let Some(file) = &made.certificate_file {
            self.line(&format!("wrote {file} (certificate, for everybody)"));
        }
        if let Some(file) = &made.request_file {
            self.line(&format!("wrote {file} (request, for everybody)"));
        }
        if let Some(file) = &made.key_file {
            let under = if made.encrypted { "under a passphrase" } else { "not encrypted" };
            self.line(&format!("wrote {file} (private key, for its owner alone, {under})"));
        }
        if let Some(certificate) = &made.certificate {
            self.certificate(certificate);
        }
    }

    fn file(&mut self, file: &CaFile) {
        for certificate in &file.certificates {
            let kind = if certificate.checked.ca { "CA" } else { "leaf" };
            self.line(&format!("{}: certificate of a {kind}", file.file));
            self.certificate(certificate);
            self.row(
                "signature",
                &format!("{}, X.509 v{}", certificate.signature, certificate.version),
            );
            self.row("serial", &certificate.checked.serial);
            self.row("key sha256", &certificate.checked.spki_sha256);
            self.row("fingerprint", &certificate.fingerprint);
            self.row("upload", &fitness(&certificate.upload));
            self.row("client_ca", &fitness(&certificate.client_ca));
        }
        for request in &file.requests {
            self.line(&format!("{}: request for a certificate", file.file));
            self.request(request);
        }
        for key in &file.keys {
            self.line(&format!("{}: private key", file.file));
            self.key(key);
        }
        if file.revocation_lists > 0 {
            let lists = count(file.revocation_lists, "revocation list");
            self.line(&format!("{}: {lists}, which `aop check` describes", file.file));
        }
    }

    fn certificate(&mut self, certificate: &CaCertificate) {
        let checked = &certificate.checked;
        self.row("subject", &checked.subject);
        match checked.subject == checked.issuer {
            true => self.row("issuer", "itself"),
            false => self.row("issuer", &checked.issuer),
        }
        if !checked.names.is_empty() {
            self.row("names", &checked.names.join(", "));
        }
        if checked.ca {
            self.row("may sign", &may_sign(certificate));
        }
        let (from, until) = (date(checked.not_before), date(checked.not_after));
        self.row("valid", &format!("{from} to {until}, {}", days(certificate.days_left)));
        let key_in = certificate.key_in.as_ref().map(|file| format!(", in {file}"));
        self.row("key", &format!("{}{}", checked.key, key_in.unwrap_or_default()));
        let usage = [&certificate.key_usage[..], &certificate.extended_key_usage].concat();
        if !usage.is_empty() {
            self.row("usage", &usage.join(", "));
        }
    }

    fn request(&mut self, request: &CaRequest) {
        if !request.subject.is_empty() {
            self.row("subject", &request.subject);
        }
        if !request.names.is_empty() {
            self.row("names", &request.names.join(", "));
        }
        let key_in = request.key_in.as_ref().map(|file| format!(", in {file}"));
        self.row("key", &format!("{}{}", request.key, key_in.unwrap_or_default()));
        self.row("key sha256", &request.spki_sha256);
        match &request.error {
            Some(error) => self.row("issue", &format!("no: {error}")),
            None => self.row("issue", "yes: its signature fits its key"),
        }
    }

    fn key(&mut self, key: &CaKey) {
        if let Some(kind) = &key.key {
            self.row("key", kind);
        }
        if let Some(sum) = &key.spki_sha256 {
            self.row("key sha256", sum);
        }
        if key.encrypted {
            self.row("key", "under a passphrase");
        }
        if let Some(error) = &key.error {
            self.row("error", error);
        }
    }
}

fn may_sign(ca: &CaCertificate) -> String {
    let mut text = match &ca.permitted[..] {
        [] => "every name".to_owned(),
        permitted => format!("{} and names below", permitted.join(", ")),
    };
    if !ca.excluded.is_empty() {
        text += &format!(", but not {}", ca.excluded.join(", "));
    }
    match ca.path_length {
        Some(0) => text + "; no other CA",
        Some(most) => text + &format!("; chains with up to {most} more CAs"),
        None => text,
    }
}

fn days(left: i64) -> String {
    let number = usize::try_from(left.unsigned_abs()).unwrap_or(usize::MAX);
    match left {
        0.. => format!("{} left", count(number, "day")),
        _ => format!("expired {} ago", count(number, "day")),
    }
}

fn fitness(it: &CaFitness) -> String {
    if it.fits { "yes".to_owned() } else { format!("no: {}", it.against.join("; ")) }
}
