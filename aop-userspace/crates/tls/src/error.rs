//! Errors in the files of a site, written for the operator who must correct them.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::pem::SectionError;

/// A site that cannot be served. At a start nothing is served; at a reload the old sites stay.
#[derive(Debug, Error)]
#[error("site {site}: {problem}")]
pub struct SitesError {
    /// The site's name.
    pub site: String,
    /// The error in it.
    #[source]
    pub problem: SiteErrorKind,
}

/// The error in a site.
#[derive(Debug, Error)]
pub enum SiteErrorKind {
    /// A file that the site names.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key does not belong to the server certificate.
    #[error(
        "the key {} does not belong to the certificate {}: \
         name the key that the certificate was issued for (in its file the server certificate \
         comes first, intermediates after it)",
        key.display(), certificate.display()
    )]
    KeyMismatch {
        /// The file of the server certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// Two revocation lists cover the same certificates.
    #[error(
        "{} and {} are both revocation lists of {issuer} for the same certificates, signed by one \
         key: name only the newer one",
        files[0].display(), files[1].display()
    )]
    ConflictingLists {
        /// The issuer of both.
        issuer: String,
        /// The files; twice the same path if one file holds both.
        files: [PathBuf; 2],
    },
    /// rustls refuses the contents of the files.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// webpki refuses the client CAs.
    #[error("the client CAs cannot be used to verify peers: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A file of certificates or keys that cannot be used.
#[derive(Debug, Error)]
#[error("{}: {problem}", file.display())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// The error in it.
    #[source]
    pub problem: FileErrorKind,
}

/// The error in a file, and its remedy.
#[derive(Debug, Error)]
pub enum FileErrorKind {
    /// It cannot be read.
    #[error("{}", unreadable(.0))]
    Unreadable(#[source] io::Error),
    /// There is no such file, and its path ends as a line of nginx does.
    #[error("there is no such file; remove the `;` at the end of the path")]
    Semicolon,
    /// It has no content.
    #[error("is empty; write the PEM text into it")]
    Empty,
    /// It holds no certificate.
    #[error(
        "holds no certificate in PEM form (\"-----BEGIN CERTIFICATE-----\"); convert a binary one \
         with `openssl x509 -inform DER -in FILE`"
    )]
    NoCertificate,
    /// It holds a key where a certificate is wanted.
    #[error("holds a private key, but no certificate; name the file of the certificate here")]
    KeyInsteadOfCertificate,
    /// It holds no key.
    #[error("holds no private key in PEM form; name the file with \"-----BEGIN PRIVATE KEY-----\"")]
    NoKey,
    /// Its key is encrypted with a passphrase.
    #[error(
        "holds an encrypted private key, and aop has no passphrase; decrypt it with \
         `openssl pkey -in FILE -out NEW`, and let only root read the new file"
    )]
    EncryptedKey,
    /// It holds two keys.
    #[error(
        "holds two private keys, in the lines {} and {}; keep the one of the certificate",
        lines[0], lines[1]
    )]
    TwoKeys {
        /// The lines where they begin.
        lines: [usize; 2],
    },
    /// Its key does not belong to the certificate beside it.
    #[error(
        "is not the key of the certificate {}; name the key that the certificate was issued for",
        certificate.display()
    )]
    ForeignKey {
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// A revocation list is where only client CAs have a meaning.
    #[error(
        "holds a revocation list in line {line}, which would have no effect; move it to a file of \
         its own, and name that as `crl`"
    )]
    ListInsteadOfCertificate {
        /// The line where it begins.
        line: usize,
    },
    /// It holds no revocation list.
    #[error(
        "holds no revocation list, neither DER nor PEM (\"-----BEGIN X509 CRL-----\"); name the \
         file that the CA publishes"
    )]
    NoRevocationList,
    /// It holds a revocation list of a CA that is unknown.
    #[error(
        "holds a revocation list of {issuer}, which is no client CA of this site: name the list \
         of a client CA. If that is an intermediate CA below a client CA, put its certificate \
         into this file too, in PEM form"
    )]
    ForeignList {
        /// The issuer of the list.
        issuer: String,
    },
    /// It holds a revocation list whose signature does not fit its issuer's key.
    #[error(
        "holds a revocation list of {issuer} that no CA of this name signed: the list is damaged, \
         or the CA was renewed with another key. Fetch the list again, or name the certificate \
         with that key too (as `client_ca`; that of an intermediate CA belongs into this file)"
    )]
    ListOfAnotherKey {
        /// The issuer of the list.
        issuer: String,
    },
    /// A section of it cannot be read.
    #[error("is malformed in {0}")]
    Section(#[source] SectionError),
    /// Its DER is truncated or invalid.
    #[error("is malformed: {0}; copy the file again from its source")]
    Malformed(String),
}

fn unreadable(error: &io::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open-ended")]
    match error.kind() {
        // Any other error of this kind is ours: the daemon did not hand the file over.
        io::ErrorKind::NotFound if error.raw_os_error().is_some() => {
            "there is no such file; correct the path".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("cannot be read: {error}; run aop as root, which must be able to read it")
        }
        _ => format!("cannot be read: {error}"),
    }
}

impl FileErrorKind {
    pub(crate) fn of(self, file: &Path) -> FileError {
        FileError { file: file.into(), problem: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The daemon reads as root. A change of the owner to the user `aop` would weaken the key.
    #[test]
    fn a_file_that_may_not_be_read_asks_for_root_and_not_for_another_owner() {
        let said = unreadable(&io::ErrorKind::PermissionDenied.into());
        assert!(said.ends_with("run aop as root, which must be able to read it"), "{said}");
    }

    #[test]
    fn only_a_file_that_the_disk_does_not_have_asks_for_another_path() {
        let missing = std::fs::read("/nonexistent").unwrap_err();
        assert_eq!(unreadable(&missing), "there is no such file; correct the path");
        let ours = io::Error::new(io::ErrorKind::NotFound, "the daemon did not hand it over");
        assert_eq!(unreadable(&ours), "cannot be read: the daemon did not hand it over");
    }
}
