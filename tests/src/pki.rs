//! Every certificate that the claims need: good ones, and one bad in each single way.
//!
//! All are ECDSA P-256, written as PEM files when the world is built. What a real operator has is
//! here under the words of the lexicon: a client CA that signs the edge's certificate, and server
//! certificates that the origin presents. The keys are worth nothing and readable by everybody.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, IsCa, KeyPair, SanType, date_time_ymd};

use self::authority::{Authority, Usage};

mod authority;

/// A certificate, with its chain, and its key, as files.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// PEM: the leaf first.
    pub certificate: PathBuf,
    /// PEM, PKCS #8.
    pub key: PathBuf,
}

/// The files of one world's PKI.
#[derive(Debug, Default)]
pub struct Pki {
    dir: PathBuf,
    /// The operator's client CA.
    pub client_ca: PathBuf,
    /// What the edge presents: signed by the client CA, for client authentication.
    pub edge: Identity,
    /// The same through an intermediate, whose certificate follows the leaf.
    pub edge_by_intermediate: Identity,
    /// The same, and in the intermediate's revocation list.
    pub revoked_by_intermediate: Identity,
    /// That list, PEM. It says nothing about the intermediate itself.
    pub crl_of_intermediate: PathBuf,
    /// From the client CA, but for server authentication only.
    pub wrong_usage: Identity,
    /// From the client CA, over since 2021.
    pub expired: Identity,
    /// From the client CA, beginning in 2100.
    pub not_yet_valid: Identity,
    /// From the client CA, and itself marked as a CA.
    pub ca_as_leaf: Identity,
    /// Good, but its subject would write to a terminal and forge a line of a log.
    pub odd_subject: Identity,
    /// Signed by nobody but itself, as `openssl req -x509` does it.
    pub self_signed: Identity,
    /// Another operator's client CA.
    pub foreign_ca: PathBuf,
    /// What another operator's edge presents.
    pub foreign: Identity,
    /// Signed by a CA of the client CA's name with another key, as when that was made anew.
    pub namesake: Identity,
    /// From the client CA, with names: `dns:pull.example.com` and `uri:spiffe://example.com/edge`.
    pub named: Identity,
    /// From the client CA, with an ML-DSA-65 key.
    pub post_quantum: Identity,
    /// From the client CA, and in its revocation list.
    pub revoked: Identity,
    /// A client CA that ended in 2021.
    pub expired_ca: PathBuf,
    /// A good certificate from that one.
    pub by_expired_ca: Identity,
    /// The client CA's revocation list, PEM.
    pub crl: PathBuf,
    /// A later one, in which the edge's certificate stands too, DER.
    pub crl_grown: PathBuf,
    /// The first one, but with its successor due in 2021.
    pub crl_expired: PathBuf,
    /// Anchors for judging the origin.
    pub server_ca: PathBuf,
    /// For `example.com` and `*.example.com`.
    pub server: Identity,
    /// Its successor, for the same hosts.
    pub renewed_server: Identity,
    /// For `example.net`, a second site.
    pub second_server: Identity,
}

/// Serial numbers that revocation lists speak of.
const EDGE: u64 = 1;
const REVOKED: u64 = 7;

impl Pki {
    /// Makes it all below `dir`.
    pub(crate) fn write(dir: &Path) -> Result<Self> {
        fs::create_dir(dir)?;
        let clients = Authority::new(dir, "client-ca", "Example Operator Client CA")?;
        let foreign = Authority::new(dir, "foreign-ca", "Another Operator Client CA")?;
        let namesake = Authority::new(dir, "namesake-ca", "Example Operator Client CA")?;
        let servers = Authority::new(dir, "server-ca", "Example Server CA")?;
        let ended = Authority::until(dir, "expired-ca", "Ended Operator Client CA", 2021)?;
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

    /// An X.509 version 1 certificate from the client CA, as `openssl x509 -req` makes one when it
    /// is given no extensions. Only the real tool makes these, so it is made on demand.
    ///
    /// # Errors
    /// When openssl is missing or refuses.
    pub fn version_1(&self) -> Result<Identity> {
        let path = |name: &str| self.dir.join(name);
        let (request, certificate) = (path("version-1.csr"), path("version-1.pem"));
        let request_step = ["req", "-new", "-subj", "/CN=edge.example.com", "-key"];
        openssl(
            Command::new("openssl")
                .args(request_step)
                .arg(&self.edge.key)
                .arg("-out")
                .arg(&request),
        )?;
        openssl(
            Command::new("openssl")
                .args(["x509", "-req", "-days", "365", "-in"])
                .arg(&request)
                .arg("-CA")
                .arg(&self.client_ca)
                .arg("-CAkey")
                .arg(path("client-ca.key"))
                .args(["-set_serial", "1", "-out"])
                .arg(&certificate),
        )?;
        Ok(Identity { certificate, key: self.edge.key.clone() })
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

fn self_signed(dir: &Path, mut params: CertificateParams) -> Result<Identity> {
    params.is_ca = IsCa::Ca(authority::ANY_DEPTH);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    authority::write(dir, "self-signed", &certificate, &key)
}

fn openssl(command: &mut Command) -> Result<()> {
    let output = command.output().context("cannot run openssl: install it")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "openssl failed: {complaint}");
    Ok(())
}
