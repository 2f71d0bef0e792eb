//! The document of `aop check`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::stable_names;

/// A configuration and every file that it names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckReport {
    /// Path of the configuration.
    pub file: String,
    /// Whether aop can run with it.
    pub good: bool,
    /// The first error; `null` where there is none.
    pub error: Option<String>,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
    /// Those warnings that must be corrected: because of them aop cannot start, the edge is refused
    /// or turns away, or strangers get in.
    #[serde(default)]
    pub mistakes: Vec<String>,
    /// The sites, as far as the configuration can be read.
    pub sites: Vec<CheckedSite>,
    /// The files that renewals at Cloudflare would use; `null` where `[cloudflare]` names no token
    /// and renews nothing.
    #[serde(default)]
    pub cloudflare: Option<CheckedCloudflare>,
    /// The link to the fleet; `null` where there is no `[fleet]`.
    #[serde(default)]
    pub fleet: Option<CheckedFleet>,
}

/// The link to the fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedFleet {
    /// The endpoints of etcd.
    pub endpoints: Vec<String>,
    /// The place of the fleet in etcd.
    pub prefix: String,
    /// `fleet.name`; `null` where the name of the host counts.
    pub name: Option<String>,
    /// The number of operators whose orders the host obeys.
    pub operators: usize,
    /// Why its files cannot be used; `null` where they can.
    pub error: Option<String>,
}

/// The files that renewals at Cloudflare would use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedCloudflare {
    /// Where the API token comes from; `null` where there is none. Never the token.
    pub token: Option<String>,
    /// Why it cannot be used; `null` where it can.
    pub token_error: Option<String>,
    /// How many days before its end a certificate is renewed; `null` where none is.
    pub renew_days: Option<u64>,
    /// The CA that signs the leaves.
    pub ca: CheckedCa,
}

/// The CA that signs leaves for Cloudflare.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedCa {
    /// The file of its certificate.
    pub file: String,
    /// The file of its private key.
    pub key_file: String,
    /// Whether the key is under a passphrase. It is then unknown whether it belongs to the CA.
    pub encrypted: bool,
    /// End of the CA's validity; `null` where it cannot be read.
    pub not_after: Option<Timestamp>,
    /// Why it can sign no leaf of 90 days; `null` where it can.
    pub error: Option<String>,
}

/// One site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedSite {
    /// Its name.
    pub site: String,
    /// The hosts that it serves.
    pub hosts: Vec<String>,
    /// Its files, in the order of the configuration.
    pub files: Vec<CheckedFile>,
}

/// One file of a site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedFile {
    /// Its path, or `cloudflare-global`.
    pub file: String,
    /// The configuration key that names it.
    pub role: FileRoleName,
    /// Why it cannot be used; `null` where it can.
    pub error: Option<String>,
    /// The certificates in the file.
    pub certificates: Vec<CheckedCertificate>,
    /// The revocation lists in the file.
    pub lists: Vec<CheckedList>,
}

/// A certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedCertificate {
    /// Its subject.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// Its serial number, in hex.
    pub serial: String,
    /// Algorithm of its key, such as `ECDSA P-256`.
    pub key: String,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: String,
    /// Whether it is a CA certificate.
    pub ca: bool,
    /// Its subject alternative names, such as `dns:example.com`.
    pub names: Vec<String>,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
}

/// A revocation list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedList {
    /// Its issuer.
    pub issuer: String,
    /// When it was issued.
    pub this_update: Timestamp,
    /// When the next list is due.
    pub next_update: Timestamp,
    /// How many certificates it revokes.
    pub entries: usize,
}

stable_names! {
    /// The configuration key that names a file of a site.
    FileRoleName {
        /// The chain of the server certificate.
        Certificate = "certificate",
        /// Its private key.
        Key = "key",
        /// CAs that issue client certificates.
        ClientCa = "client_ca",
        /// Revocation lists of client certificates.
        Crl = "crl",
    }
}
