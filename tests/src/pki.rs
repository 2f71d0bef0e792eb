//! All certificates that the claims need: good ones, and for each fault one that has only this
//! fault.
//!
//! All are ECDSA P-256 unless the field says otherwise. They are PEM files that are written when
//! the lab is built. As with a real operator, a client CA signs the certificate of the edge, and
//! the origin presents server certificates. Only root can read the keys, as on a real origin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use rcgen::{CertificateParams, IsCa, KeyPair, SanType, SerialNumber, date_time_ymd};

use crate::child;

use self::authority::{CertificateAuthority, Usage};

mod authority;
mod fleet;

pub use self::fleet::FleetPki;

/// How long `openssl` may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A certificate with its chain, and its key, as files.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// PEM: the leaf first.
    pub certificate: PathBuf,
    /// PEM, PKCS #8.
    pub key: PathBuf,
}

/// The files of the PKI of a lab.
#[derive(Debug, Default)]
pub struct Pki {
    dir: PathBuf,
    /// The operator's client CA.
    pub client_ca: PathBuf,
    /// The certificate of the edge: signed by the client CA, for client authentication.
    pub edge: Credentials,
    /// The same, signed by an intermediate CA whose certificate follows the leaf.
    pub edge_by_intermediate: Credentials,
    /// The same, and revoked by the intermediate CA.
    pub revoked_by_intermediate: Credentials,
    /// The certificate of the intermediate CA, and its revocation list, PEM. The list does not
    /// cover the intermediate itself.
    pub crl_of_intermediate: PathBuf,
    /// From the client CA, but for server authentication only.
    pub wrong_usage: Credentials,
    /// From the client CA, expired in 2021.
    pub expired: Credentials,
    /// From the client CA, valid from 2100.
    pub not_yet_valid: Credentials,
    /// From the client CA, and marked as a CA.
    pub ca_as_leaf: Credentials,
    /// Good, but its subject contains an escape sequence and a line break.
    pub odd_subject: Credentials,
    /// Self-signed, as `openssl req -x509` makes it.
    pub self_signed: Credentials,
    /// The client CA of another operator.
    pub foreign_ca: PathBuf,
    /// The revocation list of the other operator, PEM.
    pub crl_of_foreign: PathBuf,
    /// A certificate from the client CA of the other operator.
    pub foreign: Credentials,
    /// From a CA with the name of the client CA and another key, as when that CA was created again.
    pub namesake: Credentials,
    /// From the same CA, and revoked by it.
    pub revoked_by_namesake: Credentials,
    /// That CA.
    pub namesake_ca: PathBuf,
    /// Its revocation list, PEM.
    pub crl_of_namesake: PathBuf,
    /// From the client CA, with names: `dns:pull.example.com` and `uri:spiffe://example.com/edge`.
    pub named: Credentials,
    /// From the client CA, with an ML-DSA-65 key.
    pub post_quantum: Credentials,
    /// From the client CA, and revoked by it.
    pub revoked: Credentials,
    /// A client CA that expired in 2021.
    pub expired_ca: PathBuf,
    /// A good certificate from the expired client CA.
    pub by_expired_ca: Credentials,
    /// The revocation list of the client CA, PEM.
    pub crl: PathBuf,
    /// A later list that also revokes the certificate of the edge, DER.
    pub crl_grown: PathBuf,
    /// As the first list, but expired in 2021.
    pub crl_expired: PathBuf,
    /// The CA that signs the server certificates.
    pub server_ca: PathBuf,
    /// For `example.com` and `*.example.com`.
    pub server: Credentials,
    /// A new certificate for the same hosts.
    pub renewed_server: Credentials,
    /// For `example.net`, a second site.
    pub second_server: Credentials,
}

/// The client CA: the name of its files, and its subject.
const CLIENT_CA: (&str, &str) = ("client-ca", "Example Operator Client CA");

/// Serial numbers in revocation lists.
const EDGE: u64 = 1;
const REVOKED: u64 = 7;

