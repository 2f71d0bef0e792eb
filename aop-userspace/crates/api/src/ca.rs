//! The documents of `aop ca`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::CheckedCertificate;

/// Files that `aop ca create`, `issue` or `request` wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaMade {
    /// Path of the certificate; `null` where none was made.
    pub certificate_file: Option<String>,
    /// Path of the private key; `null` where it was made elsewhere.
    pub key_file: Option<String>,
    /// Path of the request; `null` where none was made.
    pub request_file: Option<String>,
    /// Whether the private key is under a passphrase.
    pub encrypted: bool,
    /// Whether the certificate ends with its CA, before the days that were asked for have passed.
    pub shortened: bool,
    /// The certificate; `null` where none was made.
    pub certificate: Option<CaCertificate>,
}

/// The answer of `aop ca show`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaShown {
    /// The files, in the order of the command line.
    pub files: Vec<CaFile>,
}

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaFile {
    /// Its path.
    pub file: String,
    /// The certificates in it, in order.
    pub certificates: Vec<CaCertificate>,
    /// The requests for certificates in it.
    pub requests: Vec<CaRequest>,
    /// The private keys in it.
    pub keys: Vec<CaKey>,
    /// The number of revocation lists in it.
    pub revocation_lists: usize,
}

/// A certificate, with what `aop check` shows of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaCertificate {
    /// Subject, issuer, serial number, key, names and dates.
    #[serde(flatten)]
    pub checked: CheckedCertificate,
    /// The version of X.509.
    pub version: u32,
    /// The algorithm of its signature.
    pub signature: String,
    /// Of a CA: how many CAs may stand between it and a leaf; `null` for any number.
    pub path_length: Option<u32>,
    /// Its key usage; empty where it has no such extension.
    pub key_usage: Vec<String>,
    /// Its extended key usage; empty where it has no such extension.
    pub extended_key_usage: Vec<String>,
    /// The DNS names that it may sign, each with the names below; empty for every name.
    pub permitted: Vec<String>,
    /// The DNS names that it may not sign, each with the names below.
    pub excluded: Vec<String>,
    /// SHA-256 of the certificate, in hex.
    pub fingerprint: String,
    /// Whole days until its end; negative after it.
    pub days_left: i64,
    /// The file with its private key, among those of the command line; `null` where none has it.
    pub key_in: Option<String>,
    /// Whether it would do as the certificate that is uploaded for origin pulls.
    pub upload: CaFitness,
    /// Whether it would do as a `client_ca` of aop.
    pub client_ca: CaFitness,
}

/// Whether a certificate serves a purpose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaFitness {
    /// Whether it does.
    pub fits: bool,
    /// The reasons against it.
    pub against: Vec<String>,
}

/// A request for a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaRequest {
    /// Its subject.
    pub subject: String,
    /// Algorithm of its key.
    pub key: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// The DNS names that it asks for, such as `dns:example.com`.
    pub names: Vec<String>,
    /// The file with its private key; `null` where none has it.
    pub key_in: Option<String>,
    /// Why `aop ca issue` would refuse it; `null` where it would not.
    pub error: Option<String>,
}

/// A private key. The document has nothing of the key itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaKey {
    /// Its algorithm; `null` where it is under a passphrase, or cannot be used.
    pub key: Option<String>,
    /// SHA-256 of its public key, in hex; `null` as for `key`.
    pub spki_sha256: Option<String>,
    /// Whether it is under a passphrase.
    pub encrypted: bool,
    /// Why it cannot be used; `null` where it can.
    pub error: Option<String>,
}

/// Whole days from `now` until `moment`; negative after it.
#[must_use]
pub fn days_until(moment: Timestamp, now: Timestamp) -> i64 {
    moment.duration_since(now).as_secs().div_euclid(24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_negative_after_the_end() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        for (seconds, days) in [(0, 0), (86_399, 0), (86_400, 1), (-1, -1), (-86_401, -2)] {
            assert_eq!(days_until(at(1_000_000 + seconds), at(1_000_000)), days, "{seconds}");
        }
    }
}
