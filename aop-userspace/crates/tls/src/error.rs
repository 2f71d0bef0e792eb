//! What can be wrong with the files of a site, written for the operator who must mend it.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A site that cannot be served. Nothing is served then, or the old sites go on.
#[derive(Debug, Error)]
#[error("site {site}: {problem}")]
pub struct SitesError {
    /// The site's name.
    pub site: String,
    /// What is wrong with it.
    #[source]
    pub problem: SitesProblem,
}

/// What is wrong with a site.
#[derive(Debug, Error)]
pub enum SitesProblem {
    /// A file that it names.
    #[error(transparent)]
    File(#[from] FileError),
    /// Key and server certificate are not a pair.
    #[error(
        "the key {} does not belong to the certificate {}: \
         name the key that the certificate was issued for (the server certificate comes first in \
         its file, intermediates after it)",
        key.display(), certificate.display()
    )]
    KeyMismatch {
        /// The file of the server certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// Two revocation lists speak for one issuer.
    #[error(
        "{} and {} are both revocation lists of {issuer} for the same certificates, and only one \
         of them would be read: name the newer one alone",
        files[0].display(), files[1].display()
    )]
    TwoLists {
        /// Who signed both.
        issuer: String,
        /// The files; the same one where both are in it.
        files: [PathBuf; 2],
    },
    /// The TLS library refuses what the files hold.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The client CAs make no verifier.
    #[error("its client CAs cannot verify anybody: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A file of certificates or keys that cannot be used.
#[derive(Debug, Error)]
#[error("{}: {problem}", file.display())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: FileProblem,
}

/// What is wrong with a file, and what to do.
#[derive(Debug, Error)]
pub enum FileProblem {
    /// It cannot be read.
    #[error("cannot be read: {0}; create it, correct the path, or make it readable for aop's user")]
    Unreadable(#[source] io::Error),
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
    #[error("holds a private key, but no certificate; name the certificate's file here")]
    KeyInstead,
    /// It holds no key.
    #[error("holds no private key in PEM form; name the file with \"-----BEGIN PRIVATE KEY-----\"")]
    NoKey,
    /// Its key is locked by a passphrase.
    #[error(
        "holds an encrypted private key, and aop has no passphrase; decrypt it with \
         `openssl pkey -in FILE -out NEW`, readable for aop's user alone"
    )]
    EncryptedKey,
    /// It holds no revocation list.
    #[error(
        "holds no revocation list, neither DER nor PEM (\"-----BEGIN X509 CRL-----\"); name the \
         file that the CA publishes"
    )]
    NoList,
    /// It is PEM that breaks off or carries nonsense.
    #[error("is malformed: {0}; write the file anew from its source")]
    Malformed(String),
}

impl FileProblem {
    pub(super) fn of(self, file: &Path) -> FileError {
        FileError { file: file.into(), problem: self }
    }
}