impl Pki {
    /// Creates all files in `dir`.
    pub(crate) fn write(dir: &Path) -> Result<Self> {
        fs::create_dir(dir)?;
        let clients = CertificateAuthority::new(dir, CLIENT_CA.0, CLIENT_CA.1)?;
        let foreign = CertificateAuthority::new(dir, "foreign-ca", "Another Operator Client CA")?;
        let namesake = CertificateAuthority::new(dir, "namesake-ca", CLIENT_CA.1)?;
        let servers = CertificateAuthority::new(dir, "server-ca", "Example Server CA")?;
        let ended =
            CertificateAuthority::until(dir, "expired-ca", "Ended Operator Client CA", 2021)?;
        let between = clients.intermediate(dir, "intermediate", "Example Operator Issuing CA")?;
        let leaf = |usage| authority::leaf("edge.example.com", &[], usage);
        let with = |change: fn(&mut CertificateParams)| {
            let mut params = leaf(Usage::Client)?;
            change(&mut params);
            anyhow::Ok(params)
        };
        Ok(Self {
            edge: clients.issue("edge", with(|leaf| leaf.serial_number = Some(EDGE.into()))?)?,
            edge_by_intermediate: between.issue("edge-by-intermediate", leaf(Usage::Client)?)?,
            revoked_by_intermediate: between.issue(
                "revoked-by-intermediate",
                with(|leaf| leaf.serial_number = Some(REVOKED.into()))?,
            )?,
            crl_of_intermediate: between.list("intermediate.crl.pem", &[REVOKED], 2120)?,
            wrong_usage: clients.issue("wrong-usage", leaf(Usage::Server)?)?,
            expired: clients
                .issue("expired", with(|leaf| leaf.not_after = date_time_ymd(2021, 1, 1))?)?,
            not_yet_valid: clients.issue(
                "not-yet-valid",
                with(|leaf| leaf.not_before = date_time_ymd(2100, 1, 1))?,
            )?,
            ca_as_leaf: clients
                .issue("ca-as-leaf", with(|leaf| leaf.is_ca = IsCa::Ca(authority::ANY_DEPTH))?)?,
            odd_subject: clients.issue(
                "odd-subject",
                authority::leaf("\u{1b}[31m\nedge level=info", &[], Usage::Client)?,
            )?,
            self_signed: self_signed(dir, leaf(Usage::Client)?)?,
            named: clients.issue("named", with(|leaf| leaf.subject_alt_names = names())?)?,
            post_quantum: clients.issue_of(
                KeyPair::generate_for(&rcgen::PKCS_ML_DSA_65)?,
                "post-quantum",
                leaf(Usage::Client)?,
            )?,
            revoked: clients
                .issue("revoked", with(|leaf| leaf.serial_number = Some(REVOKED.into()))?)?,
            by_expired_ca: ended.issue("by-expired-ca", leaf(Usage::Client)?)?,
            crl: clients.list("clients.crl.pem", &[REVOKED], 2120)?,
            crl_grown: clients.list("clients-grown.crl", &[REVOKED, EDGE], 2120)?,
            crl_expired: clients.list("clients-expired.crl", &[REVOKED], 2021)?,
            expired_ca: ended.certificate,
            foreign: foreign.issue("foreign", leaf(Usage::Client)?)?,
            namesake: namesake.issue("namesake", leaf(Usage::Client)?)?,
            revoked_by_namesake: namesake.issue(
                "revoked-by-namesake",
                with(|leaf| leaf.serial_number = Some(REVOKED.into()))?,
            )?,
            crl_of_namesake: namesake.list("namesake.crl.pem", &[REVOKED], 2120)?,
            namesake_ca: namesake.certificate,
            crl_of_foreign: foreign.list("foreign.crl.pem", &[REVOKED], 2120)?,
            server: servers.issue("server", example_com()?)?,
            renewed_server: servers.issue("renewed-server", example_com()?)?,
            second_server: servers.issue(
                "second-server",
                authority::leaf("example.net", &["example.net"], Usage::Server)?,
            )?,
            client_ca: clients.certificate,
            foreign_ca: foreign.certificate,
            server_ca: servers.certificate,
            dir: dir.to_owned(),
        })
    }

    /// Creates a revocation list of the client CA, PEM, with this many certificates, one of which
    /// is [`Self::revoked`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn long_list(&self, entries: u64) -> Result<PathBuf> {
        let ca = CertificateAuthority::reopen(&self.dir, CLIENT_CA.0, CLIENT_CA.1)?;
        // As long as random serial numbers are.
        let others = (1..entries).map(|n| (u128::MAX / 2 - u128::from(n)).to_be_bytes().to_vec());
        let serials = others.map(SerialNumber::from).chain([SerialNumber::from(REVOKED)]);
        ca.list_of(&format!("{entries}.crl.pem"), serials, 2120)
    }

    /// Creates a good certificate from the client CA with this common name.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn with_subject(&self, subject: &str) -> Result<Credentials> {
        let ca = CertificateAuthority::reopen(&self.dir, CLIENT_CA.0, CLIENT_CA.1)?;
        ca.issue("with-subject", authority::leaf(subject, &[], Usage::Client)?)
    }

    /// Creates an X.509 version 1 certificate from the client CA, as `openssl x509 -req` does when
    /// no extensions are given. rcgen cannot make these.
    ///
    /// # Errors
    /// When openssl is missing or fails.
    pub fn version_1(&self) -> Result<Credentials> {
        let path = |name: &str| self.dir.join(name);
        let (request, certificate) = (path("version-1.csr"), path("version-1.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-new", "-subj", "/CN=edge.example.com", "-key"]);
        openssl.arg(&self.edge.key).arg("-out").arg(&request);
        child::finish(openssl, &[], PATIENCE)?.success()?;
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-req", "-days", "365", "-set_serial", "1", "-in"]).arg(&request);
        openssl.arg("-CA").arg(&self.client_ca).arg("-CAkey").arg(path("client-ca.key"));
        openssl.arg("-out").arg(&certificate);
        child::finish(openssl, &[], PATIENCE)?.success()?;
        Ok(Credentials { certificate, key: self.edge.key.clone() })
    }
}

fn example_com() -> Result<CertificateParams> {
    authority::leaf("example.com", &["example.com", "*.example.com"], Usage::Server)
}

fn names() -> Vec<SanType> {
    let ascii = |text: &str| text.try_into().expect("ASCII");
    let (name, uri) = ("pull.example.com", "spiffe://example.com/edge");
    vec![SanType::DnsName(ascii(name)), SanType::URI(ascii(uri))]
}

fn self_signed(dir: &Path, mut params: CertificateParams) -> Result<Credentials> {
    params.is_ca = IsCa::Ca(authority::ANY_DEPTH);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    authority::write(dir, "self-signed", &certificate, &key)
}
