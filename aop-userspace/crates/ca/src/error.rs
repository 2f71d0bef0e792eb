//! Errors, to follow the name of the file that they are about.

use aop_tls::SectionError;
use jiff::Timestamp;
use thiserror::Error;

/// Why a certificate cannot be made.
#[derive(Debug, Error)]
pub enum CaError {
    /// The file cannot be read as PEM.
    #[error("is malformed in {0}")]
    Section(#[from] SectionError),
    /// The file holds no certificate.
    #[error(
        "holds no certificate in PEM form (\"-----BEGIN CERTIFICATE-----\"); name the file of the \
         CA's certificate"
    )]
    NoCertificate,
    /// The file holds nothing that is described.
    #[error(
        "holds no certificate, request or key in PEM form (\"-----BEGIN …-----\"); convert a \
         binary certificate with `openssl x509 -inform DER -in FILE -out NEW`"
    )]
    Nothing,
    /// The certificate cannot be parsed.
    #[error("holds a certificate that is not X.509 ({0}); copy the file again from its source")]
    NotX509(String),
    /// The certificate is not a CA's.
    #[error(
        "holds the certificate of {subject}, which is not a CA ({why}): it cannot sign others. \
         Name the CA's certificate, or make a CA with `aop ca create`"
    )]
    NotACa {
        /// Its subject.
        subject: String,
        /// The reason.
        why: &'static str,
    },
    /// The key is not the CA's.
    #[error(
        "is the key {key}, but the CA's certificate belongs to the key {wanted}: name the file \
         that was made together with the certificate (--ca-key)"
    )]
    KeyMismatch {
        /// SHA-256 of the public key, in hex.
        key: String,
        /// That of the CA.
        wanted: String,
    },
    /// The CA has expired.
    #[error(
        "the CA expired on {0}: nobody would accept what it signs. Make a new one with \
             `aop ca create`"
    )]
    Expired(Timestamp),
    /// The CA is not valid yet.
    #[error("the CA is not valid before {0}: check this machine's clock")]
    NotYetValid(Timestamp),
    /// The number of days is out of bounds.
    #[error("{days} days are not possible: the number is from 1 to {most}")]
    Days {
        /// The number.
        days: u32,
        /// The largest one.
        most: u32,
    },
    /// There is no name.
    #[error("a certificate needs a name, which the origin can require later: give it with --host")]
    NoHost,
    /// The CA may not sign this name.
    #[error(
        "the CA may sign {may}: a certificate for {host} would be refused by every program. Use a \
         CA for that name"
    )]
    NotPermitted {
        /// The name.
        host: String,
        /// The names that it may sign.
        may: String,
    },
    /// The CA's name cannot be written as issuer without a change.
    #[error(
        "the CA's name has a form that aop cannot write into a certificate, so nobody would find \
         the CA by it: make a CA with `aop ca create`, or sign the request with the program that \
         made this CA"
    )]
    IssuerName,
    /// The name of a CA is empty or too long.
    #[error("the name of a CA has 1 to 64 printable characters: correct --name")]
    Name,
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate cannot be signed.
    #[error("the certificate cannot be signed: {0}")]
    Sign(#[from] rcgen::Error),
}

/// Why a private key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read as PEM.
    #[error("is malformed in {0}")]
    Section(#[from] SectionError),
    /// The file holds no key.
    #[error("holds no private key in PEM form; name the file with \"-----BEGIN PRIVATE KEY-----\"")]
    Missing,
    /// The file holds more than one key.
    #[error("holds two private keys, in the lines {} and {}; keep the right one", .0[0], .0[1])]
    Two([usize; 2]),
    /// The key is under a passphrase, and there is none.
    #[error(
        "holds a private key under a passphrase: give it with --passphrase-file FILE, as the \
         systemd credential ca-passphrase, or on a terminal"
    )]
    Encrypted,
    /// The key is encrypted in the form that `openssl` used before version 1.0.
    #[error(
        "holds a private key in the older encrypted form, whose protection is weak; convert it \
         with `openssl pkcs8 -topk8 -in FILE -out NEW`"
    )]
    OlderEncryption,
    /// The key does not open with the passphrase.
    #[error("does not open with this passphrase: the passphrase is wrong, or the file is damaged")]
    WrongPassphrase,
    /// The key is encrypted in a way that is not read here.
    #[error(
        "is encrypted in a way that aop does not read ({0}); convert it with \
         `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW`"
    )]
    Encryption(pkcs8::Error),
    /// The kind of key is not known here.
    #[error(
        "holds a private key that aop cannot use: it is damaged, or neither ECDSA (P-256, P-384), \
         RSA from 2048 bits on, nor ML-DSA"
    )]
    Unknown,
    /// The kind of key is not the one of operators.
    #[error(
        "holds a private key that signs no orders: it is damaged, or not Ed25519. Make one with \
         `aop fleet key create`"
    )]
    NotEd25519,
    /// The cryptographic library failed.
    #[error("a key of the kind {0} cannot be made here: the cryptographic library refused")]
    Generate(&'static str),
}

/// Why a request is refused.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The file cannot be read as PEM.
    #[error("is malformed in {0}")]
    Section(#[from] SectionError),
    /// The file holds no request.
    #[error(
        "holds no request in PEM form (\"-----BEGIN CERTIFICATE REQUEST-----\"); make one with \
         `aop ca request`"
    )]
    Missing,
    /// The request cannot be parsed.
    #[error("holds a request that cannot be read ({0}); copy the file again from its source")]
    Malformed(String),
    /// Its signature does not fit its key.
    #[error(
        "holds a request whose signature does not fit its own key: it is damaged, or its sender \
         does not have the key. Make it again"
    )]
    BadSignature,
    /// It asks for a CA certificate.
    #[error(
        "asks for a CA certificate, and Cloudflare refuses to present one: make the request again \
         without CA:TRUE and keyCertSign"
    )]
    WantsCa,
    /// Its key is of a kind that does not serve.
    #[error(
        "has a key or a signature of the kind {0}: Cloudflare and aop take ECDSA (P-256, P-384), \
         RSA from 2048 bits on, and ML-DSA"
    )]
    Key(String),
    /// It has a name that is no DNS name.
    #[error("asks for {0}, which is not a DNS name: give the names with --host instead")]
    Name(String),
}
